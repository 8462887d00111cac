//! Puts values into scripts, for each interpreter in its own way.
//!
//! A value must arrive byte for byte and must never be read as code. For a POSIX shell the template engine quotes it
//! as its place in the script calls for; for Python it writes a literal, or escapes inside a string. For an interpreter whose quoting is not known, `{{ }}` is refused: values
//! travel in `env:`.

use std::path::Path;

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::template::{self, Context, Quoting};

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

/// Renders a script for its interpreter.
pub(super) fn render(
    interpreter: &str,
    source: &str,
    context: &Context,
) -> Result<String, Failure> {
    let wrong = |message: String| Failure::new(FailureKind::Definition, message);
    let quoting = match Language::of(interpreter) {
        Language::Posix => Quoting::Shell,
        Language::Python => Quoting::Python,
        Language::Unknown => {
            if ["{{", "{%", "{#"].iter().any(|it| source.contains(it)) {
                return Err(wrong(format!(
                    "a script for `{interpreter}` cannot hold `{{{{ }}}}`, because its quoting is not known: set \
                     the values in `env:` and read them from the environment"
                )));
            }
            return Ok(source.to_owned());
        }
    };
    template::render(source, context, quoting)
        .map_err(|err| wrong(format!("cannot render the script: {err}")))
}
