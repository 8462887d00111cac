//! States of runs and tasks, in Airflow's names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a dag run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// Where a task instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// It did what it was asked.
    Success,
    /// Its last attempt failed, was cancelled, or timed out.
    Failed,
    /// An upstream task failed, so it never ran.
    UpstreamFailed,
    /// A condition or a skipped upstream task left it out.
    Skipped,
}

/// How an attempt stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// Waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It did what it was asked.
    Success,
    /// It failed.
    Failed,
    /// It asked to be left out.
    Skipped,
    /// Its worker vanished.
    Lost,
    /// Its worker drained and gave it back.
    HandedBack,
}

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunType {
    /// The schedule called for it.
    Scheduled,
    /// Somebody triggered it.
    Manual,
    /// A backfill made it.
    Backfill,
    /// There was news of the tables that its DAG waits for.
    AssetTriggered,
}

impl RunState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
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
    /// The name in JSON.
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

impl AttemptState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
            Self::HandedBack => "handed_back",
        }
    }
}

impl RunType {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::AssetTriggered => "asset_triggered",
        }
    }
}

macro_rules! display_name {
    ($($type:ty),*) => {
        $(impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        })*
    };
}
display_name!(RunState, TaskState, AttemptState, RunType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_json_says() {
        for it in [
            TaskState::None,
            TaskState::Scheduled,
            TaskState::Queued,
            TaskState::Running,
            TaskState::UpForRetry,
            TaskState::UpForReschedule,
            TaskState::WaitingApproval,
            TaskState::Success,
            TaskState::Failed,
            TaskState::UpstreamFailed,
            TaskState::Skipped,
        ] {
            assert_eq!(serde_json::to_value(it).ok(), Some(it.name().into()));
        }
        for it in [
            RunState::Queued,
            RunState::Running,
            RunState::Success,
            RunState::Failed,
        ] {
            assert_eq!(serde_json::to_value(it).ok(), Some(it.name().into()));
        }
    }
}
