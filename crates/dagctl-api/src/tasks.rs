//! `GET …/tasks`, `GET …/tasks/{task_id}/attempts` and `GET …/tasks/{task_id}/logs`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::{AttemptState, RunState, TaskState};

/// A task instance of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name.
    pub task_id: String,
    /// Which mapped instance; -1 where the task is not mapped.
    pub map_index: i32,
    /// Its place in the DAG, upstream first.
    pub task_index: i32,
    /// What does it.
    pub operator: String,
    /// Where it stands.
    pub state: TaskState,
    /// Its last attempt, from 1; 0 before the first.
    pub attempt: i16,
    /// When it could start.
    pub queued_at: Option<String>,
    /// When its last attempt started.
    pub started_at: Option<String>,
    /// When it settled.
    pub finished_at: Option<String>,
    /// When it is tried again, or a sensor looks again.
    pub retry_at: Option<String>,
    /// When a sensor's first look began.
    pub first_poke_at: Option<String>,
    /// How often a sensor looked and found nothing.
    pub pokes: u32,
    /// How long its last attempt took, or has taken so far.
    pub duration_ms: Option<i64>,
    /// Why it settled without running, or its failure's code; while it is tried again, the one before's: `attempt 1: …`.
    pub reason: Option<String>,
    /// What its last attempt said when it failed.
    pub error: Option<String>,
    /// The worker that has it.
    pub worker: Option<String>,
}

/// One try of a task instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: i16,
    /// How it stands or ended.
    pub state: AttemptState,
    /// Its failure's code.
    pub reason: Option<String>,
    /// What went wrong.
    pub message: Option<String>,
    /// The worker that had it.
    pub worker: Option<String>,
    /// When it could start.
    pub queued_at: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// How long it took, or has taken so far.
    pub duration_ms: Option<i64>,
}

/// What `GET …/tasks/{task_id}/attempts` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempts {
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
    /// What the task handed on, once it succeeded.
    pub outputs: Option<Value>,
    /// The runs that the task made, the newest first.
    pub triggered_runs: Vec<TriggeredRun>,
}

/// A run that a task made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredRun {
    /// Its DAG.
    pub dag_id: String,
    /// Its name.
    pub run_id: String,
    /// Where it stands.
    pub state: RunState,
}

/// Which lines `GET …/tasks/{task_id}/logs` answers with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Which attempt; the last where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub attempt: Option<i16>,
    /// The number of the last line already known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after_line: Option<i64>,
    /// Which mapped instance.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub map_index: Option<i32>,
}

/// One line of a log; the answer of `…/logs` has one to a line (`application/x-ndjson`), 10,000 at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its number, from 0.
    pub line: i64,
    /// When it was written.
    pub at: String,
    /// Who wrote it.
    pub stream: LogStream,
    /// Its text, secrets masked.
    pub text: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// dagctl's operator.
    Task,
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
}
