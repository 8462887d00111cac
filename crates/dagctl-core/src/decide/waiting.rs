//! What becomes of a task that waits: its trigger rule, and what it is subject to besides.

use super::Look;
use super::ruling::{Ruling, Tally};
use crate::ids::TaskIndex;
use crate::state::Verdict;

impl Look<'_> {
    /// What becomes of a task that has not started. Branches directly above it and setups further up are heard before
    /// its rule, and waited for whatever its rule, so that the order of news changes nothing.
    pub(super) fn ruling(&self, index: TaskIndex) -> Ruling {
        let Some(task) = self.dag.task(index) else {
            return Ruling::Wait;
        };
        if self.is_work_left(index) {
            return Ruling::Wait;
        }
        let ruling = self
            .ruling_of_branches(index)
            .or_else(|| self.ruling_of_setups(index))
            .unwrap_or_else(|| Ruling::of(task.trigger_rule, &self.tally(index)));
        if ruling == Ruling::Run && self.facts.held_by_past.contains(&index) {
            return Ruling::Wait;
        }
        ruling
    }

    /// Whether a run was stopped and a teardown, which still runs, must wait for what is being stopped further up: the
    /// tasks directly above it, which never started, are no sign that the work has ended.
    fn is_work_left(&self, index: TaskIndex) -> bool {
        let waits = self.facts.cancelled_by.is_some() && self.dag.is_teardown(index);
        waits && (self.dag.ancestors(index).into_iter()).any(|it| self.verdict(it).is_none())
    }

    /// A task that a branch directly above did not choose is skipped, unless it also comes after one that was chosen.
    fn ruling_of_branches(&self, index: TaskIndex) -> Option<Ruling> {
        let mut branches = self.dag.branches_above(index).peekable();
        branches.peek()?;
        let mut is_left_out = false;
        for branch in branches {
            let Some(verdict) = self.verdict(branch) else {
                return Some(Ruling::Wait);
            };
            let chosen = self.chosen.get(&branch);
            is_left_out |=
                verdict == Verdict::Success && chosen.is_some_and(|it| !it.contains(&index));
        }
        is_left_out.then_some(Ruling::Skip("not_followed"))
    }

    /// Work between a setup and its teardown does not run without the setup, whatever happens on the way.
    fn ruling_of_setups(&self, index: TaskIndex) -> Option<Ruling> {
        let setups = self.dag.indirect_setups(index);
        let verdicts: Vec<_> = setups.iter().map(|it| self.verdict(*it)).collect();
        let any = |wanted: &[Verdict]| verdicts.iter().flatten().any(|it| wanted.contains(it));
        if verdicts.contains(&None) {
            Some(Ruling::Wait)
        } else if any(&[Verdict::Failed, Verdict::UpstreamFailed]) {
            Some(Ruling::UpstreamFailed)
        } else if any(&[Verdict::Skipped]) {
            Some(Ruling::Skip("upstream_skipped"))
        } else {
            None
        }
    }

    fn tally(&self, index: TaskIndex) -> Tally {
        let mut tally = Tally::default();
        for upstream in self.dag.upstream(index) {
            let is_setup = self.dag.is_setup_of(*upstream, index);
            tally.add(self.verdict(*upstream), is_setup);
        }
        tally
    }
}
