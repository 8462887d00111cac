//! Which table was meant where a statement names one that does not exist.

use dagctl_core::nearest::nearest;
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text;

use super::session::Session;

/// More tables than this are not looked through for the sake of a message.
const MAX_TABLES: usize = 5_000;

/// Adds the table that was meant to a failure for a table that does not exist; leaves any other as it is.
pub(super) async fn explain(session: &mut Session, failure: Failure) -> Failure {
    if failure.kind != FailureKind::SqlState("42P01".to_owned()) || session.is_redshift() {
        return failure;
    }
    let Some(name) = quoted_name(&failure.message) else {
        return failure;
    };
    // A message without its hint is better than none.
    let Ok(Some(meant)) = meant(session, name).await else {
        return failure;
    };
    let message = format!("{}\nhint: did you mean `{meant}`?", failure.message);
    Failure { message, ..failure }
}

/// The nearest name in the schema that was looked at, or the same name in another.
async fn meant(session: &mut Session, name: &str) -> Result<Option<String>, Failure> {
    let (schema, table) = match name.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, name),
    };
    let looked_at = match schema {
        Some(it) => format!("n.nspname = {}", sql_text::literal(it)),
        None => "pg_table_is_visible(c.oid)".to_owned(),
    };
    let rows = session
        .query(&format!(
            "select n.nspname, c.relname, ({looked_at})::int \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where c.relkind in ('r', 'v', 'm', 'f', 'p') and n.nspname <> 'information_schema' \
             and n.nspname not like 'pg\\_%' and (({looked_at}) or c.relname = {}) \
             order by 1, 2 limit {MAX_TABLES}",
            sql_text::literal(table)
        ))
        .await?;
    let mut here = vec![];
    let mut elsewhere = None;
    for row in rows {
        let [Some(in_schema), Some(found), Some(is_here)] = &row[..] else {
            continue;
        };
        if is_here == "1" {
            here.push(found.clone());
        } else if elsewhere.is_none() {
            elsewhere = Some(format!("{in_schema}.{found}"));
        }
    }
    let near = nearest(table, here.iter().map(String::as_str));
    Ok(match (near, schema) {
        (Some(near), Some(schema)) => Some(format!("{schema}.{near}")),
        (Some(near), None) => Some(near.to_owned()),
        (None, _) => elsewhere,
    })
}

/// The name in `relation "name" does not exist`, in whichever language the server speaks.
fn quoted_name(message: &str) -> Option<&str> {
    let line = message.lines().next()?;
    let (_, rest) = line.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name)
}
