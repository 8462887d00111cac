//! What a message about a settled task or run says, as text and as Slack's JSON.

use serde_json::Value;

use crate::callback::SlackNotifier;
use crate::template::{Context, TemplateError};

/// A task that failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureNotice {
    /// Its DAG.
    pub dag_id: String,
    /// The task.
    pub task_id: String,
    /// Its run.
    pub run_id: String,
    /// Which attempt failed last.
    pub attempt: i16,
    /// How many it had.
    pub max_attempts: i16,
    /// What went wrong, masked; may span lines.
    pub error: String,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the log is, where the web address is known.
    pub log_url: Option<String>,
}

/// A task that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccessNotice {
    /// Its DAG.
    pub dag_id: String,
    /// The task.
    pub task_id: String,
    /// Its run.
    pub run_id: String,
    /// Which attempt succeeded.
    pub attempt: i16,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the log is, where the web address is known.
    pub log_url: Option<String>,
}

/// A run that settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNotice {
    /// Its DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub ending: RunEnding,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// The commit of the DAG's text, where known.
    pub commit: Option<String>,
    /// Where the run is shown, where the web address is known.
    pub run_url: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnding {
    /// Every task that counts succeeded.
    Success,
    /// These tasks failed, and the first said this.
    Failed {
        /// The failed tasks.
        failed_tasks: Vec<String>,
        /// The first error, masked.
        error: String,
    },
}

/// The Slack text of a failed task.
pub fn failure_text(notice: &FailureNotice) -> String {
    let _ = notice;
    unimplemented!()
}

/// The Slack text of a task that succeeded.
pub fn success_text(notice: &SuccessNotice) -> String {
    let _ = notice;
    unimplemented!()
}

/// The Slack text of a settled run.
pub fn run_text(notice: &RunNotice) -> String {
    let _ = notice;
    unimplemented!()
}

/// `error` as a notifier's template sees it: `summary` (one line) and `message`.
pub fn error_value(error: &str) -> Value {
    let _ = error;
    unimplemented!()
}

/// Renders a notifier's own `text` with `error`; values are escaped for Slack.
pub fn custom_text(
    template: &str,
    context: &Context,
    error: &str,
) -> Result<String, TemplateError> {
    let _ = (template, context, error);
    unimplemented!()
}

/// The JSON that an incoming webhook takes.
pub fn payload(notifier: &SlackNotifier, text: &str) -> Value {
    let _ = (notifier, text);
    unimplemented!()
}
