//! States of runs and tasks, in Airflow's names.

use std::fmt;

/// How a task instance settled. A settled state changes only by an explicit clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It did what it was asked.
    Success,
    /// Its last attempt failed, was cancelled, or timed out.
    Failed,
    /// An upstream task failed, so it never ran.
    UpstreamFailed,
    /// A condition or a skipped upstream task left it out.
    Skipped,
}

/// Where a dag run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Waits for a place below `max_active_runs`.
    Queued,
    /// Has unsettled tasks.
    Running,
    /// Every task settled and none failed.
    Success,
    /// Every task settled and one failed, or it was cancelled.
    Failed,
}

/// Where a task instance stands, for people: what the tables `task_instance`, `ready` and `timer` say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waits for its upstream tasks.
    None,
    /// Its upstream tasks are done; waits for a place below `max_active_tasks`.
    Scheduled,
    /// May start; waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Failed, and will be tried again.
    UpForRetry,
    /// A sensor between two looks, or a task that waits for a run it triggered.
    UpForReschedule,
    /// A person was asked.
    WaitingApproval,
    /// See [`Verdict::Success`].
    Success,
    /// See [`Verdict::Failed`].
    Failed,
    /// See [`Verdict::UpstreamFailed`].
    UpstreamFailed,
    /// See [`Verdict::Skipped`].
    Skipped,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [
        Self::Success,
        Self::Failed,
        Self::UpstreamFailed,
        Self::Skipped,
    ];

    /// The letter in `task_instance.state`.
    pub fn letter(self) -> char {
        match self {
            Self::Success => 's',
            Self::Failed => 'f',
            Self::UpstreamFailed => 'u',
            Self::Skipped => 'k',
        }
    }

    /// Reads the letter of [`Self::letter`].
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.letter() == letter)
    }
}

impl From<Verdict> for TaskState {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Success => Self::Success,
            Verdict::Failed => Self::Failed,
            Verdict::UpstreamFailed => Self::UpstreamFailed,
            Verdict::Skipped => Self::Skipped,
        }
    }
}

impl RunState {
    /// Every state of a run.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Running, Self::Success, Self::Failed];

    /// The letter in `dag_run.state`.
    pub fn letter(self) -> char {
        match self {
            Self::Queued => 'q',
            Self::Running => 'r',
            Self::Success => 's',
            Self::Failed => 'f',
        }
    }

    /// Reads the letter of [`Self::letter`].
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.letter() == letter)
    }

    /// Airflow's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// Reads Airflow's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether nothing more happens to the run by itself.
    pub fn is_final(self) -> bool {
        match self {
            Self::Success | Self::Failed => true,
            Self::Queued | Self::Running => false,
        }
    }
}

impl TaskState {
    /// Every state of a task instance.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::UpForRetry,
        Self::UpForReschedule,
        Self::WaitingApproval,
        Self::Success,
        Self::Failed,
        Self::UpstreamFailed,
        Self::Skipped,
    ];

    /// Airflow's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::UpForRetry => "up_for_retry",
            Self::UpForReschedule => "up_for_reschedule",
            Self::WaitingApproval => "waiting_approval",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::UpstreamFailed => "upstream_failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads Airflow's name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether the task instance has settled.
    pub fn is_final(self) -> bool {
        match self {
            Self::Success | Self::Failed | Self::UpstreamFailed | Self::Skipped => true,
            Self::None
            | Self::Scheduled
            | Self::Queued
            | Self::Running
            | Self::UpForRetry
            | Self::UpForReschedule
            | Self::WaitingApproval => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TaskState::from(*self).name())
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_names_are_read_back() {
        for it in Verdict::ALL {
            assert_eq!(Verdict::from_letter(it.letter()), Some(it));
        }
        for it in RunState::ALL {
            assert_eq!(RunState::from_letter(it.letter()), Some(it));
            assert_eq!(RunState::from_name(it.name()), Some(it));
        }
        for it in TaskState::ALL {
            assert_eq!(TaskState::from_name(it.name()), Some(it));
        }
    }

    #[test]
    fn a_run_is_final_once_it_has_succeeded_or_failed() {
        assert_eq!(
            RunState::ALL.map(RunState::is_final),
            [false, false, true, true]
        );
    }
}
