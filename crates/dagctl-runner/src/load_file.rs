//! `operator: load_file`.

use dagctl_core::operator::LoadFile;
use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Value};

use crate::{Attempt, Log};

pub(crate) async fn run(
    attempt: &Attempt,
    spec: &LoadFile,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let _ = (attempt, spec, log);
    Err(Failure::new(FailureKind::Internal, "not there yet"))
}
