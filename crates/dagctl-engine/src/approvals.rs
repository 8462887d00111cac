//! People's answers to approvals.

use dagctl_core::ids::TaskInstanceKey;
use dagctl_store::views::approvals::ApprovalRow;
use dagctl_store::waiting::NewAnswer;

use crate::{Engine, EngineError};

/// Why an answer was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The task does not ask, or does not ask yet.
    #[error("`{0}` does not wait for an approval")]
    NotAsked(String),
    /// Somebody was faster, or nobody was in time.
    #[error("`{task}` {}", .row.as_answered())]
    Answered {
        /// The task.
        task: String,
        /// How its question was answered.
        row: Box<ApprovalRow>,
    },
    /// The database.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Engine {
    /// Records a person's answer and does what it calls for. One of several that answer at once wins, and the others
    /// are told.
    pub async fn answer(&self, new: NewAnswer) -> Result<(), AnswerError> {
        let (engine, asked) = (self.clone(), new.clone());
        // A task of its own: whoever answers may go away in the middle of it.
        let answered = tokio::spawn(async move {
            let answered = engine.store().answer(&asked).await?;
            if answered {
                let run = asked.instance.dag_run_id;
                if let Err(error) = engine.advance(run).await {
                    tracing::warn!(run.id = %run, "Look at the run of an answer failed, the next one repeats it: {error:#}");
                }
            }
            Ok::<bool, EngineError>(answered)
        });
        let answered = match answered.await {
            Ok(answered) => answered?,
            // What it recorded stands; the run is marked, and a later look decides.
            Err(_) => true,
        };
        match answered {
            true => Ok(()),
            false => Err(self.why_not(new.instance, new.object).await?),
        }
    }

    async fn why_not(
        &self,
        instance: TaskInstanceKey,
        task: String,
    ) -> Result<AnswerError, EngineError> {
        let row = self.store().approval_row(instance).await?;
        Ok(match row.filter(|it| it.answer.is_some()) {
            Some(row) => AnswerError::Answered {
                task,
                row: Box::new(row),
            },
            None => AnswerError::NotAsked(task),
        })
    }
}
