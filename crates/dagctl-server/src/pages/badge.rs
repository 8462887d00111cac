//! A state as people see it: a shape, a word and a colour, the colour being the least of them.

use std::fmt;

use askama::filters::HtmlSafe;
use dagctl_core::state::{RunState, TaskState};
use dagctl_store::views::service::WorkerState;
use dagctl_store::views::tasks::AttemptState;

/// A state's shape and word. Made of fixed texts only, so it is safe as HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Badge {
    /// The class of its colour, and the name of its shape.
    pub(super) name: &'static str,
    /// The word.
    pub(super) label: &'static str,
}

impl HtmlSafe for Badge {}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, label } = self;
        write!(
            f,
            r##"<span class="state {name}" data-state="{name}"><svg class="icon" aria-hidden="true"><use href="#i-{name}"/></svg>{label}</span>"##
        )
    }
}

impl From<RunState> for Badge {
    fn from(state: RunState) -> Self {
        Self {
            name: state.name(),
            label: state.name(),
        }
    }
}

impl From<TaskState> for Badge {
    fn from(state: TaskState) -> Self {
        let label = match state {
            TaskState::None => "waiting",
            TaskState::Scheduled => "scheduled",
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::UpForRetry => "up for retry",
            TaskState::UpForReschedule => "up for reschedule",
            TaskState::WaitingApproval => "waiting for approval",
            TaskState::Success => "success",
            TaskState::Failed => "failed",
            TaskState::UpstreamFailed => "upstream failed",
            TaskState::Skipped => "skipped",
        };
        Self {
            name: state.name(),
            label,
        }
    }
}

impl From<AttemptState> for Badge {
    fn from(state: AttemptState) -> Self {
        let (name, label) = match state {
            AttemptState::Queued => ("queued", "queued"),
            AttemptState::Running => ("running", "running"),
            AttemptState::Success => ("success", "success"),
            AttemptState::Failed => ("failed", "failed"),
            AttemptState::Skipped => ("skipped", "skipped"),
            AttemptState::Lost => ("failed", "worker lost"),
            AttemptState::HandedBack => ("skipped", "handed back"),
        };
        Self { name, label }
    }
}

impl From<WorkerState> for Badge {
    fn from(state: WorkerState) -> Self {
        let name = match state {
            WorkerState::Alive => "success",
            WorkerState::Late => "up_for_retry",
            WorkerState::Lost => "failed",
            WorkerState::Stopped => "none",
        };
        Self {
            name,
            label: state.name(),
        }
    }
}
