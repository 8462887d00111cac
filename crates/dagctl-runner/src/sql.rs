//! `operator: sql`.

use dagctl_core::operator::{Sql, SqlCheck};
use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Value};

use crate::{Attempt, Log};

pub(crate) async fn run(
    attempt: &Attempt,
    spec: &Sql,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let _ = (attempt, spec, log);
    Err(Failure::new(FailureKind::Internal, "not there yet"))
}

pub(crate) async fn run_check(
    attempt: &Attempt,
    spec: &SqlCheck,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let _ = (attempt, spec, log);
    Err(Failure::new(FailureKind::Internal, "not there yet"))
}
