//! `branch`: which of the tasks directly below run.

use dagctl_core::dag::Dag;
use dagctl_core::operator::Branch;
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::template::{evaluate, is_true};
use serde_json::{Map, Value};

use crate::{Attempt, Log};

/// Takes the first option whose condition holds; its tasks are the output `followed`.
pub(crate) async fn run(
    attempt: &Attempt,
    branch: &Branch,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    for option in &branch.options {
        let is_taken = match &option.when {
            None => true,
            Some(when) => {
                let value = evaluate(when, &attempt.context).map_err(|err| {
                    let message = format!("cannot evaluate `when: {when}`: {err}");
                    Failure::new(FailureKind::Definition, message)
                })?;
                log.line(format!("`when: {when}` is {value}")).await;
                is_true(&value)
            }
        };
        if is_taken {
            let names: Vec<String> = option.follow.iter().map(|it| format!("`{it}`")).collect();
            log.line(format!("Follows {}", names.join(", "))).await;
            return Ok(Dag::following(&option.follow));
        }
    }
    log.line("Follows nothing: all tasks directly below are skipped")
        .await;
    Ok(Dag::following(&[]))
}
