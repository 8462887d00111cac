//! The row that lets one attempt publish, once, and what earlier attempts left behind.
//!
//! One row per table and task instance in `dagctl_build`. Its attempt number only grows, and the publishing transaction
//! holds it locked: a worker that lost its lease finds a larger number and changes nothing. A row that says "published"
//! stands for an attempt that died between its commit and its report.

use std::time::{Duration, Instant};

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text::literal;
use tokio::time::sleep;

use super::rename::{is_busy, pause};
use super::staging::{Build, FENCE_TABLE};
use crate::sql::session::Session;

/// What an attempt finds when it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The table is this attempt's to build.
    Mine,
    /// An earlier attempt has published.
    Published {
        /// How many rows.
        rows: u64,
        /// In which way.
        strategy: String,
        /// What it was about to drop.
        retired: Option<String>,
    },
}

/// Ends what earlier attempts still run, takes the row, and drops what dead builders left.
pub(crate) async fn begin(session: &mut Session, build: &Build) -> Result<Begun, Failure> {
    make_table(session, build).await?;
    if !session.is_redshift() && build.attempt > 1 {
        end_earlier_attempts(session, build).await?;
    }
    let lock = build.life_lock(&build.key, &build.attempt.to_string());
    if !session.is_redshift() {
        session
            .text(&format!("select pg_try_advisory_lock({lock})"))
            .await?;
    }
    session.execute("begin").await?;
    let begun = take_row(session, build).await?;
    session.execute("commit").await?;
    match &begun {
        Begun::Mine => session.undo = undo(build, &build.staging_name),
        Begun::Published { retired, .. } => {
            if let Some(retired) = retired {
                drop_retired(session, build, retired).await?;
            }
        }
    }
    drop_leftovers(session, build).await?;
    Ok(begun)
}

/// Fails where a later attempt has taken over or the table is published.
pub(crate) async fn look(session: &mut Session, build: &Build) -> Result<(), Failure> {
    check(session, build, "").await
}

/// As [`look`], and keeps the row locked until the transaction ends.
pub(crate) async fn hold(session: &mut Session, build: &Build) -> Result<(), Failure> {
    // Redshift has no row locks; its table locks end with the transaction as well.
    if session.is_redshift() {
        session
            .execute(&format!("lock table {}", build.fence_table()))
            .await?;
        check(session, build, "").await
    } else {
        check(session, build, " for update").await
    }
}

/// Marks the row as published, inside the publishing transaction; `retired` is what is to be dropped afterwards.
pub(crate) async fn mark_published(
    session: &mut Session,
    build: &Build,
    published: Published<'_>,
) -> Result<(), Failure> {
    let name = |it: Option<&str>| it.map_or("null".to_owned(), literal);
    let sql = format!(
        "update {} set published_at = now(), row_count = {}, strategy = {}, staging = {}, kept_version = {} where {}",
        build.fence_table(),
        published.rows,
        literal(published.strategy),
        name(published.retired),
        name(published.kept_version),
        build.fence_row(),
    );
    session.execute(&sql).await?;
    Ok(())
}

/// What is written down of a published table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published<'a> {
    pub(crate) rows: u64,
    pub(crate) strategy: &'a str,
    pub(crate) retired: Option<&'a str>,
    pub(crate) kept_version: Option<&'a str>,
}

/// Drops what the published build has left, now or, where a reader still holds it, at a later build.
pub(crate) async fn drop_retired(
    session: &mut Session,
    build: &Build,
    name: &str,
) -> Result<(), Failure> {
    session.undo = vec![];
    // A kept version that is one too many stands in the row of an earlier build.
    let key = format!("table_name = {}", literal(&build.name));
    for tries_left in (0..3).rev() {
        match try_drop(session, build, name, &key).await {
            Ok(()) => break,
            Err(err) if tries_left == 0 || !is_busy(&err) => {
                let text = format!("`{name}` is dropped at a later build: {}", err.message);
                session.log.line(text).await;
                break;
            }
            Err(_) => sleep(pause()).await,
        }
    }
    Ok(())
}

async fn make_table(session: &mut Session, build: &Build) -> Result<(), Failure> {
    let table = build.fence_table();
    // The standard's view is the slow way, and the only one that Redshift promises.
    let there = match session.is_redshift() {
        true => format!(
            "select 't' from information_schema.tables where table_schema = {} and table_name = {}",
            literal(&build.schema),
            literal(FENCE_TABLE)
        ),
        false => format!("select to_regclass({}) is not null", literal(&table)),
    };
    if session.text(&there).await? == "t" {
        return Ok(());
    }
    let sql = format!(
        "create table if not exists {table} (
            table_name varchar(63) not null,
            build_key varchar(1024) not null,
            attempt integer not null,
            started_at timestamptz not null default now(),
            staging varchar(63),
            published_at timestamptz,
            row_count bigint,
            strategy varchar(20),
            kept_version varchar(63),
            primary key (table_name, build_key)
        )"
    );
    match session.execute(&sql).await {
        Ok(_) => Ok(()),
        Err(failure) => match &failure.kind {
            // Two builders at once: `if not exists` looks before it locks.
            FailureKind::SqlState(state)
                if matches!(state.as_str(), "42P07" | "42710" | "23505") =>
            {
                Ok(())
            }
            FailureKind::SqlState(state) if state == "3F000" => {
                let message = format!(
                    "schema `{}` does not exist at {}: create it with `create schema {}`",
                    build.schema,
                    session.endpoint.words(),
                    build.schema
                );
                Err(Failure::new(failure.kind, message))
            }
            _ => Err(Failure {
                message: format!(
                    "cannot create {table}, where dagctl keeps who built what: {}",
                    failure.message
                ),
                ..failure
            }),
        },
    }
}

/// Backends of earlier attempts go on after their worker has lost touch; they must not.
async fn end_earlier_attempts(session: &mut Session, build: &Build) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(10);
    // `dagctl/<key>/<attempt>/…`. A later attempt is not ours to end.
    let sql = format!(
        "select pid, pg_terminate_backend(pid) from pg_stat_activity
         where application_name like {} and pid <> pg_backend_pid()
           and usename = current_user and datname = current_database()
           and case when split_part(application_name, '/', 3) ~ '^[0-9]{{1,5}}$'
                    then split_part(application_name, '/', 3)::int < {} end",
        literal(&format!("{}%", build.application_prefix())),
        build.attempt
    );
    let since = Instant::now();
    let mut told = false;
    while !session.query(&sql).await?.is_empty() {
        if !told {
            session
                .log
                .line("ending what an earlier attempt still runs in the database")
                .await;
            told = true;
        }
        if since.elapsed() > PATIENCE {
            let message =
                "an earlier attempt of this task still runs in the database and does not end";
            return Err(Failure::new(FailureKind::Timeout, message));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn take_row(session: &mut Session, build: &Build) -> Result<Begun, Failure> {
    let table = build.fence_table();
    let row = build.fence_row();
    let values = format!(
        "{}, {}, {}, {}",
        literal(&build.name),
        literal(&build.key),
        build.attempt,
        literal(&build.staging_name)
    );
    let insert = format!("insert into {table} (table_name, build_key, attempt, staging)");
    let lock = if session.is_redshift() {
        session.execute(&format!("lock table {table}")).await?;
        let sql = format!(
            "{insert} select {values} where not exists (select 1 from {table} where {row})"
        );
        session.execute(&sql).await?;
        ""
    } else {
        let sql = format!("{insert} values ({values}) on conflict do nothing");
        if session.execute(&sql).await? == 1 {
            // The row is new, and says all that it has to.
            drop_staging(session, build).await?;
            return Ok(Begun::Mine);
        }
        " for update"
    };
    let sql = format!(
        "select attempt, published_at, row_count, strategy, staging from {table} where {row}{lock}"
    );
    let found = session
        .query(&sql)
        .await?
        .into_iter()
        .next()
        .unwrap_or_default();
    let [attempt, published_at, rows, strategy, staging] = &found[..] else {
        return Err(gone(build));
    };
    if published_at.is_some() {
        return Ok(Begun::Published {
            rows: rows.as_deref().and_then(|it| it.parse().ok()).unwrap_or(0),
            strategy: strategy.clone().unwrap_or_default(),
            retired: staging.clone(),
        });
    }
    refuse_where_later(build, attempt.as_deref())?;
    if let Some(earlier) = staging.as_deref().filter(|it| *it != build.staging_name) {
        session
            .execute(&format!(
                "drop table if exists {}",
                build.in_schema(earlier)
            ))
            .await?;
        session
            .log
            .line(format!(
                "dropped `{earlier}`, which an earlier attempt had left"
            ))
            .await;
    }
    // This very attempt may have begun before, on a worker that was drained.
    drop_staging(session, build).await?;
    let sql = format!(
        "update {table} set attempt = {}, staging = {}, started_at = now() where {row}",
        build.attempt,
        literal(&build.staging_name)
    );
    session.execute(&sql).await?;
    Ok(Begun::Mine)
}

async fn drop_staging(session: &mut Session, build: &Build) -> Result<(), Failure> {
    let sql = format!("drop table if exists {}", build.staging());
    session.execute(&sql).await?;
    Ok(())
}

async fn check(session: &mut Session, build: &Build, lock: &str) -> Result<(), Failure> {
    let sql = format!(
        "select attempt, published_at from {} where {}{lock}",
        build.fence_table(),
        build.fence_row()
    );
    let found = session
        .query(&sql)
        .await?
        .into_iter()
        .next()
        .unwrap_or_default();
    let [attempt, published_at] = &found[..] else {
        return Err(gone(build));
    };
    if published_at.is_some() {
        let message = format!(
            "another attempt of this task has published {}",
            build.table()
        );
        return Err(Failure::new(FailureKind::Fenced, message));
    }
    refuse_where_later(build, attempt.as_deref())
}

fn refuse_where_later(build: &Build, attempt: Option<&str>) -> Result<(), Failure> {
    let latest: i64 = attempt.and_then(|it| it.parse().ok()).unwrap_or(i64::MAX);
    if latest <= i64::from(build.attempt) {
        return Ok(());
    }
    let message = format!(
        "attempt {latest} of this task has taken over; attempt {} may not publish {}",
        build.attempt,
        build.table()
    );
    Err(Failure::new(FailureKind::Fenced, message))
}

fn gone(build: &Build) -> Failure {
    let message = format!(
        "the row of this build in {} is gone, so nothing may be published; was it deleted by hand?",
        build.fence_table()
    );
    Failure::new(FailureKind::Fenced, message)
}

fn undo(build: &Build, name: &str) -> Vec<String> {
    vec![
        format!("drop table if exists {}", build.in_schema(name)),
        format!(
            "update {} set staging = null where {} and staging = {} and attempt = {}",
            build.fence_table(),
            build.fence_row(),
            literal(name),
            build.attempt
        ),
    ]
}

/// Drops what dead builders of this table left, and forgets old builds.
async fn drop_leftovers(session: &mut Session, build: &Build) -> Result<(), Failure> {
    if session.is_redshift() {
        return Ok(());
    }
    let table = build.fence_table();
    let name = literal(&build.name);
    session
        .execute(&format!(
            "delete from {table} where table_name = {name} and staging is null and kept_version is null
               and started_at < now() - interval '90 days'"
        ))
        .await?;
    let left = session
        .query(&format!(
            "select build_key, attempt, staging from {table}
             where table_name = {name} and staging is not null and build_key <> {}",
            literal(&build.key)
        ))
        .await?;
    for row in left {
        let [Some(key), Some(attempt), Some(staging)] = &row[..] else {
            continue;
        };
        // Held by its builder for as long as that lives.
        let lock = build.life_lock(key, attempt);
        let got = session
            .text(&format!("select pg_try_advisory_lock({lock})"))
            .await?;
        if got != "t" {
            continue;
        }
        let row = format!("table_name = {name} and build_key = {}", literal(key));
        match try_drop(session, build, staging, &row).await {
            Ok(()) => {
                session
                    .log
                    .line(format!(
                        "dropped `{staging}`, which a dead builder had left"
                    ))
                    .await;
            }
            Err(err) => {
                session
                    .log
                    .line(format!(
                        "`{staging}` of a dead builder stays: {}",
                        err.message
                    ))
                    .await;
            }
        }
        session
            .text(&format!("select pg_advisory_unlock({lock})"))
            .await?;
    }
    Ok(())
}

/// Drops a table that no reader should mind, without ever waiting long in front of one who does.
async fn try_drop(
    session: &mut Session,
    build: &Build,
    name: &str,
    row: &str,
) -> Result<(), Failure> {
    session.execute("begin").await?;
    let result = async {
        if !session.is_redshift() {
            session.execute("set local lock_timeout = '500ms'").await?;
        }
        session
            .execute(&format!("drop table if exists {}", build.in_schema(name)))
            .await?;
        let sql = format!(
            "update {} set staging = null where {row} and staging = {}",
            build.fence_table(),
            literal(name)
        );
        session.execute(&sql).await?;
        session.execute("commit").await
    }
    .await;
    if let Err(err) = result {
        session.execute("rollback").await?;
        return Err(err);
    }
    Ok(())
}
