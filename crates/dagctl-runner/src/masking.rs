//! Keeps secrets and oversized values out of what an attempt reports.

use std::borrow::Cow;

use dagctl_core::outcome::{Failure, FailureKind, Outcome, Wait};
use dagctl_core::variable::Masker;
use serde_json::{Map, Value};

/// The largest output of a task, as JSON: outputs are rows, not files.
pub(crate) const MAX_OUTPUT: usize = 64 * 1024;

/// The outcome with its secrets masked; a failure where an output is too large.
pub(crate) fn masked(outcome: Outcome, masker: &Masker) -> Outcome {
    match outcome {
        Outcome::Success { outputs } => match too_large(&outputs) {
            Some(failure) => failure.into(),
            None => Outcome::Success {
                outputs: masked_map(outputs, masker),
            },
        },
        Outcome::Skipped { reason } => Outcome::Skipped {
            reason: masked_text(reason, masker),
        },
        Outcome::Failed(failure) => Outcome::Failed(Failure {
            message: masked_text(failure.message, masker),
            ..failure
        }),
        it @ (Outcome::HandedBack | Outcome::Expands { .. }) => it,
        Outcome::Waits(Wait::Answer { subject, body }) => Outcome::Waits(Wait::Answer {
            subject: masked_text(subject, masker),
            body: masked_text(body, masker),
        }),
        Outcome::Waits(wait) => Outcome::Waits(wait),
    }
}

fn too_large(outputs: &Map<String, Value>) -> Option<Failure> {
    outputs.iter().find_map(|(key, value)| {
        let size = value.to_string().len();
        (size > MAX_OUTPUT).then(|| {
            Failure::new(
                FailureKind::Definition,
                format!(
                    "output `{key}` takes {size} bytes, at most {MAX_OUTPUT} are allowed: \
                     write it to a file in the run's folder and output its path"
                ),
            )
        })
    })
}

fn masked_map(map: Map<String, Value>, masker: &Masker) -> Map<String, Value> {
    map.into_iter()
        .map(|(key, value)| (masked_text(key, masker), masked_value(value, masker)))
        .collect()
}

fn masked_value(value: Value, masker: &Masker) -> Value {
    match value {
        Value::String(text) => Value::String(masked_text(text, masker)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| masked_value(item, masker))
            .collect(),
        Value::Object(map) => Value::Object(masked_map(map, masker)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

// Postgres cannot store a NUL in a text or in jsonb.
fn masked_text(text: String, masker: &Masker) -> String {
    match masker.mask(&text) {
        Cow::Borrowed(_) if !text.contains('\0') => text,
        masked => masked.replace('\0', "\u{fffd}"),
    }
}
