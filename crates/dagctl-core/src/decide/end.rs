//! When a run ends, and how.

use super::Look;
use crate::run::NoticeEvent;
use crate::state::{RunState, Verdict};

impl Look<'_> {
    /// Ends the run once every task has settled: any failed task fails it (a deviation from Airflow, which asks the
    /// leaves alone), and so does a request to stop. Teardowns and tasks with `allow_failure` do not; nor do tasks that
    /// could not run because of a failure, which is counted where it happened.
    pub(super) fn end(&mut self) {
        if self.verdicts.iter().any(Option::is_none) {
            return;
        }
        let failed = (self.verdicts.iter().zip(self.dag.tasks()))
            .any(|(verdict, task)| *verdict == Some(Verdict::Failed) && task.fails_run());
        let cancelled = self.facts.cancelled_by.is_some();
        let spec = &self.dag.spec;
        if cancelled || failed {
            if self.goes_again_if_it_fails() {
                if !self.facts.limits.waits_for_retry {
                    self.plan.goes_again_after = Some(spec.limits.dagrun_retry_delay);
                }
                return;
            }
            self.plan.ends = Some(RunState::Failed);
            if !cancelled || self.facts.limits.is_timed_out {
                self.notify(None, NoticeEvent::Failure, &spec.on_failure_callback, None);
            }
        } else {
            self.plan.ends = Some(RunState::Success);
            self.notify(None, NoticeEvent::Success, &spec.on_success_callback, None);
            for callback in self.dag.recovery_callbacks() {
                let told = std::slice::from_ref(callback);
                self.notify(None, NoticeEvent::Recovered, told, None);
            }
        }
    }
}
