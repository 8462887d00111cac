//! SQL as a parser reads it, without a database and with names in the place of its templates.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use dagctl_core::sql_text;
use regex::Regex;
use sqlparser::ast::Statement;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, RedshiftSqlDialect};
use sqlparser::parser::Parser;

use crate::sql_writes::Found;
use crate::text::offset;

static BIND: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(^|[^:\w]):([A-Za-z_])").expect("the pattern is constant"));

/// What is kept of a text's syntax trees, which are many times its size.
pub(crate) struct SqlRead {
    /// Statements that could not be read, by their bytes in the text [`without_templates`].
    pub(crate) failures: Vec<(Range<usize>, Failure)>,
    /// The tables that the others write.
    pub(crate) writes: Vec<String>,
}

/// Where the parser gave up, and why.
pub(crate) struct Failure {
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl SqlRead {
    /// Parses every statement of a text.
    pub(crate) fn new(text: &str) -> Self {
        let plain = without_templates(text);
        let mut failures = vec![];
        let mut found = Found::new(text);
        for statement in sql_text::split(&plain) {
            match parse(statement.text) {
                Ok(trees) => trees.iter().for_each(|it| found.statement(it)),
                Err(failure) => {
                    let range = statement.offset..statement.offset + statement.text.len();
                    failures.push((range, failure));
                }
            }
        }
        Self {
            failures,
            writes: found.tables,
        }
    }
}

/// The same text with names of the same length in place of templates and binds.
pub(crate) fn without_templates(text: &str) -> Cow<'_, str> {
    let plain = without_values(text);
    if !plain.contains(':') {
        return plain;
    }
    match BIND.replace_all(&plain, "${1}_${2}") {
        Cow::Borrowed(_) => plain,
        Cow::Owned(it) => Cow::Owned(it),
    }
}

/// The same text with names of the same length in place of templates, and blanks in place of their comments.
pub(crate) fn without_values(text: &str) -> Cow<'_, str> {
    let mut plain = String::new();
    let mut done = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('{') {
        let start = at + found;
        let end = match text.as_bytes().get(start + 1) {
            Some(b'{') => text[start + 2..].find("}}"),
            Some(b'#') => text[start + 2..].find("#}"),
            Some(_) | None => None,
        };
        let Some(end) = end.map(|it| start + 2 + it + 2) else {
            at = start + 1;
            continue;
        };
        plain.push_str(&text[done..start]);
        let (first, other) = match text.as_bytes()[start + 1] {
            b'#' => (' ', ' '),
            _ => (NAME, FILLING),
        };
        plain.push(first);
        plain.extend(std::iter::repeat_n(other, end - start - 1));
        (done, at) = (end, end);
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    plain.push_str(&text[done..]);
    Cow::Owned(plain)
}

/// How the name of a template begins, and what follows to its length: `x____`.
const NAME: char = 'x';
const FILLING: char = '_';
/// The name of the shortest template, `{{}}`.
const SHORTEST: &str = "x___";

/// Whether a name that the parser found in `sql` stands for a template or is made with one.
pub(crate) fn holds_template(name: &str, sql: &str) -> bool {
    name.contains(SHORTEST) && !sql.contains(name)
}

/// The trees of a statement.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>, Failure> {
    parse_as(sql, &PostgreSqlDialect {})
        .or_else(|failure| parse_as(sql, &RedshiftSqlDialect {}).map_err(|_| failure))
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

#[cfg(test)]
mod tests {
    use super::{holds_template, without_templates, without_values};

    #[test]
    fn a_template_becomes_a_name_of_its_length_and_its_comment_blanks() {
        for (text, wanted) in [
            ("a {{ b }} c", "a x______ c"),
            ("{{}}{{ '}' }}", "x___x________"),
            ("{# {{ a }} #}1", "             1"),
            ("{{ a\n }}", "x_______"),
            ("{{ a", "{{ a"),
            ("{{# a #}", "{       "),
            ("{#} {{a}", "{#} {{a}"),
            ("größe {{ größe }}", "größe x____________"),
        ] {
            assert_eq!(without_values(text), wanted, "{text}");
            assert_eq!(without_values(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn a_bind_becomes_a_name_and_a_cast_stays() {
        for (text, wanted) in [
            (":a", "_a"),
            (
                "(:a, b::int, x:y, '{{ c }}')",
                "(_a, b::int, x:y, 'x______')",
            ),
            ("12:30", "12:30"),
        ] {
            assert_eq!(without_templates(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_a_template_is_none() {
        assert!(holds_template("raw_x______", "insert into a.raw_{{ b }}"));
        assert!(!holds_template("x___", "insert into a.x___"));
        assert!(!holds_template("orders", "insert into a.{{ b }}"));
    }
}
