//! What a trigger rule says of a task whose upstream tasks stand as they do.
//!
//! A ruling other than [`Ruling::Wait`] is one that no later news can change: what becomes of a task does not depend on
//! the order in which its upstream tasks settle.

use crate::dag::TriggerRule;
use crate::state::Verdict;

/// What becomes of a task that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Nothing yet: news may change it.
    Wait,
    /// It may start.
    Run,
    /// It never runs, because of a failure.
    UpstreamFailed,
    /// It never runs; a stable word says why.
    Skip(&'static str),
}

/// It waits for a task that was skipped.
const SKIPPED: Ruling = Ruling::Skip("upstream_skipped");
/// What its rule asks for did not happen.
const UNMET: Ruling = Ruling::Skip("trigger_rule");

/// How the upstream tasks of a task stand, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    total: usize,
    success: usize,
    failed: usize,
    upstream_failed: usize,
    skipped: usize,
    setups: usize,
    setup_success: usize,
    setup_skipped: usize,
}

impl Tally {
    /// Counts one more upstream task; `None`: not settled.
    pub(super) fn add(&mut self, verdict: Option<Verdict>, is_setup: bool) {
        self.total += 1;
        self.setups += usize::from(is_setup);
        let (all, setups) = match verdict {
            None => return,
            Some(Verdict::Success) => (&mut self.success, Some(&mut self.setup_success)),
            Some(Verdict::Skipped) => (&mut self.skipped, Some(&mut self.setup_skipped)),
            Some(Verdict::Failed) => (&mut self.failed, None),
            Some(Verdict::UpstreamFailed) => (&mut self.upstream_failed, None),
        };
        *all += 1;
        if let (Some(setups), true) = (setups, is_setup) {
            *setups += 1;
        }
    }

    fn bad(&self) -> usize {
        self.failed + self.upstream_failed
    }

    fn is_settled(&self) -> bool {
        self.success + self.bad() + self.skipped == self.total
    }
}

impl Ruling {
    /// Applies `rule`. A task without upstream tasks may start, whatever its rule.
    pub(super) fn of(rule: TriggerRule, it: &Tally) -> Self {
        let decided = match rule {
            _ if it.total == 0 => Some(Self::Run),
            TriggerRule::Always => Some(Self::Run),
            TriggerRule::AllSuccess
            | TriggerRule::NoneFailed
            | TriggerRule::NoneFailedMinOneSuccess
                if it.bad() > 0 =>
            {
                Some(Self::UpstreamFailed)
            }
            TriggerRule::AllFailed if it.success + it.skipped > 0 => Some(UNMET),
            TriggerRule::AllSkipped if it.success + it.bad() > 0 => Some(UNMET),
            TriggerRule::NoneSkipped if it.skipped > 0 => Some(SKIPPED),
            TriggerRule::OneSuccess if it.success > 0 => Some(Self::Run),
            TriggerRule::OneFailed if it.bad() > 0 => Some(Self::Run),
            TriggerRule::OneDone if it.success + it.failed > 0 => Some(Self::Run),
            _ => None,
        };
        match decided {
            Some(ruling) => ruling,
            None if it.is_settled() => Self::of_settled(rule, it),
            None => Self::Wait,
        }
    }

    /// Applies `rule` where every upstream task has settled, and none of them has decided alone.
    fn of_settled(rule: TriggerRule, it: &Tally) -> Self {
        match rule {
            // A skip decides only here: an upstream task may fail after another one was skipped.
            TriggerRule::AllSuccess if it.skipped > 0 => SKIPPED,
            TriggerRule::OneSuccess | TriggerRule::AllDoneMinOneSuccess if it.success == 0 => {
                if it.skipped == it.total {
                    SKIPPED
                } else {
                    Self::UpstreamFailed
                }
            }
            TriggerRule::NoneFailedMinOneSuccess if it.success == 0 => SKIPPED,
            TriggerRule::AllDoneSetupSuccess if it.setups > 0 && it.setup_success == 0 => {
                if it.setup_skipped == it.setups {
                    SKIPPED
                } else {
                    Self::UpstreamFailed
                }
            }
            TriggerRule::OneFailed | TriggerRule::OneDone => UNMET,
            TriggerRule::AllSuccess
            | TriggerRule::AllFailed
            | TriggerRule::AllDone
            | TriggerRule::AllDoneMinOneSuccess
            | TriggerRule::AllSkipped
            | TriggerRule::OneSuccess
            | TriggerRule::NoneFailed
            | TriggerRule::NoneFailedMinOneSuccess
            | TriggerRule::NoneSkipped
            | TriggerRule::Always
            | TriggerRule::AllDoneSetupSuccess => Self::Run,
        }
    }
}
