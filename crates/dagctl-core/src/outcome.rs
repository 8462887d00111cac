//! What an attempt reports when it ends.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ids::DagRunId;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It did its work; `outputs.<task>.<key>` for the tasks after it.
    Success {
        /// The task's outputs by key.
        outputs: Map<String, Value>,
    },
    /// The task itself asked to be left out (`skip_on_exit_code`, `run_if`).
    Skipped {
        /// Why, in a sentence.
        reason: String,
    },
    /// It did not do its work.
    Failed(Failure),
    /// It was stopped by its worker's drain and goes back to the queue; costs no retry.
    HandedBack,
    /// It found out the items of its mapped task, which is never none: an instance is made for each.
    Expands {
        /// What each instance sees by name.
        items: Vec<Map<String, Value>>,
    },
    /// It did its part, and waits without a worker.
    Waits(Wait),
}

/// What a task waits for without a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// What a sensor looks for is not there yet: it looks again after its pause.
    Poke,
    /// There is nothing to look at before this moment.
    Until(Timestamp),
    /// The end of a run that the task triggered.
    Run(DagRunId),
    /// A person's answer.
    Answer {
        /// The question.
        subject: String,
        /// What there is to know.
        body: String,
    },
}

impl Outcome {
    /// A success without outputs.
    pub fn success() -> Self {
        Self::Success {
            outputs: Map::new(),
        }
    }
}

impl Wait {
    /// The moment before which there is nothing to look at, where it is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Until(it) => Some(*it),
            Self::Poke | Self::Run(_) | Self::Answer { .. } => None,
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What a retry rule matches.
    pub kind: FailureKind,
    /// What happened, for a person: what was attempted, on what, what came back. May span lines.
    pub message: String,
    /// How long the other side asked us to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that the other side set no waiting time for.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What kind of failure, as far as a retry rule can tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureKind {
    /// `execution_timeout` ran out, or the other side did not answer in time.
    Timeout,
    /// No connection could be made, or it broke.
    Connect,
    /// An HTTP status outside what the task accepts.
    Http(u16),
    /// An error of the database, with its SQLSTATE.
    SqlState(String),
    /// A process ended with this code.
    Exit(i32),
    /// A process was ended by this signal that we did not send.
    Signal(i32),
    /// A check on data or on a response did not hold.
    Check,
    /// A template, a connection, a variable or a file of the definition is missing or wrong.
    Definition,
    /// A person or a rule asked the run to stop.
    Cancelled,
    /// Instances of a mapped task failed.
    Instances,
    /// The worker vanished five times while it held this task.
    LostWorker,
    /// The worker lost its lease, so this result would not count.
    Fenced,
    /// A defect of dagctl: the attempt panicked.
    Internal,
}

impl FailureKind {
    /// The stable name in `attempt.reason`, REST and `retry_on`.
    pub fn code(&self) -> String {
        match self {
            Self::Timeout => "timeout".to_owned(),
            Self::Connect => "connect".to_owned(),
            Self::Http(status) => format!("http_{status}"),
            Self::SqlState(state) => format!("sqlstate_{state}"),
            Self::Exit(code) => format!("exit_{code}"),
            Self::Signal(signal) => format!("signal_{signal}"),
            Self::Check => "check".to_owned(),
            Self::Definition => "definition".to_owned(),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Instances => "instances_failed".to_owned(),
            Self::LostWorker => "lost_worker".to_owned(),
            Self::Fenced => "fenced".to_owned(),
            Self::Internal => "internal".to_owned(),
        }
    }

    /// Whether trying again soon may well help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Connect => true,
            Self::Http(status) => matches!(status, 408 | 425 | 429 | 500..=599),
            // Connection trouble, serialization and deadlock, resources, operator intervention, lock timeout.
            Self::SqlState(state) => {
                ["08", "40", "53", "57", "58"]
                    .iter()
                    .any(|class| state.starts_with(class))
                    || state == "55P03"
            }
            Self::Exit(code) => *code == 75,
            Self::Signal(_) => true,
            Self::Check
            | Self::Definition
            | Self::Cancelled
            | Self::Instances
            | Self::LostWorker
            | Self::Fenced
            | Self::Internal => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_transient() {
        let state = |it: &str| FailureKind::SqlState(it.to_owned());
        for kind in [
            FailureKind::Timeout,
            FailureKind::Connect,
            FailureKind::Http(429),
            FailureKind::Http(500),
            FailureKind::Http(599),
            state("08006"),
            state("40001"),
            state("53300"),
            state("55P03"),
            state("57P01"),
            state("58030"),
            FailureKind::Exit(75),
            FailureKind::Signal(9),
        ] {
            assert!(kind.is_transient(), "{}", kind.code());
        }
        for kind in [
            FailureKind::Http(404),
            FailureKind::Http(600),
            state("42601"),
            state("55006"),
            FailureKind::Exit(1),
            FailureKind::Check,
            FailureKind::Cancelled,
            FailureKind::LostWorker,
        ] {
            assert!(!kind.is_transient(), "{}", kind.code());
        }
    }

    #[test]
    fn only_what_waits_for_a_moment_knows_until_when() {
        assert_eq!(
            Wait::Until(Timestamp::UNIX_EPOCH).until(),
            Some(Timestamp::UNIX_EPOCH)
        );
        assert_eq!(Wait::Poke.until(), None);
    }
}
