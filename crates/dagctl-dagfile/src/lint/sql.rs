//! SQL, as far as a parser can tell without a database.
//!
//! The parser knows neither every statement of PostgreSQL nor of Redshift, so its word alone is only a warning.
//! A misspelt keyword is an error: with the keyword in its place the parser gets further.

use std::ops::Range;
use std::sync::LazyLock;

use dagctl_core::sql_text;
use regex::Regex;
use sqlparser::ast::Statement;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, RedshiftSqlDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::keyword;
use crate::diagnostic::Code;
use crate::sources::Session;
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

static TEMPLATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)\{\{.*?\}\}|\{#.*?#\}").expect("the pattern is constant"));
static BIND: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(^|[^:\w]):([A-Za-z_])").expect("the pattern is constant"));

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
    let plain = without_templates(&text.value);
    for statement in sql_text::split(&plain) {
        let Err(failure) = parse(statement.text) else {
            continue;
        };
        let typos = typos(statement.text, &failure);
        for typo in &typos {
            let range = statement.offset + typo.word.start..statement.offset + typo.word.end;
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
        let known = KNOWN.contains(&sql_text::first_word(statement.text).as_str());
        if typos.is_empty() && known {
            let at = statement.offset + failure.at.min(statement.text.len());
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

/// The same text with names of the same length in place of templates and binds.
fn without_templates(text: &str) -> String {
    BIND.replace_all(&without_values(text), "${1}_${2}")
        .into_owned()
}

/// The same text with `name` in place of each template, and names in place of binds.
pub(crate) fn with_names(text: &str, name: &str) -> String {
    let text = TEMPLATE.replace_all(text, |found: &regex::Captures<'_>| {
        match found[0].starts_with("{#") {
            true => " ".to_owned(),
            false => name.to_owned(),
        }
    });
    BIND.replace_all(&text, "${1}_${2}").into_owned()
}

/// The same text with names of the same length in place of templates.
pub(crate) fn without_values(text: &str) -> String {
    let text = TEMPLATE.replace_all(text, |found: &regex::Captures<'_>| {
        let whole = &found[0];
        if whole.starts_with("{#") {
            " ".repeat(whole.len())
        } else {
            format!("x{}", "_".repeat(whole.len() - 1))
        }
    });
    text.into_owned()
}

/// Where the parser gave up, and why.
struct Failure {
    at: usize,
    message: String,
}

fn parse(sql: &str) -> Result<(), Failure> {
    let postgres = parse_as(sql, &PostgreSqlDialect {});
    if postgres.is_ok() || parse_as(sql, &RedshiftSqlDialect {}).is_ok() {
        return Ok(());
    }
    postgres.map(|_| ())
}

/// The statements of SQL that the parser can read.
pub(crate) fn parse_sql(sql: &str) -> Option<Vec<Statement>> {
    parse_as(sql, &PostgreSqlDialect {})
        .or_else(|_| parse_as(sql, &RedshiftSqlDialect {}))
        .ok()
}

fn parse_as(sql: &str, dialect: &dyn Dialect) -> Result<Vec<Statement>, Failure> {
    let result = Parser::new(dialect)
        .try_with_sql(sql)
        .and_then(|mut it| it.parse_statements());
    let error = match result {
        Ok(statements) => return Ok(statements),
        Err(error) => error,
    };
    let said = error.to_string();
    let said = said
        .trim_start_matches("sql parser error: ")
        .trim_start_matches("ParserError: ");
    let (message, place) = match said.rsplit_once(" at Line: ") {
        Some((message, place)) => (message, Some(place)),
        None => (said, None),
    };
    let at = place
        .and_then(|it| it.split_once(", Column: "))
        .and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)))
        .map_or(sql.len(), |(line, column)| offset(sql, line, column));
    Err(Failure {
        at,
        message: message.to_owned(),
    })
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
                Ok(()) => None,
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

fn offset(text: &str, line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(it) => start += it + 1,
            None => return text.len(),
        }
    }
    text[start..]
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(text.len(), |(it, _)| start + it)
}

fn word_len(text: &str) -> usize {
    text.find(|it: char| !it.is_alphanumeric() && it != '_')
        .filter(|it| *it > 0)
        .unwrap_or_else(|| text.chars().next().map_or(0, char::len_utf8))
}
