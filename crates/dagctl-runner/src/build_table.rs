//! `operator: build_table`: a table is built beside the live one, checked, and put in its place in one transaction.
//!
//! Readers see the old rows or the new ones, never an error, a missing table or half of one. `load_file` fills its
//! staging table from a file and shares all the rest.

mod carry_over;
mod fence;
mod live;
mod rename;
mod rows;
mod snapshots;
mod staging;
mod versions;

use std::time::Instant;

use dagctl_core::operator::{BuildTable, Swap, Target};
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text;
use serde_json::{Map, Value, json};

use self::fence::Begun;
use self::live::Live;
pub(crate) use self::staging::{Build, quoted};
use crate::sql::error::Sent;
use crate::sql::session::Session;
use crate::sql::{checks, rendered};
use crate::{Attempt, Log};

/// What makes the rows of a staging table.
pub(crate) trait Fill {
    /// Makes the staging table with its rows, inside the open transaction; how many rows there are.
    fn fill(
        &mut self,
        session: &mut Session,
        build: &Build,
    ) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// How the rows get to the readers.
    fn joining(&self) -> Joining {
        Joining::Replace
    }
}

/// Whether new rows replace those of the table or join them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joining {
    /// They replace them.
    Replace,
    /// They join them.
    Append,
}

pub(crate) async fn run(
    attempt: &Attempt,
    spec: &BuildTable,
    log: &Log,
) -> Result<Map<String, Value>, Failure> {
    let text = rendered(&spec.main_sql, &attempt.context, "main_sql")?;
    let statements = sql_text::split(&text);
    let [statement] = statements[..] else {
        let message = format!(
            "`main_sql` must be exactly one query, but it holds {} statements",
            statements.len()
        );
        return Err(Failure::new(FailureKind::Definition, message));
    };
    let lines_before = text[..statement.offset].matches('\n').count();
    let main_sql = MainSql {
        query: statement.text,
        lines_before,
    };
    publish(attempt, &spec.target, log, main_sql).await
}

struct MainSql<'a> {
    query: &'a str,
    lines_before: usize,
}

impl Fill for MainSql<'_> {
    async fn fill(&mut self, session: &mut Session, build: &Build) -> Result<u64, Failure> {
        let head = format!("create table {} as\n", build.staging());
        let sql = format!("{head}{}", self.query);
        let since = Instant::now();
        session.announce(&sql).await;
        let sent = Sent {
            sql: &sql,
            prefix: head.len(),
            lines_before: self.lines_before,
        };
        let rows = session.stream(sent, |_| Ok(())).await?;
        session.report(rows, since).await;
        Ok(rows)
    }
}

/// Fences, checks, stages, checks again and publishes.
pub(crate) async fn publish(
    attempt: &Attempt,
    target: &Target,
    log: &Log,
    mut fill: impl Fill,
) -> Result<Map<String, Value>, Failure> {
    let build = Build::new(attempt, target)?;
    let mut session = Session::open(attempt, &target.conn_id, log).await?;
    match publish_in(&mut session, attempt, target, &build, &mut fill).await {
        Ok(outputs) => {
            session.close().await;
            Ok(outputs)
        }
        Err(failure) => Err(session.abandon(failure).await),
    }
}

async fn publish_in(
    session: &mut Session,
    attempt: &Attempt,
    target: &Target,
    build: &Build,
    fill: &mut impl Fill,
) -> Result<Map<String, Value>, Failure> {
    match fence::begin(session, build).await? {
        Begun::Mine => (),
        Begun::Published { rows, strategy, .. } => {
            let text = format!(
                "{} was already published by an earlier attempt of this task, which did not live to report it: \
                 nothing is left to do",
                build.table()
            );
            session.log.line(text).await;
            return Ok(outputs(build, rows, &strategy));
        }
    }
    checks::run_all(
        session,
        "input_check",
        &target.input_check,
        &attempt.context,
    )
    .await?;

    session.execute("begin").await?;
    fence::look(session, build).await?;
    let rows = fill.fill(session, build).await?;
    session.execute("commit").await?;

    if rows == 0 && !target.allow_empty {
        let message = format!(
            "{} would be empty: no row was built; if that can be right, set `allow_empty: true`",
            build.table()
        );
        return Err(Failure::new(FailureKind::Check, message));
    }
    staging::check_primary_key(session, build, &target.primary_key).await?;
    let context = attempt.context.clone().with_staging(&build.staging());
    checks::run_all(session, "output_check", &target.output_check, &context).await?;

    let strategy = replace(session, target, build, fill.joining(), rows).await?;
    Ok(outputs(build, rows, strategy))
}

/// Puts the staging table's rows in front of the readers; the name of the way it was done.
async fn replace(
    session: &mut Session,
    target: &Target,
    build: &Build,
    joining: Joining,
    rows: u64,
) -> Result<&'static str, Failure> {
    let mut live = live::look(session, build).await?;
    if live.is_none() && !session.is_redshift() {
        // Of several builds that publish for the first time, one does; the others wait, and find a table to replace.
        let lock = build.first_lock();
        session
            .text(&format!("select pg_advisory_lock({lock})"))
            .await?;
        live = live::look(session, build).await?;
        if live.is_some() {
            session
                .text(&format!("select pg_advisory_unlock({lock})"))
                .await?;
        }
    }
    let Some(live) = live else {
        session
            .log
            .line(format!("publishing {} for the first time", build.table()))
            .await;
        rename::first(session, build, target, rows).await?;
        return Ok("rename");
    };
    let reason = match joining {
        Joining::Append => Some("the rows join those of the table".to_owned()),
        Joining::Replace => why_rows(session, target, &live).await?,
    };
    if reason.is_none() {
        let prepared = rename::prepare(session, build, target).await?;
        let waited = snapshots::wait(session, build).await?;
        match waited {
            None => {
                session
                    .log
                    .line("publishing by rename, the staging table has all that the live one has")
                    .await;
                rename::swap(session, build, target, &prepared, rows).await?;
                return Ok("rename");
            }
            Some(holder) => {
                let text = format!(
                    "publishing by rows: {holder} has a snapshot from before this build and would see the new table empty"
                );
                session.log.line(text).await;
            }
        }
    } else if let Some(reason) = reason {
        session
            .log
            .line(format!("publishing by rows: {reason}"))
            .await;
    }
    rows::replace(session, build, &live, joining, rows).await
}

/// Why the staging table cannot take the live one's name; nothing if it can.
async fn why_rows(
    session: &mut Session,
    target: &Target,
    live: &Live,
) -> Result<Option<String>, Failure> {
    if session.is_redshift() {
        return Ok(Some(
            "Redshift tells too little of a table to rebuild it".to_owned(),
        ));
    }
    match target.swap {
        Swap::ReplaceRows => Ok(Some("`swap: replace_rows`".to_owned())),
        Swap::Rename => Ok(live::obstacle(session, live).await?),
    }
}

fn outputs(build: &Build, rows: u64, strategy: &str) -> Map<String, Value> {
    let outputs = json!({
        "table": build.plain_table(),
        "rows": rows,
        "published": true,
        "strategy": strategy,
    });
    match outputs {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
