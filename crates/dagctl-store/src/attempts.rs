//! Attempts: claimed from `ready`, given back when they end. Every write is fenced by attempt number and worker.

use std::collections::{BTreeMap, BTreeSet};

use dagctl_core::ids::{
    AttemptKey, AttemptNo, DagRunId, DagVersionId, MapIndex, TaskIndex, TaskInstanceKey, WorkerId,
};
use dagctl_core::mapping::Counts;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::plans::Look;
use crate::{Store, StoreError};

mod claim;
mod fill;
mod finish;

pub use claim::{Claimed, Lane};
pub use finish::{Finished, HotPath, Wish};

/// A task instance that a worker has taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The attempt, the fence of everything it reports.
    pub key: AttemptKey,
    /// Where its task is defined.
    pub dag_version_id: DagVersionId,
    /// How often it was cleared; with the instance it makes the attempt's idempotency key.
    pub epoch: i16,
}

/// An attempt that succeeded, where nothing but the counting down is left to do.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainSuccess {
    /// The attempt.
    pub key: AttemptKey,
    /// Its outputs.
    pub outputs: Map<String, Value>,
}

/// An attempt given back, and what `ready` knew of it.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenBack {
    /// The attempt.
    pub key: AttemptKey,
    /// How often it had lost its worker.
    pub lost: i16,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When its worker took it.
    pub claimed_at: Option<Timestamp>,
}

impl Store {
    /// Gives back attempts whose run was set aside: their ends are kept as history, and a later look at the run
    /// queues the tasks again. Gives back how many that was.
    pub async fn drop_reports(
        &self,
        worker: WorkerId,
        attempts: &[AttemptKey],
        why: &str,
    ) -> Result<u64, StoreError> {
        let columns = Columns::of(attempts.iter());
        let done = sqlx::query_file!(
            "src/attempts/drop.sql",
            &columns.dag_run_ids,
            &columns.task_indexes,
            &columns.map_indexes,
            &columns.attempts,
            worker.get(),
            why
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }

    /// For each run and tasks of it, the outputs by task.
    pub async fn outputs(
        &self,
        asked: &[(DagRunId, Vec<TaskIndex>)],
    ) -> Result<Vec<BTreeMap<TaskIndex, Map<String, Value>>>, StoreError> {
        let pairs: BTreeSet<(i64, i32)> = asked
            .iter()
            .flat_map(|(run, tasks)| tasks.iter().map(|task| (run.get(), task.get())))
            .collect();
        let (runs, indexes): (Vec<i64>, Vec<i32>) = pairs.into_iter().unzip();
        let rows = sqlx::query!(
            "select o.dag_run_id, o.task_index, o.value
            from unnest($1::bigint[], $2::int[]) as asked (dag_run_id, task_index)
            join output o on o.dag_run_id = asked.dag_run_id and o.task_index = asked.task_index and o.map_index = -1",
            &runs,
            &indexes
        )
        .fetch_all(self.pool())
        .await?;
        let found: BTreeMap<(i64, i32), Map<String, Value>> = rows
            .into_iter()
            .map(|row| {
                let map = match row.value {
                    Value::Object(map) => map,
                    other => Map::from_iter([("value".to_owned(), other)]),
                };
                ((row.dag_run_id, row.task_index), map)
            })
            .collect();
        let of = |run: DagRunId, task: &TaskIndex| {
            Some((*task, found.get(&(run.get(), task.get()))?.clone()))
        };
        Ok(asked
            .iter()
            .map(|(run, tasks)| tasks.iter().filter_map(|task| of(*run, task)).collect())
            .collect())
    }
}

impl Store {
    /// What an instance of a mapped task sees by name; empty for every other.
    pub async fn map_item(&self, key: TaskInstanceKey) -> Result<Map<String, Value>, StoreError> {
        let value = sqlx::query_scalar!(
            "select value from map_item where dag_run_id = $1 and task_index = $2 and map_index = $3",
            key.dag_run_id.get(),
            key.task_index.get(),
            key.map_index.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(match value {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        })
    }

    /// What the instances of a mapped task of a run left, in map order, and how many of them ended how.
    pub async fn instance_outputs(
        &self,
        run: DagRunId,
        task: TaskIndex,
    ) -> Result<(Vec<Map<String, Value>>, Counts), StoreError> {
        let row = sqlx::query!(
            r#"select count(*) filter (where state = 's') as "succeeded!",
                count(*) filter (where state in ('f', 'u')) as "failed!",
                count(*) filter (where state = 'k' and reason is distinct from 'removed') as "skipped!",
                array(
                    select value from output o where o.dag_run_id = $1 and o.task_index = $2 and o.map_index >= 0
                    order by o.map_index
                ) as "outputs!"
            from task_instance where dag_run_id = $1 and task_index = $2 and map_index >= 0"#,
            run.get(),
            task.get()
        )
        .fetch_one(self.pool())
        .await?;
        let outputs = row.outputs.into_iter().filter_map(|it| match it {
            Value::Object(map) => Some(map),
            _ => None,
        });
        let count = |it: i64| u32::try_from(it).unwrap_or(u32::MAX);
        let counts = Counts {
            succeeded: count(row.succeeded),
            failed: count(row.failed),
            skipped: count(row.skipped),
        };
        Ok((outputs.collect(), counts))
    }
}

impl Look {
    /// Gives back attempts that did not simply succeed. Those that are no longer the worker's are left out.
    pub async fn give_back(
        &mut self,
        worker: WorkerId,
        attempts: &[AttemptKey],
    ) -> Result<Vec<GivenBack>, StoreError> {
        let columns = Columns::of(attempts.iter());
        let rows = sqlx::query_file!(
            "src/attempts/end.sql",
            &columns.dag_run_ids,
            &columns.task_indexes,
            &columns.map_indexes,
            &columns.attempts,
            worker.get()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| GivenBack {
                key: attempt_key(row.dag_run_id, row.task_index, row.map_index, row.attempt),
                lost: row.lost,
                queued_at: row.queued_at.to_jiff(),
                claimed_at: row.claimed_at.map(|it| it.to_jiff()),
            })
            .collect())
    }
}

/// Attempts turned into the arrays a statement takes.
pub(crate) struct Columns {
    pub(crate) dag_run_ids: Vec<i64>,
    pub(crate) task_indexes: Vec<i32>,
    pub(crate) map_indexes: Vec<i32>,
    pub(crate) attempts: Vec<i16>,
}

impl Columns {
    pub(crate) fn of<'a>(attempts: impl Iterator<Item = &'a AttemptKey>) -> Self {
        let mut columns = Self {
            dag_run_ids: vec![],
            task_indexes: vec![],
            map_indexes: vec![],
            attempts: vec![],
        };
        for key in attempts {
            columns.dag_run_ids.push(key.instance.dag_run_id.get());
            columns.task_indexes.push(key.instance.task_index.get());
            columns.map_indexes.push(key.instance.map_index.get());
            columns.attempts.push(key.attempt.get());
        }
        columns
    }
}

pub(crate) fn attempt_key(
    dag_run_id: i64,
    task_index: i32,
    map_index: i32,
    attempt: i16,
) -> AttemptKey {
    let instance = TaskInstanceKey {
        dag_run_id: DagRunId(dag_run_id),
        task_index: TaskIndex(task_index),
        map_index: MapIndex(map_index),
    };
    AttemptKey {
        instance,
        attempt: AttemptNo(attempt),
    }
}
