//! A result's values as JSON.

use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Number, Value};
use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

/// The longest value that becomes an output, in bytes of its text.
const MAX_VALUE: usize = 64 * 1024;

/// The values of a row with their columns' names.
pub(crate) fn named(row: &PgRow) -> Result<Map<String, Value>, Failure> {
    let columns = row.columns().iter().enumerate();
    columns
        .map(|(at, column)| Ok((column.name().to_owned(), value(row, at)?)))
        .collect()
}

/// The values of a row in order.
pub(crate) fn all(row: &PgRow) -> Result<Vec<Value>, Failure> {
    (0..row.len()).map(|at| value(row, at)).collect()
}

/// One value: numbers, truth and JSON as such, anything else as its text.
pub(crate) fn value(row: &PgRow, at: usize) -> Result<Value, Failure> {
    let broken = |problem: &str| Failure::new(FailureKind::Definition, problem);
    let raw = row
        .try_get_raw(at)
        .map_err(|_| broken("the query gives no column, so there is nothing to fetch"))?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let bytes = raw
        .as_bytes()
        .map_err(|_| broken("a value could not be read"))?;
    if bytes.len() > MAX_VALUE {
        return Err(broken(&format!(
            "column `{}` has a value of {} bytes; an output holds at most {MAX_VALUE}: write it to a table or a file",
            row.column(at).name(),
            bytes.len()
        )));
    }
    // A database in SQL_ASCII may hold bytes that are no text.
    let text = String::from_utf8_lossy(bytes);
    Ok(typed(raw.type_info().name(), &text))
}

fn typed(type_name: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match type_name {
        "BOOL" => Value::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => text
            .parse::<i64>()
            .map_or_else(|_| as_text(), |it| Value::Number(it.into())),
        "FLOAT4" | "FLOAT8" => text
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map_or_else(as_text, Value::Number),
        // A NUMERIC stays exact: what JSON's number cannot hold stays text.
        "NUMERIC" => exact(text).map_or_else(as_text, Value::Number),
        "JSON" | "JSONB" => serde_json::from_str(text).unwrap_or_else(|_| as_text()),
        _ => as_text(),
    }
}

fn exact(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let number: f64 = text.parse().ok()?;
    let plain = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => text,
    };
    (number.to_string() == plain)
        .then(|| Number::from_f64(number))
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::typed;

    #[test]
    fn a_numeric_is_a_number_only_where_nothing_is_lost() {
        for (text, expected) in [
            ("12", json!(12)),
            ("12.50", json!(12.5)),
            ("-0.25", json!(-0.25)),
            ("0.1", json!(0.1)),
            ("12.000", json!(12.0)),
            ("12345678901234567890.5", json!("12345678901234567890.5")),
            (
                "0.12345678901234567890123",
                json!("0.12345678901234567890123"),
            ),
            ("NaN", json!("NaN")),
        ] {
            assert_eq!(typed("NUMERIC", text), expected, "{text}");
        }
    }

    #[test]
    fn values_keep_their_kind() {
        assert_eq!(
            typed("INT8", "9007199254740993"),
            json!(9_007_199_254_740_993_i64)
        );
        assert_eq!(typed("BOOL", "t"), json!(true));
        assert_eq!(typed("FLOAT8", "Infinity"), json!("Infinity"));
        assert_eq!(typed("JSONB", r#"{"a": [1]}"#), json!({"a": [1]}));
        assert_eq!(typed("DATE", "2026-01-31"), json!("2026-01-31"));
        assert_eq!(typed("?", "x"), json!("x"));
    }
}
