//! `GET /approvals` and `POST …/tasks/{task_id}/approval`.

use serde::{Deserialize, Serialize};

/// A question that waits for a person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task that asks.
    pub task_id: String,
    /// Which mapped instance; -1 where the task is not mapped.
    pub map_index: i32,
    /// The question.
    pub subject: String,
    /// What there is to know; may be empty.
    pub body: String,
    /// Since when it waits.
    pub asked_at: String,
    /// When it is too late to answer, if ever.
    pub deadline: Option<String>,
    /// Its page.
    pub path: String,
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Go on.
    Approve,
    /// What waits for it is skipped.
    Reject,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerWrite {
    /// What they say.
    pub answer: Answer,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Which mapped instance is answered; -1 where it is not given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub map_index: Option<i32>,
}
