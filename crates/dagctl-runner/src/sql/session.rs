//! A connection to the user's database whose statements die with the attempt.
//!
//! Everything is sent by the simple protocol: several dialects speak it, and results come as text of any type.

use std::time::{Duration, Instant};

use dagctl_core::connection::Dialect;
use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::sql_text;
use futures::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Either, Row as _, ValueRef as _};
use tokio::time::sleep;

use super::endpoint::Endpoint;
use super::error::{Sent, failure};
use super::relation;
use crate::{Attempt, CleanUp, Log};

/// How long the end of a statement that was stopped is waited for.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// One log-in. Dropped before [`Session::close`], it ends what it runs and undoes what it left.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Option<PgConnection>,
    pub(crate) endpoint: Endpoint,
    pub(crate) log: Log,
    clean_up: CleanUp,
    backend: String,
    /// Whether the next statement would be answered at once, and by its own answer.
    pub(crate) is_ready: bool,
    /// Statements that undo what would stay behind; run after a failure or a stop, not on [`Session::close`].
    pub(crate) undo: Vec<String>,
    /// Questions that the server keeps a plan for; see [`Session::query_again`].
    asked: Vec<String>,
}

/// A row as the simple protocol gives it.
pub(crate) type TextRow = Vec<Option<String>>;

impl Session {
    /// Logs in to the attempt's connection `conn_id`.
    pub(crate) async fn open(attempt: &Attempt, conn_id: &str, log: &Log) -> Result<Self, Failure> {
        let connection = attempt.connection(conn_id)?;
        let endpoint = Endpoint::new(connection, application_name(attempt))?;
        let mut session = Self {
            connection: Some(endpoint.connect().await?),
            endpoint,
            log: log.clone(),
            clean_up: attempt.clean_up.share(),
            backend: String::new(),
            is_ready: true,
            undo: vec![],
            asked: vec![],
        };
        if !session.is_redshift() {
            // Ends a statement whose worker was killed. Not known before Postgres 14, nor on every system.
            let sql = "select pg_backend_pid() from set_config('client_connection_check_interval', '2s', false)";
            session.backend = session.text(sql).await.unwrap_or_default();
        }
        if session.backend.is_empty() {
            session.backend = session.text("select pg_backend_pid()").await?;
        }
        Ok(session)
    }

    /// Whether only the common ground of Postgres and Redshift may be used.
    pub(crate) fn is_redshift(&self) -> bool {
        self.endpoint.dialect == Dialect::Redshift
    }

    /// Runs a statement of ours; its number of rows.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<u64, Failure> {
        self.stream(Sent::whole(sql), |_| Ok(())).await
    }

    /// Runs a query of ours; its rows.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<TextRow>, Failure> {
        let mut rows = vec![];
        self.stream(Sent::whole(sql), |row| {
            rows.push(text_row(&row));
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Runs a query of ours on the catalog that is asked again later, in the same words: the server keeps its plan, which
    /// takes longer to make than to carry out. Names are looked for in `pg_catalog` alone, now and until the transaction
    /// ends, and those in the answer are told in full.
    pub(crate) async fn query_again(&mut self, sql: &str) -> Result<Vec<TextRow>, Failure> {
        const HEAD: &str = "set local search_path = pg_catalog; ";
        if let Some(at) = self.asked.iter().position(|it| it == sql) {
            return self.query(&format!("{HEAD}execute dagctl_{at}")).await;
        }
        let at = self.asked.len();
        let statement = format!("{HEAD}prepare dagctl_{at} as {sql}; execute dagctl_{at}");
        let answer = self.query(&statement).await;
        // One that failed may have a plan or not: its number is given to no other.
        let known = if answer.is_ok() { sql } else { "" };
        self.asked.push(known.to_owned());
        answer
    }

    /// Runs a query of ours that gives one text.
    pub(crate) async fn text(&mut self, sql: &str) -> Result<String, Failure> {
        let row = self.query(sql).await?.into_iter().next();
        let value = row.and_then(|it| it.into_iter().next()).flatten();
        Ok(value.unwrap_or_default())
    }

    /// Runs a statement and hands over each row as it comes; the number of rows the server reports.
    pub(crate) async fn stream(
        &mut self,
        sent: Sent<'_>,
        mut each: impl FnMut(PgRow) -> Result<(), Failure> + Send,
    ) -> Result<u64, Failure> {
        if sent.sql.contains('\0') {
            let message = "the SQL holds a NUL character, which no Postgres accepts";
            return Err(Failure::new(FailureKind::Definition, message));
        }
        let endpoint = &self.endpoint;
        let connection = self.connection.as_mut().ok_or_else(closed)?;
        // What breaks off in the middle leaves an answer that may never end.
        self.is_ready = false;
        let mut results = sqlx::raw_sql(AssertSqlSafe(sent.sql)).fetch_many(connection);
        let mut reported = 0;
        loop {
            match results.try_next().await {
                Ok(None) => break,
                Ok(Some(Either::Left(result))) => reported += result.rows_affected(),
                Ok(Some(Either::Right(row))) => each(row)?,
                Err(err) => {
                    self.is_ready = matches!(err, sqlx::Error::Database(_));
                    return Err(failure(&err, sent, endpoint));
                }
            }
        }
        self.is_ready = true;
        Ok(reported)
    }

    /// The connection itself, for COPY.
    pub(crate) fn raw(&mut self) -> Result<&mut PgConnection, Failure> {
        self.connection.as_mut().ok_or_else(closed)
    }

    /// Logs a statement's first lines before it runs.
    pub(crate) async fn announce(&self, sql: &str) {
        const SHOWN: usize = 20;
        let count = sql.lines().count();
        let mut text = String::new();
        for line in sql.lines().take(SHOWN) {
            text.push_str(&format!("  {line}\n"));
        }
        if count > SHOWN {
            text.push_str(&format!("  … {} more lines\n", count - SHOWN));
        }
        self.log.line(text).await;
    }

    /// Logs how many rows a statement had and how long it took.
    pub(crate) async fn report(&self, rows: u64, since: Instant) {
        let s = if rows == 1 { "" } else { "s" };
        let took = took(since.elapsed());
        self.log.line(format!("→ {rows} row{s} in {took}")).await;
    }

    /// Logs out after all went well.
    pub(crate) async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            // The work is committed; a connection that breaks now changes nothing.
            let _ = connection.close().await;
        }
    }

    /// Undoes what would stay behind after a failure, and logs out; gives the failure back with what the catalog adds.
    pub(crate) async fn abandon(mut self, failure: Failure) -> Failure {
        // Where the connection is no longer good, `drop` goes the long way round.
        if !self.is_ready || self.execute("rollback").await.is_err() {
            return failure;
        }
        for statement in std::mem::take(&mut self.undo) {
            if let Err(err) = self.execute(&statement).await {
                self.log
                    .line(format!("could not clean up: {}", err.message))
                    .await;
            }
        }
        let failure = relation::explain(&mut self, failure).await;
        self.close().await;
        failure
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        drop(connection);
        let end = End {
            endpoint: self.endpoint.clone(),
            backend: std::mem::take(&mut self.backend),
            undo: std::mem::take(&mut self.undo),
            log: self.log.clone(),
        };
        self.clean_up.spawn(end.run());
    }
}

/// What is left to do for a session that was dropped in the middle of its work.
struct End {
    endpoint: Endpoint,
    backend: String,
    undo: Vec<String>,
    log: Log,
}

impl End {
    async fn run(self) {
        if let Err(err) = self.try_run().await {
            let text = format!("could not clean up: {}", err.message);
            self.log.line(text).await;
        }
    }

    async fn try_run(&self) -> Result<(), Failure> {
        let mut connection = self.endpoint.for_clean_up().connect().await?;
        // A server may have given the number to somebody else; nobody else has this application name.
        let alive = if self.endpoint.dialect == Dialect::Redshift {
            format!("select {0} where pg_terminate_backend({0})", self.backend)
        } else {
            format!(
                "select pg_terminate_backend(pid) from pg_stat_activity \
                 where pid = {} and application_name = {} and pid <> pg_backend_pid()",
                self.backend,
                sql_text::literal(&self.endpoint.application_name)
            )
        };
        let since = Instant::now();
        if !self.backend.is_empty() {
            while !self.rows(&mut connection, &alive).await?.is_empty() {
                if since.elapsed() > END_PATIENCE || self.endpoint.dialect == Dialect::Redshift {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
            let took = took(since.elapsed());
            let text = format!("the database has ended the statement ({took})");
            self.log.line(text).await;
        }
        for statement in &self.undo {
            self.rows(&mut connection, statement).await?;
        }
        let _ = connection.close().await;
        Ok(())
    }

    async fn rows(&self, connection: &mut PgConnection, sql: &str) -> Result<Vec<PgRow>, Failure> {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_all(connection)
            .await
            .map_err(|err| failure(&err, Sent::whole(sql), &self.endpoint))
    }
}

/// `dagctl/<key>/<attempt>/<dag>.<task>`: the first two parts find the backends of earlier attempts.
fn application_name(attempt: &Attempt) -> String {
    let name = format!(
        "{}{}/{}.{}",
        application_prefix(&attempt.idempotency_key),
        attempt.attempt,
        attempt.dag_id,
        attempt.task_id
    );
    // The server cuts at 63 bytes, and replaces what is not ASCII.
    name.chars()
        .map(|it| if it.is_ascii() { it } else { '?' })
        .take(63)
        .collect()
}

/// What the application names of all attempts of one task of one run begin with.
pub(crate) fn application_prefix(key: &str) -> String {
    format!("dagctl/{:016x}/", fingerprint(key))
}

/// A 64-bit FNV-1a hash: the same in every version of dagctl, which the standard library's is not.
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A duration as one reads it beside a statement.
pub(crate) fn took(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn text_row(row: &PgRow) -> TextRow {
    (0..row.len())
        .map(|at| {
            let value = row.try_get_raw(at).ok().filter(|it| !it.is_null())?;
            let bytes = value.as_bytes().ok()?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        })
        .collect()
}

fn closed() -> Failure {
    Failure::new(FailureKind::Internal, "the session is closed")
}
