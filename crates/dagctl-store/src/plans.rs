//! A look at a run: lock it, load its facts, carry out the plan, all in one transaction.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dagctl_core::ids::{DagKey, DagRunId, DagVersionId, InstanceIndex, TaskIndex, WorkerId};
use dagctl_core::outcome::Outcome;
use dagctl_core::run::{LimitFacts, MAX_LOST, Move, RunFacts, Standing, TaskFacts};
use dagctl_core::state::{RunState, Verdict};
use sqlx::{Postgres, Transaction};

use crate::attempts::GivenBack;
use crate::dags::{VersionTexts, version_texts};
use crate::waiting::{TimerKind, pokes};
use crate::{Store, StoreError};

mod apply;
mod conditions;
mod expand;
mod wait;

pub use conditions::{PastAsked, PastNews};

/// A transaction that looks at runs. Dropped without [`Look::commit`], it changes nothing.
pub struct Look {
    pub(crate) tx: Transaction<'static, Postgres>,
}

/// A run that is locked by this look.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedRun {
    /// The run.
    pub dag_run_id: DagRunId,
    /// Its DAG.
    pub dag_key: DagKey,
    /// Where it is defined.
    pub dag_version_id: DagVersionId,
    /// Where it stands.
    pub state: RunState,
    /// How often it went on after it had ended.
    pub epoch: i16,
    /// Looks at it that failed, one after another.
    pub look_failures: i16,
    /// Whether it has more tasks than may be under way at once.
    pub is_limited: bool,
    /// Whether it has tasks that are counted over all runs of its DAG.
    pub counts_over_runs: bool,
    /// Whether somebody waits for its end.
    pub is_awaited: bool,
    /// Whether it is marked as one that something is left to decide in.
    pub is_wanted: bool,
    /// What is known of it; tasks whose attempts ended in this look are `Running` here.
    pub facts: RunFacts,
}

/// An attempt that ended in this look.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What `ready` knew of it.
    pub row: GivenBack,
    /// What it reported.
    pub outcome: Outcome,
}

/// What a look changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Tasks put into the queue.
    pub queued: u64,
    /// Whether the run ended.
    pub ended: bool,
    /// Whether tasks were put to wait, or woken.
    pub timers: bool,
}

/// A plan with what its writes need besides.
#[derive(Debug)]
pub struct Orders<'a> {
    /// One move a task instance at most.
    pub moves: &'a [Move],
    /// The state the run ends in once nothing is left.
    pub ends: Option<RunState>,
    /// After how long what failed goes again, in place of an end.
    pub goes_again_after: Option<Duration>,
    /// Attempts that ended in this look, by instance.
    pub ended: &'a BTreeMap<InstanceIndex, Ended>,
    /// Who reported them.
    pub worker: Option<WorkerId>,
}

impl Store {
    /// Begins a look.
    pub async fn look(&self) -> Result<Look, StoreError> {
        Ok(Look {
            tx: self.begin().await?,
        })
    }

    /// Notes that a look at a run failed; after the third in a row the run is set aside, so that it cannot stop the
    /// others: its queued tasks leave the queue. `true`: it is set aside.
    pub async fn look_failed(&self, run: DagRunId, error: &str) -> Result<bool, StoreError> {
        let set_aside = sqlx::query_scalar!(
            r#"with failed as (
                update dag_run set look_failures = least(look_failures + 1, 3),
                    look_error = case when look_failures + 1 >= 3 then coalesce(look_error, $2) end
                where dag_run_id = $1
                returning dag_run_id, look_error is not null as is_set_aside
            ), unqueued as (
                delete from ready q using failed f
                where q.dag_run_id = f.dag_run_id and f.is_set_aside and q.worker_id is null
                returning q.dag_run_id, q.task_index, q.map_index, q.attempt
            ), numbered as (
                update task_instance t set attempt = q.attempt - 1
                from unqueued q
                where (t.dag_run_id, t.task_index, t.map_index) = (q.dag_run_id, q.task_index, q.map_index)
                    and t.state = 'n'
            )
            select is_set_aside as "is_set_aside!" from failed"#,
            run.get(),
            error
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(set_aside.unwrap_or(false))
    }

    /// Ends runs that were set aside and that somebody asked to stop: no look can, so their open tasks are skipped and
    /// nobody is told. Attempts under way are waited for. Gives back how many runs that was.
    pub async fn end_set_aside(&self) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "with run as (
                update dag_run r set state = 'f', finished_at = clock_timestamp(), remaining = 0
                where dag_run_id in (select dag_run_id from live_run where is_running) and state = 'r'
                    and cancel_requested_at is not null and look_error is not null
                    and not exists (select from ready q where q.dag_run_id = r.dag_run_id)
                returning dag_run_id, dag_key, finished_at
            ), skipped as (
                update task_instance t set state = 'k', reason = 'cancelled', finished_at = clock_timestamp()
                from run r where t.dag_run_id = r.dag_run_id and t.state = 'n'
            ), timers as (
                delete from timer t using run r where t.dag_run_id = r.dag_run_id
            ), parked as (
                delete from parked t using run r where t.dag_run_id = r.dag_run_id
            ), live as (
                delete from live_run t using run r where t.dag_run_id = r.dag_run_id
            ), due as (
                delete from run_due t using run r where t.dag_run_id = r.dag_run_id
            )
            update dag d set last_dag_run_id = r.dag_run_id, last_state = 'f', last_at = r.finished_at
            from run r where d.dag_key = r.dag_key"
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

impl Look {
    /// Locks runs in the one order that every batch uses.
    pub async fn lock(&mut self, runs: &[DagRunId]) -> Result<(), StoreError> {
        let ids: Vec<i64> = runs.iter().map(|it| it.get()).collect();
        sqlx::query!(
            "select from dag_run where dag_run_id = any($1) order by dag_run_id for update",
            &ids
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Locks one run and loads what is known of it.
    pub async fn run(&mut self, run: DagRunId) -> Result<Option<LockedRun>, StoreError> {
        let Some(row) = sqlx::query!(
            r#"select r.dag_key, r.dag_version_id, r.state, r.cancel_requested_by, r.look_failures, r.epoch,
                r.is_awaited, clock_timestamp() as "now!",
                r.run_retries, r.timed_out_at is not null as "is_timed_out!",
                exists (select from run_due t where t.dag_run_id = r.dag_run_id and t.kind = 'r') as "waits_for_retry!",
                v.is_limited or r.went_again as "is_limited!", v.limits_tasks as "counts_over_runs!",
                exists (select from live_run l where l.dag_run_id = r.dag_run_id and l.look_wanted) as "is_wanted!"
            from dag_run r join dag_version v using (dag_version_id)
            where r.dag_run_id = $1 for update of r"#,
            run.get()
        )
        .fetch_optional(&mut *self.tx)
        .await?
        else {
            return Ok(None);
        };
        let rows = sqlx::query_file!("src/plans/facts.sql", run.get())
            .fetch_all(&mut *self.tx)
            .await?;
        let asks = letter(TimerKind::Approval.letter());
        let mut questions = HashMap::new();
        if rows.iter().any(|it| it.timer_kind == Some(asks)) {
            questions.extend(self.questions(run).await?);
        }
        let mut tasks: Vec<TaskFacts> = vec![];
        let mut is_expanded = false;
        for row in rows {
            let standing = if row.state != letter('n') {
                Standing::Settled(verdict(row.state)?)
            } else {
                match (row.ready_lost, row.ready_worker) {
                    (Some(lost), None) if lost >= MAX_LOST => Standing::LostTooOften,
                    (Some(_), None) => Standing::Queued,
                    (Some(_), Some(_)) => Standing::Running,
                    (None, _) if row.is_parked => Standing::Parked,
                    (None, _) => match row.timer_kind.map(from_letter) {
                        None if row.is_expanded => Standing::Expanded,
                        None => Standing::Waiting,
                        Some('r') => Standing::UpForRetry,
                        Some('a') => Standing::WaitingApproval(
                            questions
                                .remove(&(row.task_index, row.map_index))
                                .unwrap_or_default(),
                        ),
                        Some(_) => Standing::UpForReschedule,
                    },
                }
            };
            let attempt = row.ready_attempt.unwrap_or(row.attempt);
            let tries = u16::try_from(row.tries).unwrap_or(0);
            let facts = TaskFacts {
                first_poke_at: row.first_poke_at.map(|it| it.to_jiff()),
                pokes: pokes(row.pokes),
                ..TaskFacts::new(standing, attempt, tries)
            };
            // Sorted: a task comes before its instances. Those of a task that was put back are only kept for their numbers.
            match tasks.last_mut() {
                Some(task) if row.map_index >= 0 => {
                    if is_expanded {
                        task.instances.push(facts);
                    }
                }
                _ => {
                    tasks.push(facts);
                    is_expanded = row.is_expanded;
                }
            }
        }
        Ok(Some(LockedRun {
            dag_run_id: run,
            dag_key: DagKey(row.dag_key),
            dag_version_id: DagVersionId(row.dag_version_id),
            state: run_state(row.state)?,
            epoch: row.epoch,
            look_failures: row.look_failures,
            is_limited: row.is_limited,
            counts_over_runs: row.counts_over_runs,
            is_awaited: row.is_awaited,
            is_wanted: row.is_wanted,
            facts: RunFacts {
                now: row.now.to_jiff(),
                cancelled_by: row.cancel_requested_by,
                limits: LimitFacts {
                    is_timed_out: row.is_timed_out,
                    retries: u16::try_from(row.run_retries).unwrap_or(0),
                    waits_for_retry: row.waits_for_retry,
                },
                tasks,
                ..RunFacts::default()
            },
        }))
    }

    /// Forgets the failed looks at a run that could be looked at.
    pub async fn recovered(&mut self, run: DagRunId) -> Result<(), StoreError> {
        sqlx::query!(
            "update dag_run set look_failures = 0, look_error = null where dag_run_id = $1",
            run.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Takes the mark from a run: what was left to decide is being decided.
    pub async fn decided(&mut self, run: DagRunId) -> Result<(), StoreError> {
        sqlx::query!(
            "update live_run set look_wanted = false where dag_run_id = $1 and look_wanted",
            run.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The texts of a version, read within this look.
    pub async fn version_texts(
        &mut self,
        version: DagVersionId,
    ) -> Result<Option<VersionTexts>, StoreError> {
        version_texts(&mut *self.tx, version).await
    }

    /// Tasks of a run that failed before this look, with their last error.
    pub async fn failed_tasks(
        &mut self,
        run: DagRunId,
    ) -> Result<Vec<(TaskIndex, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"select distinct on (t.task_index) t.task_index, coalesce(a.message, t.reason, '') as "message!"
            from task_instance t
            left join attempt a using (dag_run_id, task_index, map_index, attempt)
            where t.dag_run_id = $1 and t.state = 'f' order by t.task_index, a.message is null, t.map_index"#,
            run.get()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|it| (TaskIndex(it.task_index), it.message))
            .collect())
    }

    /// A run's name and the commit of its version, for messages.
    pub async fn run_name(
        &mut self,
        run: DagRunId,
    ) -> Result<Option<(String, Option<String>)>, StoreError> {
        let row = sqlx::query!(
            "select r.run_id, v.git_commit from dag_run r join dag_version v using (dag_version_id)
            where r.dag_run_id = $1",
            run.get()
        )
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(row.map(|it| (it.run_id, it.git_commit)))
    }

    /// Makes everything durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }
}

/// A letter as the type `"char"` takes it.
pub(crate) fn letter(it: char) -> i8 {
    i8::try_from(u32::from(it)).expect("the letters of states are ASCII")
}

/// The letter that a column of type `"char"` holds.
pub(crate) fn from_letter(it: i8) -> char {
    char::from(it.unsigned_abs())
}

pub(crate) fn verdict(it: i8) -> Result<Verdict, StoreError> {
    let found = from_letter(it);
    Verdict::from_letter(found).ok_or_else(|| StoreError::Unreadable {
        table: "task_instance",
        what: format!("state `{found}`"),
    })
}

pub(crate) fn run_state(it: i8) -> Result<RunState, StoreError> {
    let found = from_letter(it);
    RunState::from_letter(found).ok_or_else(|| StoreError::Unreadable {
        table: "dag_run",
        what: format!("state `{found}`"),
    })
}
