//! What a trigger rule says of a task whose upstream tasks stand as they do.

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
    /// It never runs, because of a skip, or because what it waits for did not happen.
    Skip,
}

impl Ruling {
    /// Applies `rule` to the verdicts of the upstream tasks; `None`: not settled.
    pub(super) fn of(
        rule: TriggerRule,
        upstream: impl ExactSizeIterator<Item = Option<Verdict>> + Clone,
    ) -> Self {
        let any = |wanted: &[Verdict]| upstream.clone().flatten().any(|it| wanted.contains(&it));
        let all_settled = upstream.clone().all(|it| it.is_some());
        let failed = any(&[Verdict::Failed, Verdict::UpstreamFailed]);
        if upstream.len() == 0 {
            return Self::Run;
        }
        match rule {
            TriggerRule::AllSuccess if failed => Self::UpstreamFailed,
            // Not before the last has settled: it may fail, and the order of news must not change what becomes of a task.
            TriggerRule::AllSuccess if all_settled && any(&[Verdict::Skipped]) => Self::Skip,
            TriggerRule::AllSuccess | TriggerRule::AllDone if all_settled => Self::Run,
            TriggerRule::AllSuccess | TriggerRule::AllDone => Self::Wait,
            TriggerRule::OneFailed if failed => Self::Run,
            TriggerRule::OneFailed if all_settled => Self::Skip,
            TriggerRule::OneFailed => Self::Wait,
        }
    }
}
