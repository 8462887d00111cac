//! Reads SQL text without understanding it: statements, `:name` binds, identifiers.

mod scan;

use self::scan::{Piece, pieces};

/// One statement of a longer text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The statement without the `;` that ends it and the blanks around it.
    pub text: &'a str,
    /// Where it starts, in bytes of the whole text.
    pub offset: usize,
}

/// A statement whose `:name` binds became `$1`, `$2`, ….
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The statement with numbered binds.
    pub sql: String,
    /// The name behind `$1`, `$2`, …; each once.
    pub names: Vec<String>,
}

/// Splits at each `;` outside quotes, dollar quotes and comments; leaves out empty statements.
pub fn split(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut has_code = false;
    for (piece, range) in pieces(text) {
        match piece {
            Piece::Code if &text[range.clone()] == ";" => {
                if has_code {
                    statements.push(trimmed(text, start, range.start));
                }
                start = range.end;
                has_code = false;
            }
            Piece::Code | Piece::Word | Piece::Number | Piece::Quoted | Piece::QuotedName => {
                has_code = true;
            }
            Piece::Blank | Piece::Comment => {}
        }
    }
    if has_code {
        statements.push(trimmed(text, start, text.len()));
    }
    statements
}

fn trimmed(text: &str, start: usize, end: usize) -> Statement<'_> {
    let part = &text[start..end];
    Statement {
        text: part.trim(),
        offset: start + (part.len() - part.trim_start().len()),
    }
}

/// Numbers the `:name` binds outside strings, comments, casts (`a::int`) and slices (`a[1:n]`).
///
/// Between `[` and `]` a `:` that follows a value separates the bounds of a slice, so a bind there
/// needs brackets of its own: `a[(:first):(:last)]`.
pub fn binds(text: &str) -> Bound {
    let mut bound = Bound {
        sql: String::with_capacity(text.len()),
        names: Vec::new(),
    };
    // What encloses the current place, and whether a value stands just before it.
    let mut nesting: Vec<char> = Vec::new();
    let mut after_value = false;
    let mut all = pieces(text).into_iter().peekable();
    while let Some((piece, range)) = all.next() {
        let part = &text[range.clone()];
        match piece {
            Piece::Code if part == ":" => {
                let is_slice = nesting.last() == Some(&'[') && after_value;
                after_value = false;
                let name = all
                    .peek()
                    .filter(|(next, _)| *next == Piece::Word && !is_slice)
                    .map(|(_, name)| text[name.clone()].to_owned());
                let Some(name) = name else {
                    bound.sql.push_str(part);
                    continue;
                };
                all.next();
                let number = bound.names.iter().position(|it| *it == name);
                let number = number.unwrap_or_else(|| {
                    bound.names.push(name);
                    bound.names.len() - 1
                }) + 1;
                bound.sql.push_str(&format!("${number}"));
                after_value = true;
                continue;
            }
            Piece::Code => {
                match part {
                    "(" => nesting.push('('),
                    "[" => nesting.push('['),
                    ")" | "]" => {
                        nesting.pop();
                    }
                    _ => {}
                }
                after_value = matches!(part, ")" | "]");
            }
            Piece::Word | Piece::Number | Piece::Quoted | Piece::QuotedName => after_value = true,
            Piece::Blank | Piece::Comment => {}
        }
        bound.sql.push_str(part);
    }
    bound
}

/// Quotes a name, a dotted one part by part: `analytics.mau` is `"analytics"."mau"`.
///
/// A part that is already quoted stays as it is, and a dot inside quotes does not divide.
pub fn ident(name: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = name;
    loop {
        let (part, after) = match quoted_part(rest) {
            Some(end) => (rest[..end].to_owned(), &rest[end..]),
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (
                    format!("\"{}\"", rest[..end].replace('"', "\"\"")),
                    &rest[end..],
                )
            }
        };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => break,
        }
    }
    parts.join(".")
}

/// Where a well-formed quoted part at the start of `text` ends, if a dot or the end follows it.
fn quoted_part(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('"')?;
    let mut from = 0;
    loop {
        let at = from + inner[from..].find('"')?;
        if inner[at + 1..].starts_with('"') {
            from = at + 2;
            continue;
        }
        let end = at + 2;
        let follows = &text[end..];
        return (at > 0 && (follows.is_empty() || follows.starts_with('.'))).then_some(end);
    }
}

/// Writes a text as an SQL literal that means the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// The words outside quotes and comments, in capitals.
pub fn words(text: &str) -> Vec<String> {
    pieces(text)
        .into_iter()
        .filter(|(piece, _)| *piece == Piece::Word)
        .map(|(_, range)| text[range].to_uppercase())
        .collect()
}

/// The first word in capitals, such as `SELECT`; empty where something else comes first.
pub fn first_word(text: &str) -> String {
    for (piece, range) in pieces(text) {
        match piece {
            Piece::Word => return text[range].to_uppercase(),
            Piece::Blank | Piece::Comment => {}
            // `(SELECT …) UNION …` and `;;SELECT` still begin with SELECT.
            Piece::Code if matches!(&text[range.clone()], "(" | ";") => {}
            Piece::Code | Piece::Number | Piece::Quoted | Piece::QuotedName => break,
        }
    }
    String::new()
}

/// The text without the `;`, blanks and comments at its end.
pub fn strip_trailing_semicolon(text: &str) -> &str {
    let end = pieces(text)
        .into_iter()
        .rfind(|(piece, range)| match piece {
            Piece::Blank | Piece::Comment => false,
            Piece::Code => &text[range.clone()] != ";",
            Piece::Word | Piece::Number | Piece::Quoted | Piece::QuotedName => true,
        })
        .map_or(0, |(_, range)| range.end);
    &text[..end]
}

#[cfg(test)]
mod tests;
