//! `operator: shell`.

use dagctl_core::operator::Shell;
use dagctl_core::outcome::{Failure, FailureKind, Outcome};

use crate::{Attempt, Log};

/// Runs a process.
pub async fn run(attempt: &Attempt, spec: &Shell, log: &Log) -> Outcome {
    let _ = (attempt, spec, log);
    Failure::new(FailureKind::Internal, "not there yet").into()
}
