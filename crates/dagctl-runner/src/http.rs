//! `operator: http`.

use dagctl_core::operator::Http;
use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Value};

use crate::{Attempt, Log};

/// Makes an HTTP request.
pub async fn run(attempt: &Attempt, spec: &Http, log: &Log) -> Result<Map<String, Value>, Failure> {
    let _ = (attempt, spec, log);
    Err(Failure::new(FailureKind::Internal, "not there yet"))
}
