//! Parked tasks into the queue, as far as the limits of their runs and their DAGs allow.
//!
//! What is counted over all runs of a DAG (`max_active_tis_per_dag`) is filled in a transaction of its own that begins with
//! the DAG's lock: a look, which has runs locked, never waits for it.

use std::collections::BTreeSet;

use dagctl_core::ids::{DagKey, DagRunId};

use crate::plans::Look;
use crate::{Store, StoreError};

impl Look {
    /// Queues parked tasks of locked runs as far as `max_active_tasks` and `max_active_tis_per_dagrun` allow. Gives back
    /// how many. Those that are counted over all runs of their DAG stay for [`Store::fill_dag`].
    pub async fn fill(&mut self, runs: &[DagRunId]) -> Result<u64, StoreError> {
        self.fill_places(runs, false).await
    }

    /// Those of locked runs in which the places of tasks are counted.
    pub async fn limited(&mut self, runs: &[DagRunId]) -> Result<BTreeSet<DagRunId>, StoreError> {
        let ids: Vec<i64> = runs.iter().map(|it| it.get()).collect();
        let limited = sqlx::query_scalar!(
            "select r.dag_run_id from dag_run r join dag_version v using (dag_version_id)
            where r.dag_run_id = any($1) and (v.is_limited or r.went_again)",
            &ids
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(limited.into_iter().map(DagRunId).collect())
    }

    /// The DAGs of runs with tasks that are counted over all their runs: others of them may have places.
    pub async fn counting_over_runs(
        &mut self,
        runs: &[DagRunId],
    ) -> Result<Vec<DagKey>, StoreError> {
        if runs.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<i64> = runs.iter().map(|it| it.get()).collect();
        let dags = sqlx::query_scalar!(
            "select distinct r.dag_key from dag_run r join dag_version v using (dag_version_id)
            where r.dag_run_id = any($1) and v.limits_tasks",
            &ids
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(dags.into_iter().map(DagKey).collect())
    }

    async fn fill_places(&mut self, runs: &[DagRunId], over_runs: bool) -> Result<u64, StoreError> {
        if runs.is_empty() {
            return Ok(0);
        }
        let ids: Vec<i64> = runs.iter().map(|it| it.get()).collect();
        let done = sqlx::query_file!("src/attempts/fill.sql", &ids, over_runs)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected())
    }
}

impl Store {
    /// Queues parked tasks of a DAG's runs, those that are counted over all of them as well. Gives back how many.
    pub async fn fill_dag(&self, dag: DagKey) -> Result<u64, StoreError> {
        let mut look = self.look().await?;
        sqlx::query!(
            "select pg_advisory_xact_lock(hashtext('dagctl max_active_tis_per_dag'), $1)",
            dag.get()
        )
        .execute(&mut *look.tx)
        .await?;
        let runs = sqlx::query_scalar!(
            "select distinct p.dag_run_id
            from live_run l
            join parked p using (dag_run_id)
            join dag_task k using (dag_version_id, task_index)
            where l.dag_key = $1 and l.is_running and k.max_tis_per_dag is not null",
            dag.get()
        )
        .fetch_all(&mut *look.tx)
        .await?;
        if runs.is_empty() {
            return Ok(0);
        }
        let runs: Vec<DagRunId> = runs.into_iter().map(DagRunId).collect();
        look.lock(&runs).await?;
        let queued = look.fill_places(&runs, true).await?;
        look.commit().await?;
        Ok(queued)
    }
}
