//! Questions to people, open and answered.

use dagctl_core::ids::TaskInstanceKey;
use dagctl_core::operator::Answer;
use jiff::Timestamp;

use crate::waiting::answer;
use crate::{Store, StoreError};

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenApproval {
    /// The DAG.
    pub dag_id: String,
    /// The DAG's zone.
    pub timezone: String,
    /// The run.
    pub run_id: String,
    /// The task that asks.
    pub task_id: String,
    /// Which mapped instance.
    pub map_index: i32,
    /// The question.
    pub subject: String,
    /// What there is to know; may be empty.
    pub body: String,
    /// Since when it waits.
    pub asked_at: Timestamp,
    /// When it is too late to answer, if ever.
    pub deadline: Option<Timestamp>,
}

/// The question that a task instance asks or asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRow {
    /// The question.
    pub subject: String,
    /// What there is to know; may be empty.
    pub body: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it is too late to answer, if ever.
    pub deadline: Option<Timestamp>,
    /// Whether it waits for an answer.
    pub is_open: bool,
    /// The answer.
    pub answer: Option<Answer>,
    /// When it was given.
    pub answered_at: Option<Timestamp>,
    /// By whom; `None` beside an answer: nobody answered in time.
    pub answered_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl ApprovalRow {
    /// How it was answered, as the end of a sentence: `was approved by kim: fine`.
    pub fn as_answered(&self) -> String {
        let what = match self.answer {
            Some(Answer::Approve) => "was approved",
            Some(Answer::Reject) => "was rejected",
            None => return "waits for an answer".to_owned(),
        };
        let by = match &self.answered_by {
            Some(by) => format!("by {by}"),
            None => "by its default".to_owned(),
        };
        match &self.reason {
            Some(reason) => format!("{what} {by}: {reason}"),
            None => format!("{what} {by}"),
        }
    }
}

impl Store {
    /// Questions that wait for an answer, the oldest first.
    pub async fn open_approvals(&self, limit: i64) -> Result<Vec<OpenApproval>, StoreError> {
        let rows = sqlx::query_file!("src/views/open_approvals.sql", limit)
            .fetch_all(self.pool())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| OpenApproval {
                dag_id: row.dag_id,
                timezone: row.timezone,
                run_id: row.run_id,
                task_id: row.task_id,
                map_index: row.map_index,
                subject: row.subject,
                body: row.body,
                asked_at: row.asked_at.to_jiff(),
                deadline: row.deadline.map(|it| it.to_jiff()),
            })
            .collect())
    }

    /// The question that a task instance asks or asked last.
    pub async fn approval_row(
        &self,
        instance: TaskInstanceKey,
    ) -> Result<Option<ApprovalRow>, StoreError> {
        let found = sqlx::query_file!(
            "src/views/approval_row.sql",
            instance.dag_run_id.get(),
            instance.task_index.get(),
            instance.map_index.get()
        )
        .fetch_optional(self.pool())
        .await?;
        found
            .map(|row| {
                Ok(ApprovalRow {
                    subject: row.subject,
                    body: row.body,
                    asked_at: row.asked_at.to_jiff(),
                    deadline: row.deadline.map(|it| it.to_jiff()),
                    is_open: row.is_open,
                    answer: row.answer.map(answer).transpose()?,
                    answered_at: row.answered_at.map(|it| it.to_jiff()),
                    answered_by: row.answered_by,
                    reason: row.reason,
                })
            })
            .transpose()
    }
}
