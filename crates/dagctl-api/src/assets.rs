//! `GET /assets`, `GET /assets/{name}`: tables that DAGs write and wait for.

use serde::{Deserialize, Serialize};

/// A table that a DAG names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
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
    pub last_event_at: Option<String>,
}

/// A table with its newest events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetDetail {
    /// What lists say of it.
    #[serde(flatten)]
    pub asset: Asset,
    /// Newest first, 50 at most.
    pub events: Vec<AssetEvent>,
}

/// A task wrote a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetEvent {
    /// `schema.table`.
    pub asset: String,
    /// The connection, where it is known.
    pub conn_id: Option<String>,
    /// The DAG that wrote it.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// When the task succeeded.
    pub at: String,
    /// The runs that were made for it, as `dag_id/run_id`.
    pub runs: Vec<String>,
}
