//! Values in scripts for Python: `{{ x }}` becomes a literal, or escaped text where it stands inside a string.
//!
//! Everything but letters, digits and a few harmless signs is written as an escape, so no value can end a string,
//! whichever quotes the author chose.

use std::fmt::Write;

use serde_json::Value;

use super::{Piece, Script, text_of};

/// A string that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Quote {
    mark: char,
    length: usize,
    takes_escapes: bool,
}

pub(super) fn script(pieces: &[Piece<'_>]) -> Result<Script, String> {
    let mut text = String::with_capacity(pieces.len());
    let mut quote: Option<Quote> = None;
    let mut is_comment = false;
    let mut at = 0;
    while let Some(piece) = pieces.get(at).copied() {
        at += 1;
        let char = match piece {
            Piece::Value(_, value) => {
                match quote {
                    // An escape cannot end the line, so the comment stays one.
                    _ if is_comment => escape(&mut text, &text_of(value)),
                    None => literal(&mut text, value),
                    Some(quote) => {
                        let start = text.len();
                        escape(&mut text, &text_of(value));
                        if !quote.takes_escapes && text[start..].contains('\\') {
                            return Err(
                                "a `{{ }}` stands in a raw or bytes string of the script and holds a character \
                                 that must be escaped: use an ordinary string, or set the value in `env:`"
                                    .to_owned(),
                            );
                        }
                    }
                }
                continue;
            }
            Piece::Char(char) => char,
        };
        text.push(char);
        match quote {
            _ if is_comment => is_comment = char != '\n',
            None if char == '#' => is_comment = true,
            None if char == '"' || char == '\'' => {
                let takes_escapes = takes_escapes(&text[..text.len() - 1]);
                let is_long = run_of(pieces, at, char) >= 2;
                let length = if is_long { 3 } else { 1 };
                for _ in 1..length {
                    text.push(char);
                    at += 1;
                }
                quote = Some(Quote {
                    mark: char,
                    length,
                    takes_escapes,
                });
            }
            None => (),
            Some(_) if char == '\\' => {
                if let Some(Piece::Char(escaped)) = pieces.get(at) {
                    text.push(*escaped);
                    at += 1;
                }
            }
            // An unfinished short string ends with its line: Python reports it.
            Some(open) if char == '\n' && open.length == 1 => quote = None,
            Some(open) if char == open.mark && run_of(pieces, at, char) + 1 >= open.length => {
                for _ in 1..open.length {
                    text.push(char);
                    at += 1;
                }
                quote = None;
            }
            Some(_) => (),
        }
    }
    Ok(Script {
        text,
        environment: Vec::new(),
    })
}

/// How often `char` follows from `at`.
fn run_of(pieces: &[Piece<'_>], at: usize, char: char) -> usize {
    pieces[at..]
        .iter()
        .take_while(|piece| **piece == Piece::Char(char))
        .count()
}

/// Whether a string that opens after `before` has neither `r` nor `b` in front.
fn takes_escapes(before: &str) -> bool {
    let prefix = before
        .rsplit(|char: char| !char.is_alphanumeric() && char != '_')
        .next()
        .unwrap_or_default();
    prefix.len() > 2 || !prefix.contains(['r', 'R', 'b', 'B'])
}

fn literal(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => {
            text.push('"');
            escape(text, string);
            text.push('"');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                literal(text, item);
                text.push_str(", ");
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (key, value) in map {
                literal(text, &Value::String(key.clone()));
                text.push_str(": ");
                literal(text, value);
                text.push_str(", ");
            }
            text.push('}');
        }
    }
}

fn escape(text: &mut String, value: &str) {
    for char in value.chars() {
        if char.is_ascii_alphanumeric() || " _-.,:/+@".contains(char) {
            text.push(char);
        } else {
            write!(text, "\\U{:08x}", u32::from(char)).expect("writing to a String cannot fail");
        }
    }
}
