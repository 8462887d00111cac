//! The limits of runs: what the clock calls for in a run, and when failures pause a DAG.

use std::time::Duration;

use dagctl_core::ids::{DagKey, DagRunId, DagVersionId};
use dagctl_core::limits::{AVERAGED_RUNS, calls_for_pause};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{Postgres, Transaction};

use crate::notices::{Gathering, NewNotice};
use crate::plans::{Look, from_letter, letter};
use crate::{Store, StoreError};

/// What a clock called for in a run; it is called for once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// `dagrun_timeout` ran out.
    Timeout,
    /// What failed goes again.
    Retry,
    /// The deadline passed before the run had ended.
    Deadline {
        /// When.
        at: Timestamp,
    },
}

/// A run for which the clock called; this look has locked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRun {
    /// Where it is defined.
    pub dag_version_id: DagVersionId,
    /// Its name.
    pub run_id: String,
    /// How often it went on after it had ended.
    pub epoch: i16,
    /// What the clock called for; whatever the run's end has overtaken is left out.
    pub due: Vec<Due>,
}

impl Store {
    /// How long the last [`AVERAGED_RUNS`] successful runs of a DAG took on average; `None`: there were fewer.
    pub async fn average_runtime(&self, dag: DagKey) -> Result<Option<Duration>, StoreError> {
        let row = sqlx::query!(
            r#"select count(*) as "count!", extract(epoch from avg(finished_at - started_at))::float8 as seconds
            from (
                select started_at, finished_at from dag_run
                where dag_key = $1 and state = 's' order by dag_run_id desc limit $2
            ) newest"#,
            dag.get(),
            i64::from(AVERAGED_RUNS)
        )
        .fetch_one(self.pool())
        .await?;
        let seconds = row
            .seconds
            .filter(|_| row.count >= i64::from(AVERAGED_RUNS));
        Ok(seconds.and_then(|it| Duration::try_from_secs_f64(it.max(0.0)).ok()))
    }
}

impl Look {
    /// Locks a run and takes what its clock calls for by now.
    pub async fn take_due(&mut self, run: DagRunId) -> Result<Option<DueRun>, StoreError> {
        let Some(row) = sqlx::query!(
            "select dag_version_id, run_id, epoch, state, finished_at, cancel_requested_at
            from dag_run where dag_run_id = $1 for update",
            run.get()
        )
        .fetch_optional(&mut *self.tx)
        .await?
        else {
            return Ok(None);
        };
        let rows = sqlx::query!(
            "delete from run_due where dag_run_id = $1 and due_at <= clock_timestamp() returning kind, due_at",
            run.get()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let is_running = row.state == letter('r') && row.cancel_requested_at.is_none();
        let finished_at = row.finished_at.map(|it| it.to_jiff());
        let due = rows
            .into_iter()
            .filter_map(|it| match from_letter(it.kind) {
                't' => is_running.then_some(Due::Timeout),
                'r' => is_running.then_some(Due::Retry),
                _ => {
                    let at = it.due_at.to_jiff();
                    let is_missed = finished_at.is_none_or(|finished| finished > at);
                    is_missed.then_some(Due::Deadline { at })
                }
            })
            .collect();
        Ok(Some(DueRun {
            dag_version_id: DagVersionId(row.dag_version_id),
            run_id: row.run_id,
            epoch: row.epoch,
            due,
        }))
    }

    /// Records that a run took longer than it may: it is asked to stop.
    pub async fn time_out(&mut self, run: DagRunId) -> Result<(), StoreError> {
        sqlx::query!(
            "update dag_run set timed_out_at = clock_timestamp(), cancel_requested_at = clock_timestamp(),
                cancel_requested_by = 'dagrun_timeout'
            where dag_run_id = $1 and state = 'r' and cancel_requested_at is null",
            run.get()
        )
        .execute(&mut *self.tx)
        .await?;
        self.want_look(run).await
    }

    /// Pauses a DAG whose newest runs failed, as many as `limit` says, and writes the audit. `true`: it does now. The
    /// DAG's row is locked by the caller. Cancelled runs say nothing.
    pub async fn pause_if_failing(
        &mut self,
        dag: DagKey,
        limit: u32,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let newest = sqlx::query_scalar!(
            r#"select state = 'f' as "has_failed!" from dag_run
            where dag_key = $1 and state in ('s', 'f') and (cancel_requested_at is null or timed_out_at is not null)
            order by dag_run_id desc limit $2"#,
            dag.get(),
            i64::from(limit)
        )
        .fetch_all(&mut *self.tx)
        .await?;
        if !calls_for_pause(limit, &newest) {
            return Ok(false);
        }
        let paused = sqlx::query!(
            "with paused as (
                update dag set is_paused = true, pause_reason = $2 where dag_key = $1 and not is_paused
                returning dag_id
            )
            insert into audit (who, action, object, detail)
            select 'dagctl', 'dag.pause', dag_id, jsonb_build_object('reason', $2::text) from paused",
            dag.get(),
            reason
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(paused.rows_affected() > 0)
    }

    /// Writes messages of a run to the outbox; one that is there already stays as it is.
    pub async fn tell(&mut self, run: DagRunId, notices: &[NewNotice]) -> Result<(), StoreError> {
        self.add_notices(run, notices, Gathering::NONE).await
    }

    /// Notes when what failed in a run goes again.
    pub(crate) async fn put_off(
        &mut self,
        run: DagRunId,
        delay: Duration,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into run_due (dag_run_id, kind, due_at)
            values ($1, 'r', clock_timestamp() + make_interval(secs => $2))
            on conflict (dag_run_id, kind) do nothing",
            run.get(),
            delay.as_secs_f64()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// Notes by when new runs should have ended.
pub(crate) async fn set_deadlines(
    tx: &mut Transaction<'static, Postgres>,
    deadlines: &[(DagRunId, Timestamp)],
) -> Result<(), StoreError> {
    if deadlines.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into run_due (dag_run_id, kind, due_at)
        select dag_run_id, 'd', due_at from unnest($1::bigint[], $2::timestamptz[]) as it (dag_run_id, due_at)",
        &deadlines.iter().map(|(it, _)| it.get()).collect::<Vec<_>>(),
        &deadlines.iter().map(|(_, at)| at.to_sqlx()).collect::<Vec<_>>() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
