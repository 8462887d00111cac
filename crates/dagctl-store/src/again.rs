//! Going again: what a person clears or marks in a run, recorded in one transaction that holds the run. A look decides
//! afterwards what that leads to; the run is marked for it, so a crash between the two costs nothing.

use dagctl_core::again::{Cause, Changes, Past};
use dagctl_core::ids::{DagKey, DagRunId, DagVersionId, TaskIndex};
use dagctl_core::state::RunState;
use serde_json::Value;

use crate::StoreError;
use crate::plans::{Look, from_letter, letter, run_state, verdict};
use crate::runs::{StartedRuns, lock_places, start_queued};

mod version;

/// A run that somebody wants something of; this look has locked it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastRun {
    /// The run.
    pub dag_run_id: DagRunId,
    /// Its DAG.
    pub dag_key: DagKey,
    /// Where it is defined.
    pub dag_version_id: DagVersionId,
    /// Where it stands.
    pub state: RunState,
    /// Whether it was asked to stop.
    pub is_stopping: bool,
    /// Its tasks in the DAG's order; empty before its first start.
    pub tasks: Vec<Past>,
}

/// Who wants it, for the audit.
#[derive(Debug, Clone)]
pub struct AgainAudit<'a> {
    /// The account.
    pub who: &'a str,
    /// What was done, such as `run.retry`.
    pub action: &'a str,
    /// The DAG.
    pub dag_id: &'a str,
    /// More about it.
    pub detail: Value,
}

impl Look {
    /// Locks a run and reads where its tasks stand, as far as going again is concerned.
    pub async fn past(&mut self, run: DagRunId) -> Result<Option<PastRun>, StoreError> {
        let Some(row) = sqlx::query!(
            r#"select dag_key, dag_version_id, state, cancel_requested_at is not null as "is_stopping!"
            from dag_run where dag_run_id = $1 for update"#,
            run.get()
        )
        .fetch_optional(&mut *self.tx)
        .await?
        else {
            return Ok(None);
        };
        let tasks = sqlx::query_file!("src/again/past.sql", run.get())
            .fetch_all(&mut *self.tx)
            .await?;
        let tasks = tasks
            .into_iter()
            .map(|it| {
                Ok(match from_letter(it.stands) {
                    'r' => Past::Running,
                    'q' => Past::Queued,
                    'n' => Past::Waiting,
                    _ => Past::Settled {
                        verdict: verdict(it.stands)?,
                        cause: match from_letter(it.cause) {
                            'o' => Cause::Others,
                            's' => Cause::Stop,
                            _ => Cause::Itself,
                        },
                    },
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(PastRun {
            dag_run_id: run,
            dag_key: DagKey(row.dag_key),
            dag_version_id: DagVersionId(row.dag_version_id),
            state: run_state(row.state)?,
            is_stopping: row.is_stopping,
            tasks,
        }))
    }

    /// Puts tasks of a run back and gives verdicts, as [`Changes`] says, and writes the audit. A run that had ended goes
    /// on: at once, if its DAG has a place for it. What is left to decide is for a look.
    pub async fn go_again(
        &mut self,
        run: &PastRun,
        changes: &Changes,
        audit: &AgainAudit<'_>,
        backfill: Option<i32>,
    ) -> Result<StartedRuns, StoreError> {
        let back: Vec<i32> = (changes.cleared.iter().chain(&changes.reconsidered))
            .map(|it| it.get())
            .collect();
        self.put_back(run, &back, changes).await?;
        let ended = run.state.is_final();
        self.recount(run, ended).await?;
        sqlx::query!(
            "insert into audit (who, action, object, detail) values ($1, $2, $3, $4)",
            audit.who,
            audit.action,
            audit.dag_id,
            audit.detail
        )
        .execute(&mut *self.tx)
        .await?;
        if ended {
            let dag = run.dag_key.get();
            lock_places(&mut self.tx, &[dag]).await?;
            self.reopen(run, backfill).await?;
            let started = start_queued(&mut self.tx, &[dag]).await?;
            return Ok(started.into());
        }
        self.want_look(run.dag_run_id).await?;
        Ok(StartedRuns::default())
    }

    /// Has what failed in a run that has not ended go again, by its own `dagrun_retries`.
    pub async fn retry_run(&mut self, run: &PastRun, changes: &Changes) -> Result<(), StoreError> {
        let back: Vec<i32> = changes.cleared.iter().map(|it| it.get()).collect();
        self.put_back(run, &back, changes).await?;
        self.recount(run, false).await?;
        sqlx::query!(
            "update dag_run set run_retries = run_retries + 1 where dag_run_id = $1",
            run.dag_run_id.get()
        )
        .execute(&mut *self.tx)
        .await?;
        self.want_look(run.dag_run_id).await
    }

    /// Marks a run as one that something is left to decide in.
    pub(crate) async fn want_look(&mut self, run: DagRunId) -> Result<(), StoreError> {
        sqlx::query!(
            "update live_run set look_wanted = true where dag_run_id = $1",
            run.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn put_back(
        &mut self,
        run: &PastRun,
        back: &[i32],
        changes: &Changes,
    ) -> Result<(), StoreError> {
        let marked = changes.marked.map(|(task, _)| task);
        let touched: Vec<i32> = back
            .iter()
            .copied()
            .chain(marked.map(TaskIndex::get))
            .collect();
        // What succeeded is kept as history before its row forgets it; the same for what was already told of failures.
        sqlx::query_file!("src/again/put_back.sql", run.dag_run_id.get(), &touched)
            .execute(&mut *self.tx)
            .await?;
        if let Some((task, verdict)) = changes.marked {
            sqlx::query!(
                "update task_instance set state = $3, reason = 'marked', finished_at = clock_timestamp()
                where dag_run_id = $1 and task_index = $2",
                run.dag_run_id.get(),
                task.get(),
                letter(verdict.letter())
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Counts from the facts what is otherwise counted down step by step.
    async fn recount(&mut self, run: &PastRun, ended: bool) -> Result<(), StoreError> {
        sqlx::query_file!(
            "src/again/recount.sql",
            run.dag_run_id.get(),
            run.dag_version_id.get()
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            r#"update dag_run r set remaining = c.open, n_failed = c.failed, went_again = true, look_failures = 0, look_error = null,
                state = case when $2 then 'q'::"char" else r.state end,
                epoch = case when $2 then r.epoch + 1 else r.epoch end,
                queued_at = case when $2 then clock_timestamp() else r.queued_at end,
                started_at = case when $2 then null else r.started_at end,
                finished_at = case when $2 then null else r.finished_at end,
                cancel_requested_at = case when $2 then null else r.cancel_requested_at end,
                cancel_requested_by = case when $2 then null else r.cancel_requested_by end,
                timed_out_at = case when $2 then null else r.timed_out_at end,
                run_retries = case when $2 then 0 else r.run_retries end
            from (
                select count(*) filter (where state = 'n')::int as open,
                    count(*) filter (where state in ('f', 'u'))::int as failed
                from task_instance where dag_run_id = $1
            ) c
            where r.dag_run_id = $1"#,
            run.dag_run_id.get(),
            ended
        )
        .execute(&mut *self.tx)
        .await?;
        // Whatever waited for another try of the run goes now.
        sqlx::query!(
            "delete from run_due where dag_run_id = $1 and kind = 'r'",
            run.dag_run_id.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Enters a run among those under way again; the DAG, which is locked, forgets that it ended.
    async fn reopen(&mut self, run: &PastRun, backfill: Option<i32>) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into live_run (dag_run_id, dag_key, is_running, is_asked_for, backfill_id)
            values ($1, $2, false, true, $3)
            on conflict (dag_run_id) do nothing",
            run.dag_run_id.get(),
            run.dag_key.get(),
            backfill
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "update dag d set last_dag_run_id = e.dag_run_id, last_state = e.state, last_at = e.finished_at
            from (select 1) one left join lateral (
                select dag_run_id, state, finished_at from dag_run
                where dag_key = $2 and state in ('s', 'f') and dag_run_id <> $1
                order by dag_run_id desc limit 1
            ) e on true
            where d.dag_key = $2 and d.last_dag_run_id = $1",
            run.dag_run_id.get(),
            run.dag_key.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
