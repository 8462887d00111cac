//! Runs that tasks made, and the tasks that made them.

use dagctl_core::ids::{DagRunId, TaskInstanceKey};
use dagctl_core::state::RunState;

use crate::plans::run_state;
use crate::{Store, StoreError};

/// A run that a task made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggeredRun {
    /// The run.
    pub dag_run_id: DagRunId,
    /// Its DAG.
    pub dag_id: String,
    /// Its name.
    pub run_id: String,
    /// Where it stands.
    pub state: RunState,
}

/// The task that made a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Its DAG.
    pub dag_id: String,
    /// Its run.
    pub run_id: String,
    /// Its name.
    pub task_id: String,
    /// Which mapped instance.
    pub map_index: i32,
}

impl Store {
    /// The run that was made with an idempotency key.
    pub async fn run_of_key(
        &self,
        principal: &str,
        key: &str,
    ) -> Result<Option<DagRunId>, StoreError> {
        let found = sqlx::query_scalar!(
            "select dag_run_id from trigger_key where principal = $1 and key = $2",
            principal,
            key
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(found.map(DagRunId))
    }

    /// How many tries of a task instance have failed.
    pub async fn tries(&self, instance: TaskInstanceKey) -> Result<i16, StoreError> {
        let found = sqlx::query_scalar!(
            "select tries from task_instance where dag_run_id = $1 and task_index = $2 and map_index = $3",
            instance.dag_run_id.get(),
            instance.task_index.get(),
            instance.map_index.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(found.unwrap_or(0))
    }

    /// Notes which task made a run. Safe to repeat.
    pub async fn link_run(
        &self,
        child: DagRunId,
        parent: TaskInstanceKey,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into triggered_run (child_run_id, dag_run_id, task_index, map_index) values ($1, $2, $3, $4)
            on conflict (child_run_id) do nothing",
            child.get(),
            parent.dag_run_id.get(),
            parent.task_index.get(),
            parent.map_index.get()
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// The runs that a task instance made, the newest first.
    pub async fn triggered_runs(
        &self,
        parent: TaskInstanceKey,
    ) -> Result<Vec<TriggeredRun>, StoreError> {
        let rows = sqlx::query!(
            "select r.dag_run_id, d.dag_id, r.run_id, r.state
            from triggered_run t
            join dag_run r on r.dag_run_id = t.child_run_id
            join dag d using (dag_key)
            where t.dag_run_id = $1 and t.task_index = $2 and t.map_index = $3
            order by r.dag_run_id desc",
            parent.dag_run_id.get(),
            parent.task_index.get(),
            parent.map_index.get()
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(TriggeredRun {
                    dag_run_id: DagRunId(row.dag_run_id),
                    dag_id: row.dag_id,
                    run_id: row.run_id,
                    state: run_state(row.state)?,
                })
            })
            .collect()
    }

    /// The task that made a run, if one did.
    pub async fn trigger_of(&self, child: DagRunId) -> Result<Option<Trigger>, StoreError> {
        let found = sqlx::query!(
            "select d.dag_id, r.run_id, k.task_id, t.map_index
            from triggered_run t
            join dag_run r using (dag_run_id)
            join dag d using (dag_key)
            join dag_task k on k.dag_version_id = r.dag_version_id and k.task_index = t.task_index
            where t.child_run_id = $1",
            child.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(found.map(|row| Trigger {
            dag_id: row.dag_id,
            run_id: row.run_id,
            task_id: row.task_id,
            map_index: row.map_index,
        }))
    }
}
