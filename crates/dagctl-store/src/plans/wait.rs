//! The part of a plan that is about tasks that wait without a worker.

use dagctl_core::ids::TaskInstanceKey;
use dagctl_core::operator::Answer;
use dagctl_core::run::{Action, Answered, Move, Why};
use serde_json::{Value, json};

use super::{LockedRun, Look, Orders};
use crate::StoreError;
use crate::waiting::{Question, Rescheduled, TimerKind};

impl Look {
    /// Puts tasks to wait without a worker, and notes what they ask.
    pub(super) async fn put_to_wait(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<bool, StoreError> {
        let (mut waiting, mut questions) = (vec![], vec![]);
        for it in moves {
            if let Action::Settle {
                why: Why::Answered(answered),
                ..
            } = &it.action
                && answered.by.is_none()
            {
                let instance = TaskInstanceKey {
                    dag_run_id: run.dag_run_id,
                    task_index: it.task,
                    map_index: it.map_index,
                };
                self.answer_by_default(instance, answered).await?;
            }
            let Some(ended) = orders.ended.get(&it.instance()) else {
                continue;
            };
            let (kind, at) = match &it.action {
                Action::Reschedule { at, awaits } => {
                    (awaits.map_or(TimerKind::Poke, TimerKind::Run), Some(*at))
                }
                Action::Ask {
                    subject,
                    body,
                    deadline,
                } => {
                    questions.push(Question {
                        instance: ended.row.key.instance,
                        subject,
                        body,
                        deadline: *deadline,
                    });
                    (TimerKind::Approval, *deadline)
                }
                Action::Queue
                | Action::Requeue
                | Action::Retry { .. }
                | Action::Expand { .. }
                | Action::Settle { .. } => continue,
            };
            waiting.push(Rescheduled {
                row: &ended.row,
                kind,
                at,
            });
        }
        self.ask(run.dag_run_id, &questions).await?;
        self.reschedule(orders.worker, &waiting).await?;
        Ok(!waiting.is_empty())
    }
}

/// What an answer hands on to the tasks downstream.
pub(super) fn answer_as_output(answered: &Answered) -> Value {
    json!({
        "approved": answered.answer == Answer::Approve,
        "answered_by": answered.by,
        "reason": answered.reason,
    })
}
