//! What explains why something does not move, beside what lists show of it.

use std::collections::HashMap;

use dagctl_core::explain::{BackfillFacts, Places, PoolFacts};
use dagctl_core::ids::{DagRunId, DagVersionId};
use jiff::Timestamp;
use jiff_sqlx::Timestamp as At;

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

/// What is known of the tasks of a run besides their rows, by their place and mapped instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskReasons {
    /// Upstream tasks that have not settled, by the place of the task that waits.
    pub open_upstream: HashMap<i32, Vec<String>>,
    /// The queue of each task.
    pub queues: HashMap<i32, String>,
    /// The limits on each task.
    pub places: HashMap<i32, Places>,
    /// How many slots of its pool each task takes.
    pub pool_slots: HashMap<i32, i64>,
    /// Since when a task is parked, or when its last attempt ended.
    pub since: HashMap<(i32, i32), Timestamp>,
    /// Instances of expanded tasks that have not settled.
    pub open_instances: HashMap<i32, i64>,
    /// The runs that tasks made and wait for, as `dag/run`.
    pub awaited_runs: HashMap<(i32, i32), String>,
    /// What people are asked.
    pub questions: HashMap<(i32, i32), String>,
    /// The run before, by the place of a task that may wait for it.
    pub past_runs: HashMap<i32, String>,
    /// Workers that live and their free places, by queue.
    pub workers: HashMap<String, (i64, i64)>,
    /// Pools that have a limit, by name; how many slots a task wants is not known of them.
    pub pools: HashMap<String, PoolFacts>,
}

impl Store {
    /// What explains when a DAG runs next.
    pub async fn dag_reasons(&self, dag: &DagRow) -> Result<DagReasons, StoreError> {
        let row = sqlx::query_file!("src/views/dag_reasons.sql", dag.dag_key.get())
            .fetch_optional(self.pool())
            .await?;
        let Some(row) = row else {
            return Ok(DagReasons::default());
        };
        Ok(DagReasons {
            paused_by: match row.pause_reason {
                // It begins with who it was.
                Some(why) => Some((why.trim_start_matches("paused by ").to_owned(), None)),
                None => row
                    .paused_by
                    .map(|who| (who, row.paused_at.map(At::to_jiff))),
            },
            error: row.error.zip(row.error_since.map(At::to_jiff)),
            skipped: match (row.skipped, row.skipped_why, row.skipped_at) {
                (Some(count), Some(why), Some(at)) => Some((count.into(), why, at.to_jiff())),
                _ => None,
            },
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
            r#"select k.task_index, q.name as queue, k.pool_slots, k.max_tis_per_dag, k.max_tis_per_dagrun, v.max_active_tasks,
                (select count(*) from ready where dag_run_id = $2) as "taken!"
            from dag_task k join queue q using (queue_key) join dag_version v using (dag_version_id)
            where k.dag_version_id = $1"#,
            version.get(),
            run.get()
        )
        .fetch_all(self.pool())
        .await?;
        for it in tasks {
            let places = Places {
                taken: it.taken,
                max_active_tasks: i64::from(it.max_active_tasks),
                max_active_tis_per_dagrun: it.max_tis_per_dagrun.map(i64::from),
                max_active_tis_per_dag: it.max_tis_per_dag.map(i64::from),
            };
            reasons.places.insert(it.task_index, places);
            let slots = i64::from(it.pool_slots);
            reasons.pool_slots.insert(it.task_index, slots);
            reasons.queues.insert(it.task_index, it.queue);
        }
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
        self.waits(run, version, &mut reasons).await?;
        self.limited_pools(&mut reasons).await?;
        Ok(reasons)
    }

    /// What tasks wait for that is no upstream task.
    async fn waits(
        &self,
        run: DagRunId,
        version: DagVersionId,
        reasons: &mut TaskReasons,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            r#"select t.task_index, t.map_index, t.open_instances,
                case when m.awaits is not null then d.dag_id || '/' || r.run_id end as awaited_run, a.subject as "subject?",
                a.asked_at as "asked_at?"
            from task_instance t
            left join timer m on m.dag_run_id = $1 and (m.task_index, m.map_index) = (t.task_index, t.map_index)
            left join dag_run r on r.dag_run_id = m.awaits
            left join dag d on d.dag_key = r.dag_key
            left join approval a on m.kind = 'a' and a.dag_run_id = $1 and a.answer is null and a.epoch = t.epoch
                and (a.task_index, a.map_index) = (t.task_index, t.map_index)
            where t.dag_run_id = $1 and t.state = 'n' and (t.open_instances is not null or m.kind in ('w', 'a'))"#,
            run.get()
        )
        .fetch_all(self.pool())
        .await?;
        for row in rows {
            let instance = (row.task_index, row.map_index);
            if let Some(open) = row.open_instances {
                let open = i64::from(open);
                reasons.open_instances.insert(row.task_index, open);
            }
            if let Some(awaited) = row.awaited_run {
                reasons.awaited_runs.insert(instance, awaited);
            }
            if let Some((subject, asked_at)) = row.subject.zip(row.asked_at) {
                reasons.questions.insert(instance, subject);
                reasons.since.insert(instance, asked_at.to_jiff());
            }
        }
        let past = sqlx::query!(
            "select k.task_index, past.run_id
            from run_key own
            cross join lateral (
                select run_id from run_key it
                where it.dag_key = own.dag_key and (it.logical_at, it.dag_run_id) < (own.logical_at, own.dag_run_id)
                order by it.logical_at desc, it.dag_run_id desc
                limit 1
            ) past
            join dag_task k on k.dag_version_id = $2 and k.rule = 'x'
            where own.dag_run_id = $1",
            run.get(),
            version.get()
        )
        .fetch_all(self.pool())
        .await?;
        let past = past.into_iter();
        reasons.past_runs = past.map(|it| (it.task_index, it.run_id)).collect();
        Ok(())
    }

    async fn limited_pools(&self, reasons: &mut TaskReasons) -> Result<(), StoreError> {
        let pools = sqlx::query!(
            r#"with seen as materialized (
                select y.pool_key, y.worker_id, y.claimed_at, y.urgency, y.seq, least(y.pool_slots, p.slots) as slots,
                    d.dag_id || '.' || k.task_id as name
                from pool p
                join ready y using (pool_key)
                join dag_version v using (dag_version_id)
                join dag d on d.dag_key = v.dag_key
                join dag_task k on k.dag_version_id = y.dag_version_id and k.task_index = y.task_index
                where p.slots is not null
            )
            select p.name, p.slots as "slots!",
                (select coalesce(sum(slots), 0) from seen y
                    where y.pool_key = p.pool_key and y.worker_id is not null) as "taken!",
                array(
                    select name from seen y where y.pool_key = p.pool_key and y.worker_id is not null order by claimed_at
                ) as "holders!",
                first.name as "first?", first.slots as "first_slots?"
            from pool p
            left join lateral (
                select name, slots from seen y where y.pool_key = p.pool_key and y.worker_id is null
                order by urgency, seq limit 1
            ) first on true
            where p.slots is not null"#
        )
        .fetch_all(self.pool())
        .await?;
        for row in pools {
            let facts = PoolFacts {
                slots: i64::from(row.slots),
                taken: row.taken,
                holders: row.holders,
                wanted: 1,
                ahead: row.first.zip(row.first_slots.map(i64::from)),
            };
            reasons.pools.insert(row.name, facts);
        }
        Ok(())
    }

    /// The backfill of a queued run, and how many of its runs are under way.
    pub async fn backfill_of(&self, run: DagRunId) -> Result<Option<BackfillFacts>, StoreError> {
        let row = sqlx::query!(
            r#"select b.backfill_id, b.max_active_runs,
                (select count(*) from live_run o where o.backfill_id = b.backfill_id and o.is_running) as "active!"
            from live_run l join backfill b using (backfill_id)
            where l.dag_run_id = $1"#,
            run.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|it| BackfillFacts {
            backfill_id: it.backfill_id,
            active_runs: it.active,
            max_active_runs: i64::from(it.max_active_runs),
        }))
    }
}
