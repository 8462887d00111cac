//! Reads what a process wrote to `$DAGCTL_OUTPUTS`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Value};

/// The largest file; each output has its own, smaller limit.
const MAX_FILE: u64 = 1024 * 1024;

/// The outputs in the file; none where the process wrote no file.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong = |message: String| {
        let message = format!("`$DAGCTL_OUTPUTS` must hold one JSON object: {message}");
        Failure::new(FailureKind::Definition, message)
    };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Map::new()),
        Err(err) => return Err(wrong(format!("cannot read it: {err}"))),
    };
    // A pipe would keep us waiting, and a link could lead anywhere.
    if !metadata.is_file() {
        return Err(wrong("it is no longer a plain file".to_owned()));
    }
    if metadata.len() > MAX_FILE {
        return Err(wrong(format!(
            "it has {} bytes, at most {MAX_FILE} are allowed; put large data into a file in `$DAGCTL_RUN_DIR` and \
             output its path",
            metadata.len()
        )));
    }
    let text = fs::read_to_string(path).map_err(|err| wrong(format!("cannot read it: {err}")))?;
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(outputs)) => Ok(outputs),
        Ok(other) => Err(wrong(format!(
            "found {}, such as {{\"rows\": 3}} is allowed",
            kind(&other)
        ))),
        Err(err) => Err(wrong(format!("found something else ({err})"))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
