//! Why a command stops early, and what its exit code says about it.

use std::fmt;

/// The exit code of a command whose user's DAG or request failed.
pub(crate) const REFUSED: u8 = 1;
/// The exit code of wrong usage, or of a failure that is ours.
pub(crate) const BROKEN: u8 = 2;
/// The exit code of a command that Ctrl-C ended, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a command ends with.
pub(crate) type Ended = Result<(), Stop>;

/// Why a command stops early.
#[derive(Debug)]
pub(crate) struct Stop {
    /// The process's exit code.
    pub(crate) code: u8,
    /// What is still to be said; nothing where the command has said it.
    pub(crate) message: Option<String>,
}

impl Stop {
    /// The user's DAG or request failed, for the reason given.
    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self {
            code: REFUSED,
            message: Some(message.to_string()),
        }
    }

    /// The command was used wrongly, or we failed.
    pub(crate) fn broken(message: impl fmt::Display) -> Self {
        Self {
            code: BROKEN,
            message: Some(message.to_string()),
        }
    }

    /// Everything is said; only the exit code is left.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

impl From<anyhow::Error> for Stop {
    fn from(err: anyhow::Error) -> Self {
        Self::broken(format_args!("{err:#}"))
    }
}
