//! The names of one build, and what must hold of its staging table's key.

use dagctl_core::operator::Target;
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text;

use crate::Attempt;
use crate::sql::rendered;
use crate::sql::session::{Session, application_prefix, fingerprint};

/// The longest name in bytes that Postgres keeps.
pub(crate) const MAX_NAME: usize = 63;

/// The table that keeps who built what, in the schema of the built table.
pub(crate) const FENCE_TABLE: &str = "dagctl_build";

/// One attempt to build one table.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) staging_name: String,
    pub(crate) key: String,
    pub(crate) attempt: i16,
}

impl Build {
    pub(crate) fn new(attempt: &Attempt, target: &Target) -> Result<Self, Failure> {
        let schema = rendered(&target.schema, &attempt.context, "schema")?;
        let name = rendered(&target.table, &attempt.context, "table")?;
        for (field, value) in [("schema", &schema), ("table", &name)] {
            let problem = if value.trim().is_empty() {
                "is empty".to_owned()
            } else if value.len() > MAX_NAME {
                format!("is longer than {MAX_NAME} bytes: `{value}`")
            } else {
                continue;
            };
            let message = format!("`{field}` {problem}");
            return Err(Failure::new(FailureKind::Definition, message));
        }
        let number = attempt.attempt.get();
        let tail = format!(
            "__stg_{:08x}_{number}",
            fingerprint(&attempt.idempotency_key) >> 32
        );
        // Names made from this one add a few characters.
        let staging_name = shortened(&name, &tail, MAX_NAME - 6);
        Ok(Self {
            schema,
            name,
            staging_name,
            key: attempt.idempotency_key.clone(),
            attempt: number,
        })
    }

    /// The table, for a statement.
    pub(crate) fn table(&self) -> String {
        self.in_schema(&self.name)
    }

    /// The table, for a person.
    pub(crate) fn plain_table(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// The staging table, for a statement.
    pub(crate) fn staging(&self) -> String {
        self.in_schema(&self.staging_name)
    }

    /// The table that keeps who built what, for a statement.
    pub(crate) fn fence_table(&self) -> String {
        self.in_schema(FENCE_TABLE)
    }

    /// Something else in the table's schema, for a statement.
    pub(crate) fn in_schema(&self, name: &str) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(name))
    }

    /// The row of this build in the fence table.
    pub(crate) fn fence_row(&self) -> String {
        format!(
            "table_name = {} and build_key = {}",
            sql_text::literal(&self.name),
            sql_text::literal(&self.key)
        )
    }

    /// The lock that says that an attempt's builder lives.
    pub(crate) fn life_lock(&self, key: &str, attempt: &str) -> i64 {
        let text = format!("{}/{key}/{attempt}", self.plain_table());
        fingerprint(&text).cast_signed()
    }

    /// The lock of who publishes the table for the first time.
    pub(crate) fn first_lock(&self) -> i64 {
        fingerprint(&format!("{}/first", self.plain_table())).cast_signed()
    }

    /// What the backends of this task's attempts are called.
    pub(crate) fn application_prefix(&self) -> String {
        application_prefix(&self.key)
    }
}

/// Quotes one name, dots and all.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `name` and `tail`, with so much of `name` left out that both fit.
pub(crate) fn shortened(name: &str, tail: &str, limit: usize) -> String {
    let room = limit.saturating_sub(tail.len());
    format!("{}{tail}", &name[..name.floor_char_boundary(room)])
}

/// Fails where the key's columns are missing, null or not unique, and shows which values.
pub(crate) async fn check_primary_key(
    session: &mut Session,
    build: &Build,
    columns: &[String],
) -> Result<(), Failure> {
    if columns.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = columns.iter().map(|it| quoted(it)).collect();
    let list = names.join(", ");
    let staging = build.staging();
    let is_null = names.join(" is null or ") + " is null";
    let nulls: u64 = session
        .text(&format!("select count(*) from {staging} where {is_null}"))
        .await?
        .parse()
        .unwrap_or(0);
    let words = format!("primary_key ({})", columns.join(", "));
    if nulls > 0 {
        let message = format!("{words}: expected no null, got {nulls} rows with one");
        return Err(Failure::new(FailureKind::Check, message));
    }
    let doubles = session
        .query(&format!(
            "select {list}, count(*) from {staging} group by {list} having count(*) > 1 order by count(*) desc limit 5"
        ))
        .await?;
    if !doubles.is_empty() {
        let shown: Vec<_> = doubles
            .into_iter()
            .map(|row| {
                let mut values: Vec<_> = row.into_iter().flatten().collect();
                let count = values.pop().unwrap_or_default();
                format!("  ({}) {count} times", values.join(", "))
            })
            .collect();
        let message = format!(
            "{words}: expected unique values, got duplicates, such as\n{}",
            shown.join("\n")
        );
        return Err(Failure::new(FailureKind::Check, message));
    }
    session
        .log
        .line(format!("{words}: no null, no duplicate – ok"))
        .await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = "요약".repeat(12);
        let short = shortened(&name, "__x", 40);
        assert!(short.len() <= 40 && short.ends_with("__x") && short.starts_with("요약"));
        assert_eq!(shortened("mau", "__x", 40), "mau__x");
    }
}
