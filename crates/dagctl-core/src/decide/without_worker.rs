//! What follows when a task waits without a worker, and when it need not wait any longer.

use std::time::Duration;

use super::Look;
use crate::ids::InstanceIndex;
use crate::operator::{Answer, Operator};
use crate::outcome::{Failure, FailureKind, Wait};
use crate::poke::{NextPoke, Poked};
use crate::run::{Action, Answered, AskedFor, Move, TaskFacts, Why};
use crate::state::Verdict;

/// When a task that waits for a run looks by itself. The end of the run wakes it; this is for a hint that was lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(600);

impl Look<'_> {
    /// An attempt did its part, and waits.
    pub(super) fn waits(&mut self, at: InstanceIndex, facts: &TaskFacts, wait: &Wait, jitter: f64) {
        if let Some(by) = &self.facts.cancelled_by {
            return self.fail(at, self.stopped(by));
        }
        let now = self.facts.now;
        let action = match wait {
            Wait::Poke | Wait::Until(_) => {
                let poking = self.dag.task(at.task).and_then(|it| it.operator.poking());
                let poked = Poked {
                    first_poke_at: facts.first_poke_at.unwrap_or(now),
                    number: facts.pokes.saturating_add(1),
                    attempt: facts.attempt,
                    until: wait.until(),
                };
                let next = poking
                    .cloned()
                    .unwrap_or_default()
                    .next(&poked, now, jitter);
                match next {
                    NextPoke::At(at) => Action::Reschedule { at, awaits: None },
                    NextPoke::Never(failure) if poking.is_some_and(|it| it.soft_fail) => {
                        let why = Why::AskedToSkip(failure.message);
                        return self.settle(at, Verdict::Skipped, why);
                    }
                    NextPoke::Never(failure) => return self.fail(at, failure),
                }
            }
            Wait::Run(run) => Action::Reschedule {
                at: now.checked_add(LOOK_ANYWAY).unwrap_or(now),
                awaits: Some(*run),
            },
            Wait::Answer { subject, body } => Action::Ask {
                subject: subject.clone(),
                body: body.clone(),
                deadline: match self.dag.task(at.task).map(|it| &it.operator) {
                    Some(Operator::Approval(it)) => {
                        it.timeout.and_then(|it| now.checked_add(it).ok())
                    }
                    _ => None,
                },
            },
        };
        self.plan.moves.push(Move::of(at, action));
    }

    /// A person was asked: has anybody answered, or is it too late?
    pub(super) fn asked(&mut self, at: InstanceIndex, asked: &AskedFor) {
        if let Some(answered) = &asked.answered {
            return self.answered(at, answered.clone());
        }
        if let Some(by) = &self.facts.cancelled_by {
            return self.fail(at, self.stopped(by));
        }
        if asked.deadline.is_none_or(|it| it > self.facts.now) {
            return;
        }
        let default = match self.dag.task(at.task).map(|it| &it.operator) {
            Some(Operator::Approval(it)) => it.default,
            _ => None,
        };
        match default {
            Some(answer) => {
                let answered = Answered {
                    answer,
                    by: None,
                    reason: Some("nobody answered in time".to_owned()),
                };
                self.answered(at, answered);
            }
            None => self.fail(
                at,
                Failure::new(
                    FailureKind::Timeout,
                    "nobody answered in time: the approval's `timeout` ran out, and it has no `default`",
                ),
            ),
        }
    }

    fn answered(&mut self, at: InstanceIndex, answered: Answered) {
        if answered.answer == Answer::Reject {
            self.rejected.extend(self.dag.downstream(at.task));
        }
        self.settle(at, Verdict::Success, Why::Answered(answered));
    }
}
