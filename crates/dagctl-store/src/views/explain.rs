//! What explains why something does not move, beside what lists show of it.

use std::collections::HashMap;

use dagctl_core::ids::{DagRunId, DagVersionId};
use jiff::Timestamp;

use super::dags::DagRow;
use crate::{Store, StoreError};

/// What is known of a DAG besides its row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DagReasons {
    /// Who or what paused it last, and when.
    pub paused_by: Option<(String, Option<Timestamp>)>,
    /// The first error of its file, and since when.
    pub error: Option<(String, Timestamp)>,
    /// Intervals that were left out last: how many, why, when.
    pub skipped: Option<(i64, String, Timestamp)>,
}

/// A pool with a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitedPool {
    /// How many tasks run in it at once.
    pub slots: i64,
    /// Those that do, as `dag.task`.
    pub holders: Vec<String>,
}

/// What is known of the tasks of a run besides their rows, by their place and mapped instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskReasons {
    /// Upstream tasks that have not settled, by the place of the task that waits.
    pub open_upstream: HashMap<i32, Vec<String>>,
    /// The queue of each task.
    pub queues: HashMap<i32, String>,
    /// Since when a task is parked, or when its last attempt ended.
    pub since: HashMap<(i32, i32), Timestamp>,
    /// Tasks of the run under way at once.
    pub max_active_tasks: i64,
    /// Workers that live and their free places, by queue.
    pub workers: HashMap<String, (i64, i64)>,
    /// Pools that have a limit, by name.
    pub pools: HashMap<String, LimitedPool>,
}

impl Store {
    /// What explains when a DAG runs next.
    pub async fn dag_reasons(&self, dag: &DagRow) -> Result<DagReasons, StoreError> {
        let paused = sqlx::query!(
            "select who, at from audit where action = 'dag.pause' and object = $1 order by audit_id desc limit 1",
            dag.dag_id
        )
        .fetch_optional(self.pool())
        .await?;
        let reason = sqlx::query_scalar!(
            "select pause_reason from dag where dag_key = $1",
            dag.dag_key.get()
        )
        .fetch_optional(self.pool())
        .await?
        .flatten();
        let error = sqlx::query!(
            "select message, first_seen_at from problem
            where (dag_id = $1 or file = $2) and severity = 'error' and code not in ('D021', 'D030')
            order by line limit 1",
            dag.dag_id,
            dag.file
        )
        .fetch_optional(self.pool())
        .await?;
        let skipped = sqlx::query!(
            "select count, reason, recorded_at from skipped_interval where dag_key = $1
            order by first_logical_at desc limit 1",
            dag.dag_key.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(DagReasons {
            paused_by: match reason {
                // It begins with who it was.
                Some(why) => Some((why.trim_start_matches("paused by ").to_owned(), None)),
                None => paused.map(|it| (it.who, Some(it.at.to_jiff()))),
            },
            error: error.map(|it| (it.message, it.first_seen_at.to_jiff())),
            skipped: skipped.map(|it| (i64::from(it.count), it.reason, it.recorded_at.to_jiff())),
        })
    }

    /// When what failed in a run goes again by itself.
    pub async fn goes_again_at(&self, run: DagRunId) -> Result<Option<Timestamp>, StoreError> {
        let due = sqlx::query_scalar!(
            "select due_at from run_due where dag_run_id = $1 and kind = 'r'",
            run.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(due.map(|it| it.to_jiff()))
    }

    /// What explains why the tasks of a run do not move.
    pub async fn task_reasons(
        &self,
        run: DagRunId,
        version: DagVersionId,
    ) -> Result<TaskReasons, StoreError> {
        let mut reasons = TaskReasons::default();
        let open = sqlx::query!(
            r#"select e.child, array_agg(k.task_id order by k.task_index) as "open!"
            from dag_edge e
            join task_instance t on t.dag_run_id = $1 and t.task_index = e.parent and t.map_index = -1 and t.state = 'n'
            join dag_task k on k.dag_version_id = $2 and k.task_index = e.parent
            where e.dag_version_id = $2 group by e.child"#,
            run.get(),
            version.get()
        )
        .fetch_all(self.pool())
        .await?;
        reasons.open_upstream = open.into_iter().map(|it| (it.child, it.open)).collect();
        let tasks = sqlx::query!(
            "select k.task_index, q.name as queue, v.max_active_tasks
            from dag_task k join queue q using (queue_key) join dag_version v using (dag_version_id)
            where k.dag_version_id = $1",
            version.get()
        )
        .fetch_all(self.pool())
        .await?;
        reasons.max_active_tasks = tasks.first().map_or(0, |it| i64::from(it.max_active_tasks));
        reasons.queues = tasks
            .into_iter()
            .map(|it| (it.task_index, it.queue))
            .collect();
        let since = sqlx::query!(
            r#"select task_index as "task_index!", map_index as "map_index!", max(at) as "at!" from (
                select task_index, map_index, parked_at as at from parked where dag_run_id = $1
                union all
                select a.task_index, a.map_index, a.finished_at
                from attempt a
                join timer t on t.dag_run_id = $1 and (t.task_index, t.map_index) = (a.task_index, a.map_index)
                where a.dag_run_id = $1
            ) it group by 1, 2"#,
            run.get()
        )
        .fetch_all(self.pool())
        .await?;
        let since = since.into_iter();
        reasons.since = since
            .map(|it| ((it.task_index, it.map_index), it.at.to_jiff()))
            .collect();
        let workers = sqlx::query!(
            r#"select q.name, count(*) as "alive!", sum(greatest(0, w.slots - coalesce(y.running, 0)))::bigint as "free!"
            from worker w
            cross join lateral unnest(w.queue_keys) as served (queue_key)
            join queue q on q.queue_key = served.queue_key
            left join (select worker_id, count(*) as running from ready group by worker_id) y on y.worker_id = w.worker_id
            where w.lost_at is null and w.stopped_at is null and w.lease_until > now()
            group by q.name"#
        )
        .fetch_all(self.pool())
        .await?;
        let workers = workers.into_iter();
        reasons.workers = workers.map(|it| (it.name, (it.alive, it.free))).collect();
        let pools = sqlx::query!(
            r#"select p.name, p.slots as "slots!", array(
                select d.dag_id || '.' || k.task_id
                from ready y
                join dag_version v using (dag_version_id)
                join dag d on d.dag_key = v.dag_key
                join dag_task k on k.dag_version_id = y.dag_version_id and k.task_index = y.task_index
                where y.pool_key = p.pool_key and y.worker_id is not null
                order by y.claimed_at
            ) as "holders!"
            from pool p where p.slots is not null"#
        )
        .fetch_all(self.pool())
        .await?;
        reasons.pools = pools
            .into_iter()
            .map(|it| {
                let limited = LimitedPool {
                    slots: i64::from(it.slots),
                    holders: it.holders,
                };
                (it.name, limited)
            })
            .collect();
        Ok(reasons)
    }
}
