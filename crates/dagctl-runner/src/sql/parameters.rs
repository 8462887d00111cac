//! `:name` in a statement and its value: prepared and executed untyped, so that Postgres infers the type.
//!
//! `PREPARE … AS` leaves the types open and `EXECUTE` takes quoted literals, which have no type either. The driver's own
//! binds are in binary form and would need the type first.

use std::fmt::Write as _;

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::{self, Bound};
use serde_json::{Map, Value};

/// What `PREPARE` takes.
const PREPARABLE: [&str; 7] = [
    "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES",
];

/// The name of the prepared statement; there is one at a time.
const NAME: &str = "dagctl_statement";

/// The parameter that every statement has.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// How a statement with its values is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is, with the values written in as quoted literals where there are any.
    Text(String),
    /// Prepared first, then executed.
    Prepared {
        /// `prepare … as …`.
        prepare: String,
        /// How many bytes of `prepare` come before the statement.
        prefix: usize,
        /// `execute …(…)`.
        execute: String,
        /// `deallocate …`.
        deallocate: String,
    },
}

/// Whether the server may be asked to prepare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preparing {
    /// Statements that can be prepared are.
    Where,
    /// None is: the dialect does not take it.
    Never,
}

/// Joins a statement and the values of its `:name`s.
pub(crate) fn bind(
    text: &str,
    values: &Map<String, Value>,
    preparing: Preparing,
) -> Result<Form, Failure> {
    let bound = sql_text::binds(text);
    if bound.names.is_empty() {
        return Ok(Form::Text(text.to_owned()));
    }
    let literals = bound
        .names
        .iter()
        .map(|name| literal(name, values))
        .collect::<Result<Vec<_>, _>>()?;
    let can_prepare = PREPARABLE.contains(&sql_text::first_word(text).as_str());
    if preparing == Preparing::Never || !can_prepare {
        return Ok(Form::Text(spliced(text, &bound, &literals)));
    }
    let head = format!("prepare {NAME} as\n");
    Ok(Form::Prepared {
        prefix: head.len(),
        prepare: head + &bound.sql,
        execute: format!("execute {NAME}({})", literals.join(", ")),
        deallocate: format!("deallocate {NAME}"),
    })
}

fn literal(name: &str, values: &Map<String, Value>) -> Result<String, Failure> {
    let wrong = |problem: String| Failure::new(FailureKind::Definition, problem);
    let value = values.get(name).ok_or_else(|| {
        // It is always there, so nobody looks for it among what they wrote.
        let own = values.keys().filter(|it| *it != IDEMPOTENCY_KEY);
        let known: Vec<_> = own.map(|it| format!("`{it}`")).collect();
        wrong(format!(
            "the SQL names `:{name}`, but `parameters` has no `{name}`; it has {}",
            if known.is_empty() {
                "nothing".to_owned()
            } else {
                known.join(", ")
            }
        ))
    })?;
    let text = match value {
        Value::Null => return Ok("null".to_owned()),
        Value::String(it) => it.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.contains('\0') {
        return Err(wrong(format!(
            "parameter `{name}` holds a NUL character, which no Postgres text can hold"
        )));
    }
    Ok(sql_text::literal(&text))
}

/// Writes the literals where [`sql_text::binds`] put numbers: there, and only there, the two texts differ.
fn spliced(text: &str, bound: &Bound, literals: &[String]) -> String {
    let mut written = String::with_capacity(text.len());
    let (mut old, mut new) = (text, bound.sql.as_str());
    while let Some(character) = old.chars().next() {
        if character == ':' && new.starts_with('$') {
            let digits = new[1..].len()
                - new[1..]
                    .trim_start_matches(|it: char| it.is_ascii_digit())
                    .len();
            let at: usize = new[1..=digits].parse().unwrap_or(1);
            let _ = write!(written, "{}", literals[at - 1]);
            old = &old[1 + bound.names[at - 1].len()..];
            new = &new[1 + digits..];
        } else {
            written.push(character);
            old = &old[character.len_utf8()..];
            new = &new[character.len_utf8()..];
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Map<String, Value> {
        let json = json!({"day": "2026-01-31", "n": 7, "odd": "it's \\ $1 :day", "none": null, "list": [1, 2]});
        json.as_object().unwrap().clone()
    }

    #[test]
    fn a_query_is_prepared_and_its_values_quoted() {
        let form = bind("select :day, :n, :day", &values(), Preparing::Where).unwrap();
        let Form::Prepared {
            prepare,
            prefix,
            execute,
            ..
        } = form
        else {
            panic!("not prepared");
        };
        assert_eq!(&prepare[prefix..], "select $1, $2, $1");
        assert_eq!(execute, "execute dagctl_statement('2026-01-31', '7')");
    }

    #[test]
    fn values_are_quoted_where_nothing_can_be_prepared() {
        let form = bind(
            "create table t as select :odd, ':day', :none, :list -- :n\n, a::text",
            &values(),
            Preparing::Where,
        );
        let expected = "create table t as select E'it''s \\\\ $1 :day', ':day', null, '[1,2]' -- :n\n, a::text";
        assert_eq!(form, Ok(Form::Text(expected.to_owned())));
    }

    #[test]
    fn a_name_without_a_value_is_an_error_that_lists_the_names() {
        let err = bind("select :dya", &values(), Preparing::Where).unwrap_err();
        assert_eq!(err.kind, FailureKind::Definition);
        assert!(
            err.message.contains("`:dya`") && err.message.contains("`day`"),
            "{}",
            err.message
        );
        let always = Map::from_iter([(IDEMPOTENCY_KEY.to_owned(), json!("k"))]);
        let err = bind("select :dya", &always, Preparing::Where).unwrap_err();
        assert!(err.message.ends_with("it has nothing"), "{}", err.message);
    }
}
