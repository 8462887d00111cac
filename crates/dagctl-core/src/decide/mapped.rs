//! A mapped task stands for its instances: each goes its own way, and the task settles with the last of them.

use super::{Look, settled};
use crate::ids::{InstanceIndex, MapIndex, TaskIndex};
use crate::outcome::{Failure, FailureKind};
use crate::run::{Action, TaskFacts, Why};
use crate::state::Verdict;

impl Look<'_> {
    /// Looks at every instance of an expanded task, then at the task.
    pub(super) fn expanded(
        &mut self,
        task: TaskIndex,
        facts: &TaskFacts,
        jitter: &mut dyn FnMut() -> f64,
    ) {
        let (mut failed, mut skipped, mut open) = (vec![], 0, 0);
        for (at, instance) in facts.instances.iter().enumerate() {
            let map_index = MapIndex(i32::try_from(at).expect("map indexes are 32 bits"));
            let before = self.plan.moves.len();
            self.task(InstanceIndex { task, map_index }, instance, jitter);
            let moved = match self.plan.moves.get(before).map(|it| &it.action) {
                Some(Action::Settle { verdict, .. }) => Some(*verdict),
                _ => None,
            };
            match moved.or_else(|| settled(&instance.standing)) {
                None => open += 1,
                Some(Verdict::Failed | Verdict::UpstreamFailed) => failed.push(map_index),
                Some(Verdict::Skipped) => skipped += 1,
                Some(Verdict::Success) => (),
            }
        }
        if open > 0 {
            return;
        }
        let at = InstanceIndex::whole(task);
        let all = facts.instances.len();
        if failed.is_empty() && skipped == all {
            self.settle(at, Verdict::Skipped, Why::Reason("instances_skipped"));
        } else if let Some(first) = failed.first() {
            let failure = match &self.facts.cancelled_by {
                Some(by) => self.stopped(by),
                None => Failure::new(
                    FailureKind::Instances,
                    format!(
                        "{} of {all} instances failed, the first is number {first}",
                        failed.len()
                    ),
                ),
            };
            self.fail(at, failure);
        } else {
            self.settle(at, Verdict::Success, Why::Succeeded);
        }
    }
}
