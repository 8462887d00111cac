//! Why a run is being stopped, and whether it goes again where it fails.

use super::Look;
use crate::duration;
use crate::outcome::{Failure, FailureKind};
use crate::run::Why;

impl Look<'_> {
    /// The failure of a task that had begun when its run was stopped.
    pub(super) fn stopped(&self, by: &str) -> Failure {
        if !self.facts.limits.is_timed_out {
            return Failure::new(FailureKind::Cancelled, format!("cancelled by {by}"));
        }
        let timeout = self.dag.spec.limits.dagrun_timeout.unwrap_or_default();
        Failure::new(
            FailureKind::Timeout,
            format!(
                "stopped: the run took longer than its `dagrun_timeout` of {}",
                duration::human(timeout)
            ),
        )
    }

    /// Why a task never began in a run that was stopped.
    pub(super) fn left_out(&self) -> Why {
        Why::Reason(match self.facts.limits.is_timed_out {
            true => "dagrun_timeout",
            false => "cancelled",
        })
    }

    /// Whether a failure is not yet the run's last word: what failed goes again by `dagrun_retries`.
    pub(super) fn goes_again_if_it_fails(&self) -> bool {
        self.facts.cancelled_by.is_none()
            && self.facts.limits.retries < self.dag.spec.limits.dagrun_retries
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::callback::Callback;
    use crate::dag::{Dag, DagSpec, Task};
    use crate::decide::decide;
    use crate::ids::{DagId, TaskId};
    use crate::operator::Operator;
    use crate::outcome::{Failure, FailureKind};
    use crate::run::{Action, LimitFacts, Plan, RunFacts, Standing, TaskFacts, Why};
    use crate::state::{RunState, Verdict};

    /// `a`, `b` and `c`, each after the one before; each tells of its failure, and so does the DAG.
    fn chain(retries: u16) -> Dag {
        let told = || vec![Callback::slack()];
        let id = |name: &str| TaskId::new(name).unwrap();
        let task = |name: &str, upstream: &[&str]| Task {
            depends_on: upstream.iter().map(|it| id(it)).collect(),
            on_failure_callback: told(),
            ..Task::new(id(name), Operator::Empty)
        };
        let mut spec = DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml");
        spec.on_failure_callback = told();
        spec.limits.dagrun_timeout = Some(Duration::from_secs(5400));
        spec.limits.dagrun_retries = retries;
        spec.limits.dagrun_retry_delay = Duration::from_secs(60);
        Dag::new(
            spec,
            vec![task("a", &[]), task("b", &["a"]), task("c", &["b"])],
        )
        .unwrap()
    }

    fn plan(retries: u16, limits: LimitFacts, by: Option<&str>, standings: [Standing; 3]) -> Plan {
        let task = |standing| TaskFacts::new(standing, 1, 0);
        let facts = RunFacts {
            now: jiff::Timestamp::UNIX_EPOCH,
            cancelled_by: by.map(str::to_owned),
            limits,
            tasks: standings.map(task).into(),
            ..RunFacts::default()
        };
        decide(&chain(retries), &facts, &mut || 0.5)
    }

    fn cancelled() -> Standing {
        Standing::Ended(Failure::new(FailureKind::Cancelled, "cancelled by dagrun_timeout").into())
    }

    fn verdicts(plan: &Plan) -> Vec<String> {
        plan.moves
            .iter()
            .map(|it| match &it.action {
                Action::Settle { verdict, why } => match why {
                    Why::Failure(failure) => {
                        format!("{verdict} {}: {}", failure.kind.code(), failure.message)
                    }
                    Why::Reason(reason) => format!("{verdict} {reason}"),
                    Why::Succeeded | Why::Answered(_) | Why::AskedToSkip(_) => verdict.to_string(),
                },
                other => format!("{other:?}"),
            })
            .collect()
    }

    const FAILED: [Standing; 3] = [
        Standing::Settled(Verdict::Success),
        Standing::Settled(Verdict::Failed),
        Standing::Settled(Verdict::UpstreamFailed),
    ];

    #[test]
    fn a_run_that_took_too_long_fails_with_that_reason_and_is_told() {
        let limits = LimitFacts {
            is_timed_out: true,
            ..LimitFacts::default()
        };
        let standings = [
            Standing::Settled(Verdict::Success),
            cancelled(),
            Standing::Waiting,
        ];
        let plan = plan(2, limits, Some("dagrun_timeout"), standings);
        assert_eq!(
            verdicts(&plan),
            [
                "failed timeout: stopped: the run took longer than its `dagrun_timeout` of 1h30m",
                "skipped dagrun_timeout"
            ]
        );
        assert_eq!(plan.ends, Some(RunState::Failed), "and does not go again");
        assert_eq!(plan.notices.len(), 2, "the task's and the run's");
    }

    #[test]
    fn a_failed_run_with_retries_left_goes_again_and_tells_nobody() {
        let first = plan(1, LimitFacts::default(), None, FAILED);
        assert_eq!(first.goes_again_after, Some(Duration::from_secs(60)));
        assert_eq!((first.ends, first.notices.len()), (None, 0));
        let waits = LimitFacts {
            waits_for_retry: true,
            ..LimitFacts::default()
        };
        assert!(plan(1, waits, None, FAILED).is_empty(), "a second look");
        let fresh = [
            Standing::Settled(Verdict::Success),
            Standing::Ended(Failure::new(FailureKind::Check, "no rows").into()),
            Standing::Waiting,
        ];
        assert_eq!(
            plan(1, LimitFacts::default(), None, fresh).notices.len(),
            0,
            "it is not its last word"
        );
    }

    #[test]
    fn a_run_whose_retries_are_used_up_or_that_is_cancelled_ends() {
        let used = LimitFacts {
            retries: 1,
            ..LimitFacts::default()
        };
        let last = plan(1, used, None, FAILED);
        assert_eq!((last.ends, last.notices.len()), (Some(RunState::Failed), 1));
        assert_eq!(last.goes_again_after, None);
        let waits = LimitFacts {
            waits_for_retry: true,
            ..LimitFacts::default()
        };
        let cancelled = plan(1, waits, Some("kim"), FAILED);
        assert_eq!(
            (cancelled.ends, cancelled.notices.len()),
            (Some(RunState::Failed), 0)
        );
    }
}
