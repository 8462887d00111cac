//! `POST …/runs/{run_id}/retry`, `POST …/runs/{run_id}/clear` and `POST …/tasks/{task_id}/mark`.

use serde::{Deserialize, Serialize};

use crate::state::RunState;

/// What `POST …/retry` takes; `{}` will do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRequest {
    /// Move the run to the newest version of its DAG first.
    pub latest: bool,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
}

/// What `POST …/clear` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClearRequest {
    /// The tasks that run again.
    pub tasks: Vec<String>,
    /// And everything upstream of them.
    pub upstream: bool,
    /// And everything downstream of them.
    pub downstream: bool,
    /// Of all these, only what failed, or never ran because another task failed.
    pub only_failed: bool,
    /// Move the run to the newest version of its DAG first.
    pub latest: bool,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
}

/// What `POST …/mark` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkRequest {
    /// How the task counts from now on.
    pub state: MarkedState,
    /// Say what would happen, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// A state that a person may give a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkedState {
    /// As if it had done its work.
    Success,
    /// As if it had failed.
    Failed,
    /// As if it had been left out.
    Skipped,
}

/// What was done, or would be in a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Where the run stands now.
    pub state: RunState,
    /// Tasks that run again, upstream first.
    pub cleared: Vec<String>,
    /// Tasks whose state only followed from others: they are decided anew.
    pub reconsidered: Vec<String>,
    /// Cleared tasks that write tables: what they published stays until they publish again.
    pub published: Vec<String>,
    /// What the newest version has otherwise, where the run moves to it.
    pub difference: Option<Difference>,
}

/// How two versions of a DAG differ, by the names of tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Only the newest version has them.
    pub added: Vec<String>,
    /// Only the run's version has them; what the run knows of them goes.
    pub removed: Vec<String>,
    /// Both have them, defined otherwise.
    pub changed: Vec<String>,
}
