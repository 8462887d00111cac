//! `GET /dags`, `GET` and `PATCH /dags/{dag_id}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::RunState;

/// A DAG in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    /// Its name.
    pub dag_id: String,
    /// One line about it.
    pub description: Option<String>,
    /// The file that defines it, relative to the dags folder.
    pub file: String,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// When it runs, in words; absent: only when triggered.
    pub schedule: Option<String>,
    /// The zone of its schedule.
    pub timezone: String,
    /// Whether its schedule is off.
    pub is_paused: bool,
    /// Why dagctl itself paused it, where it did.
    #[serde(default)]
    pub pause_reason: Option<String>,
    /// Since when its file is gone.
    pub missing_since: Option<String>,
    /// When its next scheduled run is made.
    pub next_due_at: Option<String>,
    /// How many tasks it has.
    pub task_count: i32,
    /// How many problems its file has; the last good version goes on.
    pub problem_count: i64,
    /// Its newest runs, newest first, 14 at most.
    pub last_runs: Vec<RunSummary>,
}

/// A run as one bar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Its name.
    pub run_id: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was made.
    pub queued_at: String,
    /// When its first task could start.
    pub started_at: Option<String>,
    /// How long it took, or has taken so far.
    pub duration_ms: Option<i64>,
}

/// A DAG with its definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DagDetail {
    /// What lists say of it.
    #[serde(flatten)]
    pub dag: Dag,
    /// Longer text about it.
    pub doc_md: Option<String>,
    /// The commit of its text, where known.
    pub git_commit: Option<String>,
    /// Runs under way at once.
    pub max_active_runs: i32,
    /// What a trigger can set.
    pub params: Vec<Param>,
    /// Its tasks, upstream first.
    pub tasks: Vec<DagTask>,
}

/// A parameter that a trigger can set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// The JSON types it may have; empty: any.
    pub types: Vec<String>,
    /// Whether a trigger must set it.
    pub required: bool,
    /// Its value when a trigger does not set it.
    pub default: Option<Value>,
    /// A sentence about it.
    pub description: Option<String>,
    /// The only values allowed, where the list is not empty.
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty", default)]
    pub allowed: Vec<Value>,
}

/// A task of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DagTask {
    /// Its name.
    pub task_id: String,
    /// What does it.
    pub operator: String,
    /// The tasks it waits for.
    pub depends_on: Vec<String>,
    /// What their verdicts must be.
    pub trigger_rule: String,
    /// Whose slots it uses.
    pub pool: String,
    /// Whose it is.
    pub owner: Option<String>,
}

/// What `PATCH /dags/{dag_id}` changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DagPatch {
    /// Switches its schedule off or on.
    pub is_paused: bool,
}
