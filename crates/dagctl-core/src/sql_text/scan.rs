//! Cuts SQL text into pieces: words, quoted texts, comments and the rest.

use std::ops::Range;

/// What a stretch of SQL text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Blank,
    Comment,
    /// An unquoted name or keyword.
    Word,
    Number,
    /// A string, in whichever quotes.
    Quoted,
    /// A name in double quotes.
    QuotedName,
    /// One sign, or `::`, `:=`.
    Code,
}

/// The pieces of a text; side by side they are the whole text. What is never closed runs to the end.
pub(super) fn pieces(text: &str) -> Vec<(Piece, Range<usize>)> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some((piece, len)) = next(&text[at..]) {
        pieces.push((piece, at..at + len));
        at += len;
    }
    pieces
}

fn next(rest: &str) -> Option<(Piece, usize)> {
    let first = rest.chars().next()?;
    Some(match first {
        _ if first.is_whitespace() => (Piece::Blank, run(rest, char::is_whitespace)),
        '-' if rest.starts_with("--") => {
            (Piece::Comment, run(rest, |it| !matches!(it, '\n' | '\r')))
        }
        '/' if rest.starts_with("/*") => (Piece::Comment, block_comment(rest)),
        '\'' => (Piece::Quoted, quoted(rest, 0, Escapes::Doubled)),
        '"' => (Piece::QuotedName, quoted(rest, 0, Escapes::Doubled)),
        'e' | 'E' if rest[1..].starts_with('\'') => {
            (Piece::Quoted, quoted(rest, 1, Escapes::Backslash))
        }
        '$' => match dollar_quoted(rest) {
            Some(len) => (Piece::Quoted, len),
            None => (Piece::Code, 1),
        },
        _ if first.is_ascii_digit() => (
            Piece::Number,
            run(rest, |it| {
                it.is_ascii_alphanumeric() || matches!(it, '_' | '.')
            }),
        ),
        _ if is_word_start(first) => (Piece::Word, run(rest, is_word)),
        ':' if rest.starts_with("::") || rest.starts_with(":=") => (Piece::Code, 2),
        _ => (Piece::Code, first.len_utf8()),
    })
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|it| !belongs(it)).unwrap_or(text.len())
}

fn is_word_start(it: char) -> bool {
    it == '_' || it.is_alphabetic() || (!it.is_ascii() && !it.is_whitespace())
}

fn is_word(it: char) -> bool {
    is_word_start(it) || it.is_ascii_digit() || it == '$'
}

/// Comments nest, as the standard says and Postgres does.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Doubled,
    Backslash,
}

/// The length of a text in quotes that opens at `open`. Its quote is ASCII, so bytes will do.
fn quoted(text: &str, open: usize, escapes: Escapes) -> usize {
    let bytes = text.as_bytes();
    let quote = bytes[open];
    let mut at = open + 1;
    while at < bytes.len() {
        if bytes[at] == b'\\' && escapes == Escapes::Backslash {
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    text.len()
}

fn dollar_quoted(text: &str) -> Option<usize> {
    let after = &text[1..];
    if after.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let name_len = run(after, |it| is_word(it) && it != '$');
    if !after[name_len..].starts_with('$') {
        return None;
    }
    let tag = &text[..name_len + 2];
    let body = &text[tag.len()..];
    Some(
        body.find(tag)
            .map_or(text.len(), |at| tag.len() + at + tag.len()),
    )
}
