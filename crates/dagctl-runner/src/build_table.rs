//! `operator: build_table`.

use dagctl_core::operator::BuildTable;
use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Value};

use crate::{Attempt, Log};

pub(crate) async fn run(
    attempt: &Attempt,
    spec: &BuildTable,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let _ = (attempt, spec, log);
    Err(Failure::new(FailureKind::Internal, "not there yet"))
}
