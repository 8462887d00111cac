//! Worker processes: one lease each, renewed by a heartbeat; what a silent one held goes back to the queue.

use std::time::Duration;

use dagctl_core::ids::{DagRunId, WorkerId};
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
}

/// What a heartbeat learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heartbeat {
    /// The lease holds; these runs of it are asked to stop, by whom.
    Alive {
        /// Runs to stop, and who asked.
        cancelled: Vec<(DagRunId, String)>,
    },
    /// The lease is gone: everything under way must stop, none of it counts.
    Lost,
}

/// What became of the retries that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueTimers {
    /// Tasks that were put into the queue.
    pub queued: u64,
    /// Runs in which a look says whether there is a place.
    pub to_look_at: Vec<DagRunId>,
}

impl Store {
    /// Enters a worker.
    pub async fn register_worker(&self, new: &NewWorker) -> Result<WorkerId, StoreError> {
        let id = sqlx::query_scalar!(
            "insert into worker (name, version, slots, lease_until)
            values ($1, $2, $3, now() + make_interval(secs => $4)) returning worker_id",
            new.name,
            new.version,
            new.slots,
            new.lease.as_secs_f64()
        )
        .fetch_one(self.pool())
        .await?;
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
        let renewed = sqlx::query!(
            "update worker set lease_until = now() + make_interval(secs => $2)
            where worker_id = $1 and lost_at is null",
            worker.get(),
            lease.as_secs_f64()
        )
        .execute(self.pool())
        .await?;
        if renewed.rows_affected() == 0 {
            return Ok(Heartbeat::Lost);
        }
        let rows = sqlx::query!(
            r#"select distinct r.dag_run_id, coalesce(r.cancel_requested_by, 'somebody') as "by!"
            from ready q join dag_run r using (dag_run_id)
            where q.worker_id = $1 and r.cancel_requested_at is not null"#,
            worker.get()
        )
        .fetch_all(self.pool())
        .await?;
        Ok(Heartbeat::Alive {
            cancelled: rows
                .into_iter()
                .map(|it| (DagRunId(it.dag_run_id), it.by))
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

    /// Puts due retries into the queue, and names the runs in which a look has to: those that may not have more tasks
    /// under way than `max_active_tasks`.
    ///
    /// The run's row is locked first, as everywhere: a cancel decides on a task either before or after, never both.
    pub async fn queue_due_timers(&self) -> Result<DueTimers, StoreError> {
        let mut tx = self.begin().await?;
        let due = sqlx::query!(
            "select t.dag_run_id, t.task_index, t.map_index, r.is_limited
            from timer t join dag_run r using (dag_run_id)
            where t.due_at <= now() order by t.due_at limit 1000"
        )
        .fetch_all(&mut *tx)
        .await?;
        let (limited, plain): (Vec<_>, Vec<_>) = due.into_iter().partition(|it| it.is_limited);
        let mut to_look_at: Vec<DagRunId> =
            limited.iter().map(|it| DagRunId(it.dag_run_id)).collect();
        to_look_at.sort_unstable();
        to_look_at.dedup();
        if plain.is_empty() {
            return Ok(DueTimers {
                queued: 0,
                to_look_at,
            });
        }
        let runs: Vec<i64> = plain.iter().map(|it| it.dag_run_id).collect();
        sqlx::query!(
            "select from dag_run where dag_run_id = any($1) order by dag_run_id for update",
            &runs
        )
        .execute(&mut *tx)
        .await?;
        let done = sqlx::query!(
            "with due as (
                delete from timer t
                using unnest($1::bigint[], $2::int[], $3::int[]) as it (dag_run_id, task_index, map_index)
                where (t.dag_run_id, t.task_index, t.map_index) = (it.dag_run_id, it.task_index, it.map_index)
                    and t.due_at <= now()
                returning t.*
            )
            insert into ready (pool_key, priority, dag_run_id, task_index, map_index, attempt, lost)
            select k.pool_key, k.priority, d.dag_run_id, d.task_index, d.map_index, d.attempt, d.lost
            from due d
            join dag_run r using (dag_run_id)
            join dag_task k using (dag_version_id, task_index)
            on conflict (dag_run_id, task_index, map_index) do nothing",
            &runs,
            &plain.iter().map(|it| it.task_index).collect::<Vec<_>>(),
            &plain.iter().map(|it| it.map_index).collect::<Vec<_>>()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(DueTimers {
            queued: done.rows_affected(),
            to_look_at,
        })
    }
}
