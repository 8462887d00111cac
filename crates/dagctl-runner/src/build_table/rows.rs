//! Publishes by replacing or adding rows in the live table, in one transaction.
//!
//! Readers never wait, whatever hangs on the table stays, and old snapshots see the old rows. It costs bloat.

use std::time::{Duration, Instant};

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::literal;
use tokio::time::sleep;

use super::Joining;
use super::fence::{self, Published};
use super::live::{self, Live};
use super::rename::{blockers, is_busy, pause};
use super::staging::{Build, quoted};
use crate::sql::session::Session;

/// How long other writers are waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Brings the staging table's rows into the live one; the name of the way it was done.
pub(crate) async fn replace(
    session: &mut Session,
    build: &Build,
    live: &Live,
    joining: Joining,
    rows: u64,
) -> Result<&'static str, Failure> {
    let (strategy, statements) = statements(session, build, live, joining).await?;
    let since = Instant::now();
    loop {
        session.execute("begin").await?;
        fence::hold(session, build).await?;
        match lock(session, build).await {
            Ok(()) => break,
            Err(failure) if is_busy(&failure) && since.elapsed() < LOCK_PATIENCE => {
                session.execute("rollback").await?;
                sleep(pause()).await;
            }
            Err(failure) if is_busy(&failure) => {
                session.execute("rollback").await?;
                let message = format!(
                    "others wrote to {} for {} s without a gap, and the build was not published; it is held by {}",
                    build.table(),
                    LOCK_PATIENCE.as_secs(),
                    blockers(session, live).await?
                );
                return Err(Failure::new(failure.kind, message));
            }
            Err(failure) => return Err(failure),
        }
    }
    for statement in &statements {
        let since = Instant::now();
        session.announce(statement).await;
        let count = session.execute(statement).await?;
        session.report(count, since).await;
    }
    let published = Published {
        rows,
        strategy,
        retired: Some(&build.staging_name),
        kept_version: None,
    };
    fence::mark_published(session, build, published).await?;
    session.execute("commit").await?;
    session
        .log
        .line(format!("published {}", build.table()))
        .await;
    fence::drop_retired(session, build, &build.staging_name).await?;
    if let Err(err) = session.execute(&format!("analyze {}", build.table())).await {
        session
            .log
            .line(format!("not analyzed: {}", err.message))
            .await;
    }
    Ok(strategy)
}

/// Keeps other writers out, not readers.
async fn lock(session: &mut Session, build: &Build) -> Result<(), Failure> {
    if session.is_redshift() {
        return session
            .execute(&format!("lock table {}", build.table()))
            .await
            .map(drop);
    }
    session.execute("set local lock_timeout = '700ms'").await?;
    let sql = format!("lock table {} in share row exclusive mode", build.table());
    session.execute(&sql).await?;
    session
        .execute("set local lock_timeout = 0")
        .await
        .map(drop)
}

async fn statements(
    session: &mut Session,
    build: &Build,
    live: &Live,
    joining: Joining,
) -> Result<(&'static str, Vec<String>), Failure> {
    let columns = columns(session, build).await?;
    let list = columns.join(", ");
    let (table, staging) = (build.table(), build.staging());
    // The task's own numbers go before those of an identity column.
    let identity = filled_by_itself(session, build)
        .await?
        .into_iter()
        .any(|(name, kind)| kind == "identity" && columns.contains(&quoted(&name)));
    let overriding = if identity {
        " overriding system value"
    } else {
        ""
    };
    let insert = format!("insert into {table} ({list}){overriding} select {list} from {staging}");
    if joining == Joining::Append {
        return Ok(("append", vec![insert]));
    }
    let referring = if session.is_redshift() {
        None
    } else {
        live::referring(session, live).await?
    };
    let Some(referring) = referring else {
        return Ok(("replace_rows", vec![format!("delete from {table}"), insert]));
    };
    // To delete a row that others refer to fails, or deletes theirs too. So rows are matched by their key.
    let key = key(session, live).await?;
    if key.is_empty() || key.iter().any(|it| !columns.contains(it)) {
        let message = format!(
            "{referring} refers to {table}, so its rows can only be matched by their primary key, but {}",
            if key.is_empty() {
                "it has none"
            } else {
                "the new rows do not have its columns"
            }
        );
        return Err(Failure::new(FailureKind::Definition, message));
    }
    let same: Vec<_> = key
        .iter()
        .map(|it| format!("new.{it} = old.{it}"))
        .collect();
    let delete = format!(
        "delete from {table} as old where not exists (select from {staging} as new where {})",
        same.join(" and ")
    );
    let updated: Vec<_> = columns
        .iter()
        .filter(|it| !key.contains(it))
        .map(|it| format!("{it} = excluded.{it}"))
        .collect();
    let action = if updated.is_empty() {
        "nothing".to_owned()
    } else {
        format!("update set {}", updated.join(", "))
    };
    let upsert = format!("{insert} on conflict ({}) do {action}", key.join(", "));
    Ok(("merge_rows", vec![delete, upsert]))
}

async fn key(session: &mut Session, live: &Live) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "select quote_ident(a.attname) from pg_catalog.pg_index i
         cross join unnest(i.indkey::int2[]) as k(attnum)
         join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
         where i.indrelid = {} and i.indisprimary",
        live.oid
    );
    let rows = session.query(&sql).await?;
    // In the form that the other lists have.
    Ok(rows
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| quoted(it.trim_matches('"')))
        .collect())
}

/// The columns that are written; fails where the two tables do not fit.
async fn columns(session: &mut Session, build: &Build) -> Result<Vec<String>, Failure> {
    let ask = |name: &str| {
        format!(
            "select column_name, is_nullable, column_default from information_schema.columns
             where table_schema = {} and table_name = {} order by ordinal_position",
            literal(&build.schema),
            literal(name)
        )
    };
    let new = session.query(&ask(&build.staging_name)).await?;
    let old = session.query(&ask(&build.name)).await?;
    let filled_by_itself = filled_by_itself(session, build).await?;
    let name = |row: &Vec<Option<String>>| row.first().cloned().flatten().unwrap_or_default();
    let (new, old): (Vec<_>, Vec<_>) = (
        new.iter().map(name).collect(),
        old.iter()
            .map(|row| (name(row), row.get(2).cloned().flatten().is_some()))
            .collect(),
    );
    let words = |names: Vec<&str>| names.join("`, `");
    let unknown: Vec<_> = new
        .iter()
        .filter(|it| !old.iter().any(|(name, _)| name == *it))
        .map(String::as_str)
        .collect();
    let missing: Vec<_> = old
        .iter()
        .filter(|(name, has_default)| {
            !new.contains(name)
                && !has_default
                && !filled_by_itself.iter().any(|(it, _)| it == name)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    let problem = if !unknown.is_empty() {
        format!(
            "it has no column `{}`: add it with `alter table`",
            words(unknown)
        )
    } else if !missing.is_empty() {
        format!("the new rows lack its column `{}`", words(missing))
    } else {
        return Ok(new
            .iter()
            // A generated column takes no value.
            .filter(|it| {
                !filled_by_itself
                    .iter()
                    .any(|(name, kind)| name == *it && kind == "generated")
            })
            .map(|it| quoted(it))
            .collect());
    };
    let message = format!(
        "the rows of {} cannot be replaced: {problem}; the old rows stand",
        build.table()
    );
    Err(Failure::new(FailureKind::Definition, message))
}

/// Identity and generated columns, with their kind.
async fn filled_by_itself(
    session: &mut Session,
    build: &Build,
) -> Result<Vec<(String, String)>, Failure> {
    if session.is_redshift() {
        return Ok(vec![]);
    }
    let sql = format!(
        "select attname, case when attgenerated <> '' then 'generated' else 'identity' end
         from pg_catalog.pg_attribute where attrelid = {}::regclass and attnum > 0 and not attisdropped
           and attidentity::text || attgenerated::text <> ''",
        literal(&build.table())
    );
    Ok(session
        .query(&sql)
        .await?
        .into_iter()
        .filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(name), Some(kind)]) => Some((name, kind)),
            _ => None,
        })
        .collect())
}
