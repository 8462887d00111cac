//! Puts values into a Python script: as a literal, or as escaped text where the author is inside a string.
//!
//! Everything but letters, digits and a few harmless signs is written as an escape, so no value can end a string,
//! whichever quotes are around it.

use std::fmt::Write;

use serde_json::Value;

use super::shell::{Part, Refusal};

/// A string that is open.
#[derive(Debug, Clone, Copy)]
struct Quote {
    mark: char,
    is_long: bool,
    takes_escapes: bool,
}

#[derive(Debug, Default)]
struct Tracker {
    quote: Option<Quote>,
    is_comment: bool,
    escaped: bool,
    /// The letters just before, which may be a string's prefix.
    word: String,
    /// How many quote marks follow one another, and which.
    run: (char, usize),
}

/// Writes the parts as one script; values come as JSON. Fails with the number of the value that cannot stand.
pub(super) fn script<'a>(
    parts: impl IntoIterator<Item = Part<'a>>,
) -> Result<String, (usize, Refusal)> {
    let mut tracker = Tracker::default();
    let mut out = String::new();
    let mut number = 0;
    for part in parts {
        match part {
            Part::Script(text) => {
                let chars: Vec<char> = text.chars().collect();
                for (at, it) in chars.iter().enumerate() {
                    tracker.follow(*it, &chars[at + 1..]);
                }
                out.push_str(text);
            }
            Part::Value(json) => {
                let value = serde_json::from_str(json).unwrap_or_else(|_| json.into());
                tracker
                    .value(&mut out, &value)
                    .map_err(|refusal| (number, refusal))?;
                number += 1;
            }
        }
    }
    Ok(out)
}

impl Tracker {
    fn value(&mut self, out: &mut String, value: &Value) -> Result<(), Refusal> {
        self.word.clear();
        self.run = ('\0', 0);
        if std::mem::take(&mut self.escaped) {
            return Err("after a backslash");
        }
        // An escape cannot end the line, so a comment stays one.
        if self.is_comment {
            escape(out, &text_of(value));
            return Ok(());
        }
        let Some(quote) = self.quote else {
            literal(out, value);
            return Ok(());
        };
        let start = out.len();
        escape(out, &text_of(value));
        if !quote.takes_escapes && out[start..].contains('\\') {
            return Err("into a raw or bytes string when it holds more than plain letters");
        }
        Ok(())
    }

    fn follow(&mut self, it: char, rest: &[char]) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        if self.is_comment {
            self.is_comment = it != '\n';
            return;
        }
        // Marks that were already counted as part of `'''`.
        if self.run.0 == it && self.run.1 > 0 {
            self.run.1 -= 1;
            return;
        }
        self.run = ('\0', 0);
        let is_triple = rest.starts_with(&[it, it]);
        match self.quote {
            None => match it {
                '#' => self.is_comment = true,
                '"' | '\'' => {
                    let prefix = std::mem::take(&mut self.word);
                    let is_prefix = prefix.len() <= 2;
                    self.quote = Some(Quote {
                        mark: it,
                        is_long: is_triple,
                        takes_escapes: !is_prefix || !prefix.contains(['r', 'R', 'b', 'B']),
                    });
                    if is_triple {
                        self.run = (it, 2);
                    }
                }
                _ if it.is_alphanumeric() || it == '_' => self.word.push(it),
                _ => self.word.clear(),
            },
            Some(_) if it == '\\' => self.escaped = true,
            Some(quote) if it == quote.mark && quote.is_long => {
                if is_triple {
                    self.quote = None;
                    self.run = (it, 2);
                }
            }
            // Python ends an unfinished short string with its line, and says so.
            Some(quote) if it == quote.mark || (it == '\n' && !quote.is_long) => self.quote = None,
            Some(_) => {}
        }
    }
}

/// The text of a value as a plain `{{ }}` writes it.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn literal(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => {
            out.push('"');
            escape(out, text);
            out.push('"');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                literal(out, item);
                out.push_str(", ");
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (key, value) in fields {
                literal(out, &Value::String(key.clone()));
                out.push_str(": ");
                literal(out, value);
                out.push_str(", ");
            }
            out.push('}');
        }
    }
}

fn escape(out: &mut String, text: &str) {
    for it in text.chars() {
        if it.is_ascii_alphanumeric() || " _-.,:/+@".contains(it) {
            out.push(it);
        } else {
            write!(out, "\\U{:08x}", u32::from(it)).expect("a String takes any text");
        }
    }
}
