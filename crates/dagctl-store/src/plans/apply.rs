//! Carries out a plan: every write guarded by the state it expects, in one order of locks.

use std::collections::BTreeSet;

use dagctl_core::ids::{DagRunId, InstanceIndex, WorkerId};
use dagctl_core::operator::Answer;
use dagctl_core::outcome::{Failure, Outcome};
use dagctl_core::run::{Action, Move, Standing, Why};
use dagctl_core::state::{RunState, Verdict};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use super::wait::answer_as_output;
use super::{Applied, Ended, LockedRun, Look, Orders, letter};
use crate::StoreError;

/// Instances of one run as the arrays that a statement takes.
#[derive(Default)]
struct Places {
    tasks: Vec<i32>,
    map_indexes: Vec<i32>,
}

impl Places {
    fn push(&mut self, at: InstanceIndex) {
        self.tasks.push(at.task.get());
        self.map_indexes.push(at.map_index.get());
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl FromIterator<InstanceIndex> for Places {
    fn from_iter<T: IntoIterator<Item = InstanceIndex>>(all: T) -> Self {
        let mut places = Self::default();
        for it in all {
            places.push(it);
        }
        places
    }
}

impl Look {
    /// Carries out a plan for a run that this look has locked.
    pub async fn apply(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
    ) -> Result<Applied, StoreError> {
        let moves = self.drop_lost_races(run, orders).await?;
        self.record_attempts(run, orders, &moves).await?;
        self.settle(run, orders, &moves).await?;
        self.count_instances(run, &moves).await?;
        self.expand(run, orders, &moves).await?;
        self.set_timers(run, orders, &moves).await?;
        let mut timers = self.put_to_wait(run, orders, &moves).await?;
        let mut queued = self.enqueue(run, orders, &moves).await?;
        if run.is_limited {
            queued = self.fill(&[run.dag_run_id]).await?;
        }
        let ended = match orders.ends {
            Some(state) => self.end(run, state).await?,
            None => false,
        };
        if let Some(delay) = orders.goes_again_after {
            self.put_off(run.dag_run_id, delay).await?;
        }
        if ended && run.is_awaited {
            timers |= self.wake_waiting(run.dag_run_id).await? > 0;
        }
        Ok(Applied {
            queued,
            ended,
            timers,
        })
    }

    /// A task planned to settle while it waits in the queue may have been claimed meanwhile: then the move is dropped,
    /// and the next look sees why.
    async fn drop_lost_races<'a>(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'a>,
    ) -> Result<Vec<&'a Move>, StoreError> {
        let stands_in_queue = |it: &Move| {
            !orders.ended.contains_key(&it.instance())
                && run.facts.instance(it.instance()).is_some_and(|it| {
                    matches!(it.standing, Standing::Queued | Standing::LostTooOften)
                })
        };
        let moves = || orders.moves.iter();
        let queued: Places = moves()
            .filter(|it| stands_in_queue(it))
            .map(Move::instance)
            .collect();
        let mut removed = BTreeSet::new();
        if !queued.is_empty() {
            let rows = sqlx::query!(
                "delete from ready q using unnest($2::int[], $3::int[]) as it (task_index, map_index)
                where q.dag_run_id = $1 and q.task_index = it.task_index and q.map_index = it.map_index
                    and q.worker_id is null
                returning q.task_index, q.map_index",
                run.dag_run_id.get(),
                &queued.tasks,
                &queued.map_indexes
            )
            .fetch_all(&mut *self.tx)
            .await?;
            removed.extend(rows.iter().map(|it| (it.task_index, it.map_index)));
        }
        let is_removed = |it: &Move| removed.contains(&(it.task.get(), it.map_index.get()));
        let kept = |it: &&Move| !stands_in_queue(it) || is_removed(it);
        Ok(moves().filter(kept).collect())
    }

    async fn settle(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<(), StoreError> {
        let (mut places, mut letters, mut reasons) = (Places::default(), vec![], vec![]);
        let mut unstarted = vec![];
        for it in moves {
            if let Action::Settle { verdict, why } = &it.action {
                places.push(it.instance());
                unstarted.push(unstarted_attempt(run, orders, it).map(|(attempt, _)| attempt));
                letters.push(letter(verdict.letter()));
                reasons.push(reason(why));
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        let ended: Vec<&Ended> = orders.ended.values().collect();
        let ended_places: Places = orders.ended.keys().copied().collect();
        let rows = sqlx::query_file!(
            "src/plans/settle.sql",
            run.dag_run_id.get(),
            &places.tasks,
            &letters as _,
            &reasons as _,
            &ended_places.tasks,
            &ended
                .iter()
                .map(|it| it.row.key.attempt.get())
                .collect::<Vec<_>>(),
            &ended.iter().map(|it| it.row.lost).collect::<Vec<_>>(),
            &ended
                .iter()
                .map(|it| it.row.queued_at.to_sqlx())
                .collect::<Vec<_>>() as _,
            &ended
                .iter()
                .map(|it| it.row.claimed_at.map(|it| it.to_sqlx()))
                .collect::<Vec<_>>() as _,
            orders.worker.map(WorkerId::get),
            &unstarted as _,
            &places.map_indexes,
            &ended_places.map_indexes
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let (total, failed) = rows.first().map_or((0, 0), |it| (it.total, it.failed));
        let children: Vec<i32> = rows.iter().filter_map(|it| it.child).collect();
        let settled: Vec<i16> = rows.iter().filter_map(|it| it.settled).collect();
        let bad: Vec<i16> = rows.iter().filter_map(|it| it.bad).collect();
        // Apart from the settling: one statement cannot update the same row twice, and a child may settle too.
        sqlx::query!(
            "update task_instance t set pending = t.pending - c.settled, n_bad = t.n_bad + c.bad
            from unnest($2::int[], $3::smallint[], $4::smallint[]) as c (child, settled, bad)
            where t.dag_run_id = $1 and t.task_index = c.child and t.map_index = -1",
            run.dag_run_id.get(),
            &children,
            &settled,
            &bad
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "update dag_run set remaining = remaining - $2, n_failed = n_failed + $3 where dag_run_id = $1",
            run.dag_run_id.get(),
            total,
            failed
        )
        .execute(&mut *self.tx)
        .await?;
        self.keep_outputs(run.dag_run_id, orders, moves).await
    }

    async fn keep_outputs(
        &mut self,
        run: DagRunId,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<(), StoreError> {
        let (mut places, mut values) = (Places::default(), vec![]);
        for it in moves {
            if let Action::Settle {
                why: Why::Answered(answered),
                ..
            } = &it.action
            {
                places.push(it.instance());
                values.push(answer_as_output(answered));
            } else if let (
                Action::Settle {
                    verdict: Verdict::Success,
                    ..
                },
                Some(ended),
            ) = (&it.action, orders.ended.get(&it.instance()))
                && let Outcome::Success { outputs } = &ended.outcome
                && !outputs.is_empty()
            {
                places.push(it.instance());
                values.push(Value::Object(outputs.clone()));
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "insert into output (dag_run_id, task_index, map_index, value)
            select $1, task_index, map_index, value
            from unnest($2::int[], $3::int[], $4::jsonb[]) as it (task_index, map_index, value)
            on conflict (dag_run_id, task_index, map_index) do update set value = excluded.value",
            run.get(),
            &places.tasks,
            &places.map_indexes,
            &values
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Keeps the history of attempts that ended without success.
    async fn record_attempts(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<(), StoreError> {
        let mut rows = AttemptRows::default();
        for it in moves {
            if let Some(ended) = orders.ended.get(&it.instance()) {
                rows.push_ended(ended, it);
            } else if let Some((attempt, failure)) = unstarted_attempt(run, orders, it) {
                rows.push(
                    it.instance(),
                    attempt,
                    'f',
                    &failure.kind.code(),
                    &failure.message,
                );
            }
        }
        if rows.places.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            r#"insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, worker_id,
                queued_at, started_at, finished_at)
            select $1, task_index, map_index, attempt, state, reason, message, $2, queued_at, started_at,
                clock_timestamp()
            from unnest($3::int[], $4::int[], $5::smallint[], $6::"char"[], $7::text[], $8::text[],
                $9::timestamptz[], $10::timestamptz[])
                as it (task_index, map_index, attempt, state, reason, message, queued_at, started_at)
            on conflict (dag_run_id, task_index, map_index, attempt) do nothing"#,
            run.dag_run_id.get(),
            orders.worker.map(WorkerId::get),
            &rows.places.tasks,
            &rows.places.map_indexes,
            &rows.attempts,
            &rows.states as _,
            &rows.reasons,
            &rows.messages,
            &rows.queued_at as _,
            &rows.started_at as _
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn set_timers(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<(), StoreError> {
        let (mut places, mut attempts, mut lost, mut delays) =
            (Places::default(), vec![], vec![], vec![]);
        for it in moves {
            if let (Action::Retry { delay, .. }, Some(ended)) =
                (&it.action, orders.ended.get(&it.instance()))
            {
                places.push(it.instance());
                attempts.push(ended.row.key.attempt.get());
                lost.push(ended.row.lost);
                delays.push(delay.as_secs_f64());
            }
        }
        if places.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            r#"with planned as (
                select * from unnest($2::int[], $3::smallint[], $4::smallint[], $5::float8[], $7::int[])
                    as it (task_index, attempt, lost, delay, map_index)
            ), tried as (
                update task_instance t set attempt = p.attempt, lost = p.lost, tries = t.tries + 1,
                    worker_id = $6, finished_at = clock_timestamp()
                from planned p
                where t.dag_run_id = $1 and t.task_index = p.task_index and t.map_index = p.map_index and t.state = 'n'
                returning t.task_index, t.map_index
            )
            insert into timer (due_at, dag_run_id, task_index, map_index, attempt, lost, kind)
            select clock_timestamp() + make_interval(secs => p.delay), $1, p.task_index, p.map_index, p.attempt + 1,
                p.lost, 'r'
            from planned p join tried using (task_index, map_index)"#,
            run.dag_run_id.get(),
            &places.tasks,
            &attempts,
            &lost,
            &delays,
            orders.worker.map(WorkerId::get),
            &places.map_indexes
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn enqueue(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<u64, StoreError> {
        let (mut places, mut attempts, mut lost) = (Places::default(), vec![], vec![]);
        for it in moves {
            match (&it.action, orders.ended.get(&it.instance())) {
                (Action::Queue, _) => {
                    let facts = run.facts.instance(it.instance());
                    places.push(it.instance());
                    attempts.push(facts.map_or(0, |it| it.attempt).saturating_add(1));
                    lost.push(None);
                }
                (Action::Requeue, Some(ended)) => {
                    places.push(it.instance());
                    attempts.push(ended.row.key.attempt.get().saturating_add(1));
                    lost.push(Some(ended.row.lost));
                }
                (Action::Requeue, None)
                | (
                    Action::Retry { .. }
                    | Action::Expand { .. }
                    | Action::Reschedule { .. }
                    | Action::Ask { .. }
                    | Action::Settle { .. },
                    _,
                ) => (),
            }
        }
        if places.is_empty() {
            return Ok(0);
        }
        let done = sqlx::query_file!(
            "src/plans/enqueue.sql",
            run.dag_run_id.get(),
            run.dag_version_id.get(),
            &places.tasks,
            &attempts,
            &lost as _,
            run.is_limited,
            &places.map_indexes
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected())
    }

    /// Ends the run if every task of it has settled, whatever the plan thought.
    async fn end(&mut self, run: &LockedRun, state: RunState) -> Result<bool, StoreError> {
        let ended = sqlx::query!(
            "with ended as (
                update dag_run set state = $2, finished_at = clock_timestamp()
                where dag_run_id = $1 and state = 'r' and remaining = 0
                returning dag_key, dag_run_id, finished_at
            ), live as (
                delete from live_run l using ended e where l.dag_run_id = e.dag_run_id
            ), due as (
                -- A deadline that was missed is still to be told.
                delete from run_due t using ended e
                where t.dag_run_id = e.dag_run_id and (t.kind <> 'd' or t.due_at > e.finished_at)
            )
            update dag d set last_dag_run_id = e.dag_run_id, last_state = $2, last_at = e.finished_at
            from ended e where d.dag_key = e.dag_key
            returning d.dag_key",
            run.dag_run_id.get(),
            letter(state.letter())
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(ended.is_some())
    }
}

/// The attempt that a task failed in without running it: cancelled in the queue or before its next try, or given up
/// after losing its worker.
fn unstarted_attempt<'a>(
    run: &LockedRun,
    orders: &Orders<'_>,
    it: &'a Move,
) -> Option<(i16, &'a Failure)> {
    let failure = last_failure(it)?;
    if orders.ended.contains_key(&it.instance()) {
        return None;
    }
    let facts = run.facts.instance(it.instance())?;
    let attempt = match facts.standing {
        Standing::UpForRetry | Standing::UpForReschedule | Standing::Parked => {
            facts.attempt.saturating_add(1)
        }
        Standing::Waiting
        | Standing::Queued
        | Standing::Running
        | Standing::Ended(_)
        | Standing::WaitingApproval(_)
        | Standing::Expanded
        | Standing::LostTooOften
        | Standing::Settled(_) => facts.attempt,
    };
    Some((attempt, failure))
}

/// The failure that a task settles with.
fn last_failure(it: &Move) -> Option<&Failure> {
    match &it.action {
        Action::Settle {
            why: Why::Failure(failure),
            ..
        } => Some(failure),
        Action::Settle { .. }
        | Action::Queue
        | Action::Requeue
        | Action::Retry { .. }
        | Action::Expand { .. }
        | Action::Reschedule { .. }
        | Action::Ask { .. } => None,
    }
}

#[derive(Default)]
struct AttemptRows {
    places: Places,
    attempts: Vec<i16>,
    states: Vec<i8>,
    reasons: Vec<String>,
    messages: Vec<String>,
    queued_at: Vec<Option<jiff_sqlx::Timestamp>>,
    started_at: Vec<Option<jiff_sqlx::Timestamp>>,
}

impl AttemptRows {
    fn push(
        &mut self,
        instance: InstanceIndex,
        attempt: i16,
        state: char,
        reason: &str,
        message: &str,
    ) {
        self.places.push(instance);
        self.attempts.push(attempt);
        self.states.push(letter(state));
        self.reasons.push(reason.to_owned());
        self.messages.push(message.to_owned());
        self.queued_at.push(None);
        self.started_at.push(None);
    }

    fn push_ended(&mut self, ended: &Ended, decided: &Move) {
        let key = ended.row.key;
        let (state, reason, message) = match &ended.outcome {
            Outcome::Success { .. } | Outcome::Expands { .. } => return,
            Outcome::Skipped { reason } => ('k', "skipped".to_owned(), reason.clone()),
            Outcome::HandedBack => (
                'h',
                "handed_back".to_owned(),
                "its worker was shutting down".to_owned(),
            ),
            Outcome::Failed(failure) => {
                let failure = last_failure(decided).unwrap_or(failure);
                ('f', failure.kind.code(), failure.message.clone())
            }
            // What a waiting task was doing is history only once it gives up.
            Outcome::Waits(_) => match &decided.action {
                Action::Settle {
                    why: Why::Failure(failure),
                    ..
                } => ('f', failure.kind.code(), failure.message.clone()),
                Action::Settle {
                    why: Why::AskedToSkip(reason),
                    ..
                } => ('k', "skipped".to_owned(), reason.clone()),
                _ => return,
            },
        };
        self.push(
            key.instance.index(),
            key.attempt.get(),
            state,
            &reason,
            &message,
        );
        if let (Some(queued), Some(started)) =
            (self.queued_at.last_mut(), self.started_at.last_mut())
        {
            *queued = Some(ended.row.queued_at.to_sqlx());
            *started = ended.row.claimed_at.map(|it: Timestamp| it.to_sqlx());
        }
    }
}

fn reason(why: &Why) -> Option<String> {
    match why {
        Why::Succeeded => None,
        Why::Answered(answered) => match answered.answer {
            Answer::Approve => None,
            Answer::Reject => Some("rejected".to_owned()),
        },
        Why::Failure(failure) => Some(failure.kind.code()),
        Why::AskedToSkip(_) => Some("skipped".to_owned()),
        Why::Reason(reason) => Some((*reason).to_owned()),
    }
}
