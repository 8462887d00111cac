//! What the end of an attempt means for its task.

use super::{Look, cancelled};
use crate::ids::TaskIndex;
use crate::outcome::Outcome;
use crate::run::{Action, Move, TaskFacts, Why};
use crate::state::Verdict;

impl Look<'_> {
    /// Settles a task whose attempt has just ended, or tries it again.
    pub(super) fn ended(
        &mut self,
        index: TaskIndex,
        facts: &TaskFacts,
        outcome: &Outcome,
        jitter: &mut dyn FnMut() -> f64,
    ) {
        match (outcome, &self.facts.cancelled_by) {
            (Outcome::Success { .. }, _) => self.settle(index, Verdict::Success, Why::Succeeded),
            (Outcome::Skipped { reason }, _) => {
                self.settle(index, Verdict::Skipped, Why::AskedToSkip(reason.clone()));
            }
            (Outcome::HandedBack, None) => {
                self.plan.moves.push(Move {
                    task: index,
                    action: Action::Requeue,
                });
            }
            (Outcome::HandedBack, Some(by)) => self.fail(index, cancelled(by)),
            (Outcome::Failed(failure), Some(_)) => self.fail(index, failure.clone()),
            (Outcome::Failed(failure), None) => {
                let policy = self.dag.task(index).map(|it| &it.retry);
                match policy
                    .and_then(|it| it.next_delay(failure, facts.tries.saturating_add(1), jitter()))
                {
                    Some(delay) => {
                        let action = Action::Retry {
                            delay,
                            failure: failure.clone(),
                        };
                        self.plan.moves.push(Move {
                            task: index,
                            action,
                        });
                    }
                    None => self.fail(index, failure.clone()),
                }
            }
        }
    }
}
