//! Checks on data: the number a query gives, against what it must be.

use std::time::Instant;

use dagctl_core::check::{Bounds, Check};
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text;
use dagctl_core::template::Context;

use super::error::Sent;
use super::session::{Session, took};
use super::{rendered, value};

/// Runs every check and fails with all that do not hold.
pub(crate) async fn run_all(
    session: &mut Session,
    what: &str,
    checks: &[Check],
    context: &Context,
) -> Result<(), Failure> {
    let mut broken = vec![];
    for (at, check) in checks.iter().enumerate() {
        let sql = rendered(&check.sql, context, what)?;
        let name = format!("{what} {} of {}", at + 1, checks.len());
        if let Err(problem) = run_one(session, &name, &sql, check.bounds).await? {
            broken.push(problem);
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(FailureKind::Check, broken.join("\n")))
}

/// Runs one check; the inner error is the sentence that says what did not hold.
pub(crate) async fn run_one(
    session: &mut Session,
    name: &str,
    sql: &str,
    bounds: Bounds,
) -> Result<Result<(), String>, Failure> {
    let sql = sql_text::strip_trailing_semicolon(sql);
    let since = Instant::now();
    session.announce(sql).await;
    let actual = number(session, name, sql).await?;
    let verdict = if bounds.hold(actual) { "ok" } else { "FAILED" };
    let sentence = format!("{name}: expected {bounds}, got {actual}");
    let took = took(since.elapsed());
    session
        .log
        .line(format!("{sentence} – {verdict} ({took})"))
        .await;
    Ok(if bounds.hold(actual) {
        Ok(())
    } else {
        Err(format!(
            "{sentence}\n  {}",
            sql.trim().replace('\n', "\n  ")
        ))
    })
}

async fn number(session: &mut Session, name: &str, sql: &str) -> Result<f64, Failure> {
    let mut rows = vec![];
    let mut count = 0_u64;
    session
        .stream(Sent::whole(sql), |row| {
            count += 1;
            if count <= 2 {
                rows.push(value::all(&row)?);
            }
            Ok(())
        })
        .await?;
    let found = match rows.as_slice() {
        [row] if row.len() == 1 => match text_of(&row[0]).parse::<f64>() {
            Ok(number) => return Ok(number),
            Err(_) => format!("`{}`", text_of(&row[0])),
        },
        [row] => format!("a row of {} values", row.len()),
        [] => "no row".to_owned(),
        _ => format!("{count} rows"),
    };
    let message = format!(
        "{name}: a check must give one row with one number, but this gave {found}\n  {sql}"
    );
    Err(Failure::new(FailureKind::Check, message))
}

pub(crate) fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => value.to_string(),
    }
}
