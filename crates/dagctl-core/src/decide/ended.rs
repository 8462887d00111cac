//! What the end of an attempt means for its task.

use super::Look;
use crate::ids::InstanceIndex;
use crate::outcome::{FailureKind, Outcome};
use crate::run::{Action, Move, NoticeEvent, TaskFacts, Why};
use crate::state::Verdict;

impl Look<'_> {
    /// Settles a task whose attempt has just ended, or tries it again.
    pub(super) fn ended(
        &mut self,
        at: InstanceIndex,
        facts: &TaskFacts,
        outcome: &Outcome,
        jitter: &mut dyn FnMut() -> f64,
    ) {
        let cancelled_by = self.cancelled_by(at.task).map(str::to_owned);
        match (outcome, &cancelled_by) {
            (Outcome::Success { .. }, _) => self.settle(at, Verdict::Success, Why::Succeeded),
            (Outcome::Skipped { reason }, _) => {
                self.settle(at, Verdict::Skipped, Why::AskedToSkip(reason.clone()));
            }
            (Outcome::HandedBack, None) => {
                self.plan.moves.push(Move::of(at, Action::Requeue));
            }
            (Outcome::Expands { items }, None) => {
                let items = items.clone();
                self.plan.moves.push(Move::of(at, Action::Expand { items }));
            }
            (Outcome::HandedBack | Outcome::Expands { .. }, Some(by)) => {
                self.fail(at, self.stopped(by));
            }
            (Outcome::Failed(failure), Some(by)) if failure.kind == FailureKind::Cancelled => {
                self.fail(at, self.stopped(by));
            }
            (Outcome::Waits(wait), _) => self.waits(at, facts, wait, jitter()),
            (Outcome::Failed(failure), Some(_)) => self.fail(at, failure.clone()),
            (Outcome::Failed(failure), None) => {
                let task = self.dag.task(at.task);
                match task
                    .map(|it| &it.retry)
                    .and_then(|it| it.next_delay(failure, facts.tries.saturating_add(1), jitter()))
                {
                    Some(delay) => {
                        let action = Action::Retry {
                            delay,
                            failure: failure.clone(),
                        };
                        self.plan.moves.push(Move::of(at, action));
                        let told = task.map_or(&[][..], |it| &it.on_retry_callback);
                        let error = Some(failure.message.as_str());
                        self.notify(Some(at), NoticeEvent::Retry, told, error);
                    }
                    None => self.fail(at, failure.clone()),
                }
            }
        }
    }
}
