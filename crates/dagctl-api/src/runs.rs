//! `GET` and `POST /dags/{dag_id}/runs`, `GET /dags/{dag_id}/runs/{run_id}`, `POST …/cancel`, `GET …/events`.
//!
//! Wherever a path takes a run's name, `latest` stands for the newest.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::state::{RunState, RunType};
use crate::tasks::Task;

/// A dag run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its key, a number as text.
    pub dag_run_id: String,
    /// Its DAG.
    pub dag_id: String,
    /// Its name, unique in its DAG.
    pub run_id: String,
    /// Why it exists.
    pub run_type: RunType,
    /// Where it stands.
    pub state: RunState,
    /// The start of its data interval; of a manual run the moment it is for.
    pub logical_date: String,
    /// The start of the data it is about.
    pub data_interval_start: String,
    /// The end of the data it is about.
    pub data_interval_end: String,
    /// What it was told.
    pub params: Map<String, Value>,
    /// A word of whoever triggered it.
    pub note: Option<String>,
    /// Who triggered it.
    pub triggered_by: Option<String>,
    /// When it was made.
    pub queued_at: String,
    /// When its first task could start.
    pub started_at: Option<String>,
    /// When its last task settled.
    pub finished_at: Option<String>,
    /// How long it took, or has taken so far.
    pub duration_ms: Option<i64>,
    /// When somebody asked it to stop.
    pub cancel_requested_at: Option<String>,
    /// Who asked it to stop.
    pub cancel_requested_by: Option<String>,
    /// Why it failed, where somebody asked it to stop.
    #[serde(default)]
    pub reason: Option<String>,
    /// Why the engine left it alone, where it had to.
    pub quarantined: Option<String>,
    /// The commit of its DAG's text, where known.
    pub git_commit: Option<String>,
    /// Where a person looks at it, below the server's address.
    pub path: String,
}

/// What `POST /dags/{dag_id}/runs` takes; `{}` will do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerRequest {
    /// Values of the DAG's params.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub params: Map<String, Value>,
    /// The moment the run is for; now where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub logical_date: Option<String>,
    /// The run's name; made from the moment where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_id: Option<String>,
    /// A word for those who look at the run later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// What `POST /dags/{dag_id}/runs` answers: 201 for a new run, 200 where the key was used before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Triggered {
    /// The run.
    pub run: Run,
    /// Whether this request made it.
    pub created: bool,
}

/// What `POST …/cancel` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Whether the run is being stopped; false where it had ended.
    pub requested: bool,
}

/// The data of one server-sent event of `GET …/events`.
///
/// The stream begins with the run and every task, then tells each change, and ends after a run in a final state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEvent {
    /// The run is new or changed.
    Run(Box<Run>),
    /// A task is new or changed.
    Task(Box<Task>),
}
