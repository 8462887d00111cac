//! `GET /dags/{dag_id}/explain`, `…/runs/{run_id}/explain` and `…/tasks/{task_id}/explain`.

use serde::{Deserialize, Serialize};

/// Why something does not move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The DAG, run or task instance.
    pub name: String,
    /// Where it stands; absent of a DAG.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// One sentence without a full stop.
    pub sentence: String,
    /// Since when, where that is known.
    pub since: Option<String>,
    /// The same of its parts that have not ended: of a DAG its runs, of a run its tasks.
    #[serde(default)]
    pub parts: Vec<Explained>,
}
