//! Worker processes: one lease each, renewed by a heartbeat; what a silent one held goes back to the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use dagctl_core::ids::{DagRunId, TaskIndex, WorkerId};
use dagctl_core::run::MAX_LOST;

use crate::{Store, StoreError};

/// A worker process that presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorker {
    /// Host and process, for people.
    pub name: String,
    /// The version of dagctl it runs.
    pub version: String,
    /// Attempts it can have under way.
    pub slots: i32,
    /// How long its claims hold without a heartbeat.
    pub lease: Duration,
    /// The queues it takes tasks of.
    pub queues: Vec<String>,
}

/// What a heartbeat learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heartbeat {
    /// The lease holds; these tasks of it are asked to stop, by whom.
    Alive {
        /// Tasks to stop, and who asked. Teardowns go on.
        cancelled: Vec<(DagRunId, TaskIndex, String)>,
    },
    /// The lease is gone: everything under way must stop, none of it counts.
    Lost,
}

impl Store {
    /// Enters a worker.
    pub async fn register_worker(&self, new: &NewWorker) -> Result<WorkerId, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "insert into queue (name) select distinct name from unnest($1::text[]) as it (name) order by name
            on conflict (name) do nothing",
            &new.queues
        )
        .execute(&mut *tx)
        .await?;
        let id = sqlx::query_scalar!(
            "insert into worker (name, version, slots, lease_until, queue_keys)
            values ($1, $2, $3, now() + make_interval(secs => $4),
                array(select queue_key from queue where name = any($5)))
            returning worker_id",
            new.name,
            new.version,
            new.slots,
            new.lease.as_secs_f64(),
            &new.queues
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(WorkerId(id))
    }

    /// Renews a worker's lease, and tells it which of its runs to stop.
    ///
    /// Meets the reaper's mark on the worker's row: it renews before the mark, or learns that it is lost.
    pub async fn heartbeat(
        &self,
        worker: WorkerId,
        lease: Duration,
    ) -> Result<Heartbeat, StoreError> {
        let rows = sqlx::query!(
            r#"with renewed as (
                update worker set lease_until = now() + make_interval(secs => $2)
                where worker_id = $1 and lost_at is null
                returning worker_id
            )
            select distinct q.dag_run_id as "dag_run_id?", q.task_index as "task_index?",
                coalesce(r.cancel_requested_by, 'somebody') as "by!"
            from renewed w
            left join (
                ready q
                join dag_run r on r.dag_run_id = q.dag_run_id and r.cancel_requested_at is not null
                join dag_task k on k.dag_version_id = q.dag_version_id and k.task_index = q.task_index and k.rule <> 't'
            ) on q.worker_id = w.worker_id"#,
            worker.get(),
            lease.as_secs_f64()
        )
        .fetch_all(self.pool())
        .await?;
        if rows.is_empty() {
            return Ok(Heartbeat::Lost);
        }
        Ok(Heartbeat::Alive {
            cancelled: rows
                .into_iter()
                .filter_map(|it| Some((DagRunId(it.dag_run_id?), TaskIndex(it.task_index?), it.by)))
                .collect(),
        })
    }

    /// Marks workers whose lease ran out. Time is the database's, and none is marked in the first `lease` after the
    /// database started: its own outage must not look like everybody's silence.
    pub async fn mark_lost_workers(&self, lease: Duration) -> Result<Vec<WorkerId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "update worker set lost_at = now()
            where lease_until < now() and lost_at is null and stopped_at is null
                and pg_postmaster_start_time() + make_interval(secs => $1) < now()
            returning worker_id",
            lease.as_secs_f64()
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows.into_iter().map(WorkerId).collect())
    }

    /// Marks every worker lost: for a database that only one process can use, which has just started.
    pub async fn void_workers(&self) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "update worker set lost_at = now() where lost_at is null and stopped_at is null"
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }

    /// Puts back what workers without a lease hold: a new attempt number voids whatever they still report.
    /// Gives back how many tasks that was.
    pub async fn release_lost(&self) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            r#"with held as materialized (
                select q.dag_run_id, q.task_index, q.map_index, q.attempt, q.worker_id, q.queued_at, q.claimed_at,
                    w.name, w.lease_until
                from ready q join worker w using (worker_id)
                where (w.lost_at is not null or w.stopped_at is not null) and q.lost < $1
                for update of q skip locked
            ), released as (
                update ready q
                set worker_id = null, claimed_at = null, attempt = q.attempt + 1, lost = q.lost + 1, seq = default,
                    queued_at = now()
                from held h
                where (q.dag_run_id, q.task_index, q.map_index) = (h.dag_run_id, h.task_index, h.map_index)
                    and q.attempt = h.attempt and q.worker_id = h.worker_id
                returning h.*
            )
            insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, worker_id,
                queued_at, started_at)
            select dag_run_id, task_index, map_index, attempt, 'l', 'lost_worker',
                format('worker %s lost, its lease ended %s', name, to_char(lease_until at time zone 'UTC',
                    'YYYY-MM-DD HH24:MI:SS "UTC"')),
                worker_id, queued_at, claimed_at
            from released
            on conflict (dag_run_id, task_index, map_index, attempt) do nothing"#,
            MAX_LOST
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }

    /// Notes that a worker has left cleanly.
    pub async fn worker_stopped(&self, worker: WorkerId) -> Result<(), StoreError> {
        sqlx::query!(
            "update worker set stopped_at = now() where worker_id = $1",
            worker.get()
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Puts due retries and tasks that waited into the queue, as far as their runs have places for them; the others are
    /// parked. Gives back how many were queued.
    ///
    /// The run's row is locked first, as everywhere: a cancel decides on a task either before or after, never both.
    pub async fn queue_due_timers(&self) -> Result<u64, StoreError> {
        let mut look = self.look().await?;
        let due = sqlx::query!(
            "select dag_run_id, task_index, map_index from timer
            where due_at <= now() and kind <> 'a' order by due_at limit 1000"
        )
        .fetch_all(&mut *look.tx)
        .await?;
        if due.is_empty() {
            return Ok(0);
        }
        let runs: BTreeSet<DagRunId> = due.iter().map(|it| DagRunId(it.dag_run_id)).collect();
        let runs = Vec::from_iter(runs);
        look.lock(&runs).await?;
        let limited = look.limited(&runs).await?;
        let queued = sqlx::query_file_scalar!(
            "src/workers/due_timers.sql",
            &due.iter().map(|it| it.dag_run_id).collect::<Vec<_>>(),
            &due.iter().map(|it| it.task_index).collect::<Vec<_>>(),
            &due.iter().map(|it| it.map_index).collect::<Vec<_>>(),
            &due.iter()
                .map(|it| limited.contains(&DagRunId(it.dag_run_id)))
                .collect::<Vec<_>>()
        )
        .fetch_one(&mut *look.tx)
        .await?;
        let limited = Vec::from_iter(limited);
        let mut queued = u64::try_from(queued).unwrap_or(0) + look.fill(&limited).await?;
        let counting = look.counting_over_runs(&limited).await?;
        look.commit().await?;
        for dag in counting {
            queued += self.fill_dag(dag).await?;
        }
        Ok(queued)
    }
}
