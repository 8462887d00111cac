//! Puts values into scripts, for each interpreter in its own way.
//!
//! A value must arrive byte for byte and must never be read as code, whatever the author wrote around the `{{ }}`:
//! - For a POSIX shell the value travels in the environment, and the text gets a reference to it, quoted as the place
//!   calls for ([`posix`]). Even where we misjudge the place, a shell does not run what comes out of an expansion.
//! - For Python it becomes a literal, or escaped text inside a string ([`python`]).
//! - For any other interpreter we do not know how to quote, so a script with `{{ }}` is refused.

mod posix;
mod python;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::template::{self, Context};
use serde_json::Value;

// A value's place in the rendered text is marked with characters that Unicode sets aside for such use.
const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';

/// A script that is ready to run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// The text for the interpreter.
    pub(super) text: String,
    /// What it needs in its environment.
    pub(super) environment: Vec<(String, String)>,
}

/// How values are written for an interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Posix,
    Python,
    Unknown,
}

impl Language {
    /// Tells by the program's name: `bash -e`, `/usr/bin/python3.11`.
    pub(super) fn of(interpreter: &str) -> Self {
        let program = interpreter.split_whitespace().next().unwrap_or_default();
        let name = Path::new(program)
            .file_name()
            .and_then(|it| it.to_str())
            .unwrap_or_default();
        match name {
            "sh" | "bash" | "dash" | "ash" | "ksh" | "mksh" | "zsh" | "busybox" => Self::Posix,
            _ if name.starts_with("python") || name.starts_with("pypy") => Self::Python,
            _ => Self::Unknown,
        }
    }
}

/// A piece of a rendered text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Piece<'a> {
    /// What the author wrote.
    Char(char),
    /// The value of a `{{ }}`.
    Value(usize, &'a Value),
}

/// Renders a script.
pub(super) fn render(
    interpreter: &str,
    source: &str,
    context: &Context,
) -> Result<Script, Failure> {
    let wrong = |message: String| Failure::new(FailureKind::Definition, message);
    if source.contains([OPEN, CLOSE]) {
        let message = "the script holds U+FDD0 or U+FDD1, which are not characters: remove them";
        return Err(wrong(message.to_owned()));
    }
    let language = Language::of(interpreter);
    if language == Language::Unknown {
        if ["{{", "{%", "{#"].iter().any(|it| source.contains(it)) {
            return Err(wrong(format!(
                "a script for `{interpreter}` cannot hold `{{{{ }}}}`, because its quoting is not known: \
                 set the values in `env:` and read them from the environment"
            )));
        }
        return Ok(Script {
            text: source.to_owned(),
            environment: Vec::new(),
        });
    }
    let (marked, values) = mark_values(source, context)
        .map_err(|err| wrong(format!("cannot render the script: {err}")))?;
    let pieces = pieces(&marked, &values);
    match language {
        Language::Posix | Language::Unknown => posix::script(&pieces),
        Language::Python => python::script(&pieces),
    }
    .map_err(wrong)
}

/// Renders with a mark in each value's place, and gives the values beside.
fn mark_values(
    source: &str,
    context: &Context,
) -> Result<(String, Vec<Value>), template::TemplateError> {
    let values = Mutex::new(Vec::<Value>::new());
    let text = template::render_with(source, context, &|value| {
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
        // `{% set %}` blocks collect marked text and become values themselves.
        let value = match value {
            Value::String(text) if text.contains(OPEN) => {
                Value::String(pieces(text, &values).into_iter().map(plain).collect())
            }
            other => other.clone(),
        };
        values.push(value);
        format!("{OPEN}{}{CLOSE}", values.len() - 1)
    })?;
    let values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((text, values))
}

fn plain(piece: Piece<'_>) -> String {
    match piece {
        Piece::Char(char) => char.to_string(),
        Piece::Value(_, value) => text_of(value),
    }
}

/// The text of a value as `{{ }}` would write it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn pieces<'a>(marked: &str, values: &'a [Value]) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(marked.len());
    let mut rest = marked;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        let value = (char == OPEN)
            .then(|| {
                let (number, after) = rest.split_once(CLOSE)?;
                let number = number.parse().ok()?;
                Some((number, values.get(number)?, after))
            })
            .flatten();
        match value {
            Some((number, value, after)) => {
                pieces.push(Piece::Value(number, value));
                rest = after;
            }
            None => pieces.push(Piece::Char(char)),
        }
    }
    pieces
}
