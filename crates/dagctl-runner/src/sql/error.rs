//! What a person is told of a database's error: its words, its code, and where in the statement it is.

use dagctl_core::outcome::{Failure, FailureKind};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::endpoint::Endpoint;

/// A statement as it was sent, and the user's text that is part of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// The whole text that the server saw.
    pub(crate) sql: &'a str,
    /// How many bytes of it are ours, before the user's text begins.
    pub(crate) prefix: usize,
    /// How many lines come before the user's text in the text that the user wrote.
    pub(crate) lines_before: usize,
}

impl<'a> Sent<'a> {
    /// A statement that is one whole.
    pub(crate) fn whole(sql: &'a str) -> Self {
        Self {
            sql,
            prefix: 0,
            lines_before: 0,
        }
    }
}

/// Turns what a statement came back with into a failure.
pub(crate) fn failure(err: &sqlx::Error, sent: Sent<'_>, endpoint: &Endpoint) -> Failure {
    let sqlx::Error::Database(database) = err else {
        let message = format!(
            "the connection to {} broke: {err}\ncheck that the server is up and was not restarted",
            endpoint.words()
        );
        return Failure::new(FailureKind::Connect, message);
    };
    let Some(err) = database.try_downcast_ref::<PgDatabaseError>() else {
        return Failure::new(FailureKind::Internal, database.to_string());
    };
    let mut message = format!("{} (SQLSTATE {})", err.message(), err.code());
    if let Some(PgErrorPosition::Original(position)) = err.position() {
        let ours = sent.sql[..sent.prefix].chars().count();
        // Positions count from 1. One inside our own words points at nothing the user wrote.
        if let Some(at) = position.checked_sub(ours + 1)
            && let Some(excerpt) = excerpt(&sent.sql[sent.prefix..], at, sent.lines_before)
        {
            message.push('\n');
            message.push_str(&excerpt);
        }
    }
    for (word, text) in [
        ("detail", err.detail()),
        ("hint", err.hint()),
        (
            "context",
            err.r#where().filter(|it| it.starts_with("COPY ")),
        ),
    ] {
        if let Some(text) = text {
            message.push_str(&format!("\n{word}: {text}"));
        }
    }
    Failure::new(FailureKind::SqlState(err.code().to_owned()), message)
}

/// The line around the character `at`, with a caret under it.
fn excerpt(text: &str, at: usize, lines_before: usize) -> Option<String> {
    const WIDTH: usize = 100;
    let mut left = at;
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        let length = line.chars().count();
        if left <= length {
            // A long line is shown around the place; tabs would make the caret miss it.
            let from = left.saturating_sub(WIDTH / 2);
            let shown: String = line.chars().skip(from).take(WIDTH).collect();
            let shown = shown.replace('\t', " ");
            let dots = if from > 0 { "..." } else { "" };
            let number = (lines_before + number + 1).to_string();
            let blank = " ".repeat(number.len());
            let gap = " ".repeat(left - from + dots.len());
            return Some(format!("  {number} | {dots}{shown}\n  {blank} | {gap}^"));
        }
        left = left.checked_sub(length + 1)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn the_caret_stands_under_the_place() {
        let text = "select 1,\n  count(*) over (parition by x)\nfrom t";
        let at = text.find("by").unwrap();
        assert_eq!(
            excerpt(text, at, 1).unwrap(),
            "  3 |   count(*) over (parition by x)\n    |                           ^"
        );
    }

    #[test]
    fn the_caret_counts_characters_and_finds_its_place_in_a_long_line() {
        let text = format!("select '{}' fro t", "요".repeat(200));
        let at = text.chars().position(|it| it == 'f').unwrap();
        let shown = excerpt(&text, at, 0).unwrap();
        let (line, caret) = shown.split_once('\n').unwrap();
        let column = caret.chars().position(|it| it == '^').unwrap();
        assert_eq!(line.chars().nth(column), Some('f'));
    }

    #[test]
    fn a_place_at_the_very_end_is_shown() {
        assert_eq!(
            excerpt("select", 6, 0).unwrap(),
            "  1 | select\n    |       ^"
        );
        assert_eq!(excerpt("select", 8, 0), None);
    }
}
