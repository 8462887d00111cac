//! Tables that DAGs write and wait for, as lists and pages show them.

use dagctl_core::ids::{DagKey, DagRunId};
use jiff::Timestamp;

use crate::{Store, StoreError};

/// A table that a DAG names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRow {
    /// `schema.table`.
    pub name: String,
    /// The connections it is known to be on.
    pub conn_ids: Vec<String>,
    /// Tasks that write it, as `dag_id.task_id`.
    pub writers: Vec<String>,
    /// Tasks that say they read it, as `dag_id.task_id`.
    pub readers: Vec<String>,
    /// DAGs that run on news of it.
    pub schedules: Vec<String>,
    /// When it was written last.
    pub last_event_at: Option<Timestamp>,
}

/// A table was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetEventRow {
    /// `schema.table`.
    pub name: String,
    /// The connection, where it is known.
    pub conn_id: Option<String>,
    /// The DAG that wrote it.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// When the task succeeded.
    pub created_at: Timestamp,
    /// The runs that were made for it, as `dag_id/run_id`.
    pub runs: Vec<String>,
}

/// Which events are read; the newest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsOf<'a> {
    /// Those of a table.
    Asset(&'a str),
    /// Those that a run was made for.
    Run(DagRunId),
    /// Those that a DAG has not run for.
    Pending(DagKey),
}

impl Store {
    /// Tables by name, after `after`.
    pub async fn asset_rows(
        &self,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AssetRow>, StoreError> {
        self.find_assets(None, after, limit).await
    }

    /// The table of a name, if an active version names it.
    pub async fn asset_row(&self, name: &str) -> Result<Option<AssetRow>, StoreError> {
        Ok(self.find_assets(Some(name), None, 1).await?.pop())
    }

    async fn find_assets(
        &self,
        name: Option<&str>,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<AssetRow>, StoreError> {
        let rows = sqlx::query_file!("src/views/assets/asset_rows.sql", name, after, limit)
            .fetch_all(self.pool())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| AssetRow {
                name: row.name,
                conn_ids: row.conn_ids,
                writers: row.writers,
                readers: row.readers,
                schedules: row.schedules,
                last_event_at: row.last_event_at.map(|it| it.to_jiff()),
            })
            .collect())
    }

    /// The newest events of something.
    pub async fn asset_events(
        &self,
        of: &EventsOf<'_>,
        limit: i64,
    ) -> Result<Vec<AssetEventRow>, StoreError> {
        let (mut name, mut run, mut dag) = (None, None, None);
        match of {
            EventsOf::Asset(it) => name = Some(*it),
            EventsOf::Run(it) => run = Some(it.get()),
            EventsOf::Pending(it) => dag = Some(it.get()),
        }
        let rows = sqlx::query_file!("src/views/assets/event_rows.sql", name, run, dag, limit)
            .fetch_all(self.pool())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| AssetEventRow {
                name: row.name,
                conn_id: row.conn_id,
                dag_id: row.dag_id,
                run_id: row.run_id,
                task_id: row.task_id,
                created_at: row.created_at.to_jiff(),
                runs: row.runs,
            })
            .collect())
    }
}
