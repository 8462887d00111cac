//! SQL, as far as a parser can tell without a database.
//!
//! The parser knows neither every statement of PostgreSQL nor of Redshift, so its word alone is only a warning.
//! A misspelt keyword is an error: with the keyword in its place the parser gets further.

use std::ops::Range;

use dagctl_core::sql_text;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::keyword;
use crate::diagnostic::Code;
use crate::sources::Session;
use crate::sql_read::{Failure, parse, without_templates};
use crate::text::Text;

/// Longer texts are generated, and cost more time than they are worth.
const MAX_BYTES: usize = 64 * 1024;
const MAX_TYPOS: usize = 10;
/// How many words around the place where the parser gave up may be the misspelt one.
const REACH: usize = 5;
/// Statements whose grammar the parser knows well enough for a warning.
const KNOWN: &[&str] = &[
    "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "VALUES", "TRUNCATE",
];

/// A misspelt keyword.
struct Typo {
    word: Range<usize>,
    keyword: &'static str,
}

pub(super) fn check(session: &mut Session<'_>, text: &Text) {
    // What a `{% if %}` leaves out cannot be known.
    if text.value.len() > MAX_BYTES || text.value.contains("{%") {
        return;
    }
    let read = session.read_sql(&text.value);
    if read.failures.is_empty() {
        return;
    }
    let plain = without_templates(&text.value);
    for (statement, failure) in &read.failures {
        let (offset, statement) = (statement.start, &plain[statement.clone()]);
        let typos = typos(statement, failure);
        for typo in &typos {
            let range = offset + typo.word.start..offset + typo.word.end;
            let found = &plain[range.clone()];
            let place = text.locate(session.sources, range.clone());
            let by = plain[range.end..]
                .trim_start()
                .get(..2)
                .is_some_and(|it| it.eq_ignore_ascii_case("by"));
            let meant = match typo.keyword {
                "PARTITION" | "ORDER" | "GROUP" if by => format!("{} BY", typo.keyword),
                keyword => keyword.to_owned(),
            };
            session
                .report(Code::SqlTypo, place, format!("`{found}` is no SQL keyword"))
                .label("misspelt?")
                .hint(format!("did you mean `{meant}`?"));
        }
        let known = KNOWN.contains(&sql_text::first_word(statement).as_str());
        if typos.is_empty() && known {
            let at = offset + failure.at.min(statement.len());
            let end = at + word_len(&plain[at..]);
            let place = text.locate(session.sources, at..end);
            session.report(
                Code::SqlUnread,
                place,
                format!("this SQL could not be read: {}", failure.message),
            );
        }
    }
}

/// Puts keywords in the place of words that resemble them for as long as that gets the parser further.
fn typos(sql: &str, failure: &Failure) -> Vec<Typo> {
    let mut text = sql.to_owned();
    let mut at = failure.at;
    let mut fixes: Vec<(Range<usize>, &'static str)> = vec![];
    while fixes.len() < MAX_TYPOS {
        let Some(fix) = best_fix(&text, at) else {
            break;
        };
        text.replace_range(fix.word.clone(), fix.keyword);
        fixes.push((fix.word, fix.keyword));
        match fix.then {
            Some(then) => at = then,
            None => break,
        }
    }
    // Each fix was made in a text that the ones before had changed.
    let mut typos: Vec<Typo> = vec![];
    for (at, (word, keyword)) in fixes.iter().enumerate() {
        let mut word = word.clone();
        for (earlier, other) in fixes[..at].iter().rev() {
            if earlier.start < word.start {
                let grown = other.len().cast_signed() - earlier.len().cast_signed();
                word.start = word.start.saturating_add_signed(-grown);
                word.end = word.end.saturating_add_signed(-grown);
            }
        }
        typos.push(Typo { word, keyword });
    }
    typos.sort_by_key(|it| it.word.start);
    typos
}

/// A keyword for a word, and where the parser gives up then.
struct Fix {
    word: Range<usize>,
    keyword: &'static str,
    then: Option<usize>,
}

fn best_fix(sql: &str, at: usize) -> Option<Fix> {
    let words = words(sql)?;
    let here = words
        .iter()
        .position(|it| it.end > at)
        .unwrap_or(words.len());
    let near = here.saturating_sub(REACH)..(here + REACH).min(words.len());
    // The word where it gave up must be read, and all before the next: a sign more may be chance.
    let far = words.get(here + 1).map_or(sql.len(), |it| it.start);
    let mut best: Option<Fix> = None;
    for word in &words[near] {
        for keyword in keyword::meant(&sql[word.clone()]) {
            let mut fixed = sql.to_owned();
            fixed.replace_range(word.clone(), keyword);
            let then = match parse(&fixed) {
                Ok(_) => None,
                Err(failure) => Some(failure.at),
            };
            let grown = keyword.len().cast_signed() - word.len().cast_signed();
            let further = then.is_none_or(|it| it >= far.saturating_add_signed(grown));
            let better = match (&best, then) {
                (None, _) => true,
                (Some(best), None) => best.then.is_some(),
                (Some(best), Some(then)) => best.then.is_some_and(|it| then > it),
            };
            if further && better {
                best = Some(Fix {
                    word: word.clone(),
                    keyword,
                    then,
                });
            }
        }
    }
    best
}

/// The words of a statement outside quotes and comments.
fn words(sql: &str) -> Option<Vec<Range<usize>>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize_with_location()
        .ok()?;
    let starts: Vec<usize> = std::iter::once(0)
        .chain(sql.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let mut words = vec![];
    for token in &tokens {
        let Token::Word(word) = &token.token else {
            continue;
        };
        let line = usize::try_from(token.span.start.line).ok()?;
        let column = usize::try_from(token.span.start.column).ok()?;
        let start = *starts.get(line.checked_sub(1)?)?;
        let start = start
            + sql[start..]
                .char_indices()
                .nth(column.checked_sub(1)?)
                .map(|(at, _)| at)?;
        let range = start..start + word.value.len();
        if word.quote_style.is_none() && sql.get(range.clone()) == Some(word.value.as_str()) {
            words.push(range);
        }
    }
    Some(words)
}

fn word_len(text: &str) -> usize {
    text.find(|it: char| !it.is_alphanumeric() && it != '_')
        .filter(|it| *it > 0)
        .unwrap_or_else(|| text.chars().next().map_or(0, char::len_utf8))
}
