//! Everything dagctl says to its user: data to stdout, all else to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::Value;

use crate::config::Environment;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// What the REST interface answers.
    Json,
    /// The same as YAML.
    Yaml,
}

/// A colour with a meaning; the text says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Done.
    Good,
    /// Went wrong.
    Bad,
    /// Under way, or worth a look.
    Busy,
    /// Less important.
    Quiet,
    /// A name to notice.
    Strong,
}

/// Writes to the two outputs, with colours where their reader wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    stdout_colour: bool,
    stderr_colour: bool,
}

impl Printer {
    /// Colours only on a terminal, and never against `NO_COLOR`.
    pub(crate) fn new(environment: &Environment) -> Self {
        let wanted = !environment.refuses_colour();
        Self {
            stdout_colour: wanted && io::stdout().is_terminal(),
            stderr_colour: wanted && io::stderr().is_terminal(),
        }
    }

    /// Whether data may be coloured.
    pub(crate) fn colours_data(self) -> bool {
        self.stdout_colour
    }

    /// Whether what is not data may be coloured.
    pub(crate) fn colours_asides(self) -> bool {
        self.stderr_colour
    }

    /// Writes a line of data.
    pub(crate) fn data(self, line: impl Display) {
        // Whoever closed the pipe has read enough.
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// Writes a line that is not data.
    pub(crate) fn say(self, line: impl Display) {
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Writes data without a newline of its own, such as a line of a log that has one.
    pub(crate) fn raw(self, text: &str) {
        let _ = io::stdout().write_all(text.as_bytes());
    }

    /// Colours a piece of data.
    pub(crate) fn paint(self, tone: Tone, text: impl Display) -> String {
        paint(self.stdout_colour, tone, text)
    }

    /// Colours a piece of what is not data.
    pub(crate) fn paint_aside(self, tone: Tone, text: impl Display) -> String {
        paint(self.stderr_colour, tone, text)
    }

    /// Writes an error and what to do about it.
    pub(crate) fn error(self, message: impl Display) {
        self.say(format_args!(
            "{} {message}",
            self.paint_aside(Tone::Bad, "error:")
        ));
    }

    /// Writes rows as columns, or the values they were made of.
    pub(crate) fn rows<T: Serialize, const N: usize>(
        self,
        format: Format,
        items: &[T],
        headers: [&str; N],
        row: impl Fn(&T) -> [String; N],
    ) {
        match format {
            // Headers over nothing say less than the sentence that follows.
            Format::Table if items.is_empty() => (),
            Format::Table => {
                let mut table = Table::new();
                table.load_style(NOTHING);
                table.set_header(headers.map(|it| self.paint(Tone::Quiet, it)));
                for item in items {
                    table.add_row(row(item));
                }
                for column in table.column_iter_mut() {
                    column.set_padding((0, 2));
                }
                for line in table.lines() {
                    self.data(line.trim_end());
                }
            }
            Format::Json | Format::Yaml => self.value(format, &items),
        }
    }

    /// Writes one thing as names and texts, or the value it was made of.
    pub(crate) fn record<T: Serialize>(
        self,
        format: Format,
        item: &T,
        fields: &[(&str, Option<String>)],
    ) {
        match format {
            Format::Table => {
                let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, text) in fields {
                    if let Some(text) = text {
                        let name = self.paint(Tone::Quiet, format_args!("{name:width$}"));
                        let indented = text.trim_end().replace('\n', &format!("\n{:width$}  ", ""));
                        self.data(format_args!("{name}  {indented}"));
                    }
                }
            }
            Format::Json | Format::Yaml => self.value(format, item),
        }
    }

    fn value<T: Serialize>(self, format: Format, item: &T) {
        let value = serde_json::to_value(item).unwrap_or(Value::Null);
        match format {
            Format::Table | Format::Json => self.data(format_args!("{value:#}")),
            Format::Yaml => {
                let mut text = String::new();
                yaml(&value, 0, &mut text);
                self.raw(text.trim_start_matches('\n'));
            }
        }
    }
}

fn paint(colour: bool, tone: Tone, text: impl Display) -> String {
    if !colour {
        return text.to_string();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Busy => "33",
        Tone::Quiet => "2",
        Tone::Strong => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Writes a value as YAML. Texts are quoted as in JSON, which YAML reads the same way.
fn yaml(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                yaml(item, depth + 1, &mut inner);
                let inner = inner.trim_start();
                text.push_str(&format!("\n{indent}- {}", inner.trim_end()));
            }
            text.push('\n');
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                let mut inner = String::new();
                yaml(field, depth + 1, &mut inner);
                let space = if inner.starts_with('\n') { "" } else { " " };
                text.push_str(&format!(
                    "\n{indent}{}:{space}{}",
                    Value::from(name.as_str()),
                    inner.trim_end()
                ));
            }
            text.push('\n');
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => text.push_str(&format!("{value}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_nests_lists_and_maps() {
        let mut text = String::new();
        yaml(
            &json!({"dag_id": "a", "tags": [], "runs": [{"state": "no", "n": 1}, {"state": null}]}),
            0,
            &mut text,
        );
        assert_eq!(
            text,
            "\n\"dag_id\": \"a\"\n\"tags\": []\n\"runs\":\n  - \"state\": \"no\"\n    \"n\": 1\n  - \"state\": null\n"
        );
    }
}
