//! The hot path: plain successes recorded, what waited for them queued or handed on, in one statement.

use std::sync::Arc;

use dagctl_core::ids::{AttemptKey, DagKey, DagRunId, DagVersionId, MapIndex, WorkerId};
use dagctl_core::schedule::Schedule;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use super::{Claim, Columns, Lane, PlainSuccess, attempt_key};
use crate::plans::Look;
use crate::week::Week;
use crate::{Store, StoreError};

/// What a batch of plain successes led to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// How many attempts were still the worker's.
    pub settled: i32,
    /// How many tasks that put into the queue for whoever comes.
    pub queued: i32,
    /// Runs in which something is left to decide; they stay marked until a look has done it.
    pub undecided: Vec<DagRunId>,
    /// Runs with a limit on their tasks: parked ones may have places now.
    pub limited: Vec<DagRunId>,
    /// DAGs of which a run ended while others wait to start, or whose next run begins with its end.
    pub to_start: Vec<DagKey>,
    /// What the worker has been handed.
    pub claims: Vec<Claim>,
    /// Whether tasks wait in other pools or queues than the one asked for; `None`: nobody has looked what waits at all.
    pub others_wait: Option<bool>,
}

/// What a worker would like to be handed while it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Attempts it has slots for.
    pub slots: usize,
    /// Where they come from. Of a pool with a limit nothing is handed out here.
    pub lane: Lane,
    /// Whether only what its reports leave ready is wished for: nothing else is known to wait.
    pub only_children: bool,
}

/// A worker's own connection for reports and claims. Not cancellable half-way: drive it from a task that nobody ends.
#[derive(Debug)]
pub struct HotPath {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// The statements for the last week that all runs of a batch were of.
    narrow: Option<Narrow>,
}

/// Statements on one week's tables.
#[derive(Debug, Clone)]
struct Narrow {
    week: Week,
    finish: Arc<str>,
    finish_one: Arc<str>,
}

impl Store {
    /// A connection for one worker's reports; it connects when it is first used.
    pub fn hot_path(&self) -> HotPath {
        // The statement's arguments are arrays of any length, and a plan made for their values is never better.
        let options = PgConnectOptions::clone(&self.pool().connect_options())
            .options([("plan_cache_mode", "force_generic_plan")]);
        HotPath {
            options,
            connection: None,
            narrow: None,
        }
    }
}

impl HotPath {
    /// Records plain successes of `worker` and hands it what it wishes for, in one transaction. Safe to repeat: what
    /// was recorded before no longer matches its fence. After an error the worker may hold claims it does not know of.
    pub async fn finish(
        &mut self,
        worker: WorkerId,
        successes: &[PlainSuccess],
        wish: Wish,
    ) -> Result<Finished, StoreError> {
        let mut connection = match self.connection.take() {
            Some(it) => it,
            None => self.options.connect().await?,
        };
        // Given up with its connection if it fails: what the server made of it is not known.
        let finished = self
            .carry_out(&mut connection, worker, successes, wish)
            .await?;
        self.connection = Some(connection);
        Ok(finished)
    }

    /// By the smallest statement that does it.
    async fn carry_out(
        &mut self,
        connection: &mut PgConnection,
        worker: WorkerId,
        successes: &[PlainSuccess],
        wish: Wish,
    ) -> Result<Finished, StoreError> {
        if successes.is_empty() {
            return take(connection, worker, wish).await;
        }
        let batch = Batch::of(successes);
        let Some(narrow) = self.narrow(&batch) else {
            return finish(connection, worker, &batch, wish).await;
        };
        if let [one] = successes
            && wish.only_children
            && one.outputs.is_empty()
            && one.key.instance.map_index == MapIndex::UNMAPPED
            && let Some(finished) =
                finish_one(connection, narrow.finish_one, worker, one, wish).await?
        {
            return Ok(finished);
        }
        finish_narrow(connection, narrow.finish, worker, &batch, wish).await
    }

    /// The statements with the week's partitions in place of the tables; `None`: the runs are of several weeks. Setting up
    /// a plan for all partitions would cost more than carrying it out, and the more so the longer the history is.
    fn narrow(&mut self, batch: &Batch) -> Option<Narrow> {
        if let (Some(first), Some(last)) = (batch.runs.first(), batch.runs.last()) {
            let week = Week::of(*first);
            if week != Week::of(*last) {
                return None;
            }
            if self.narrow.as_ref().is_none_or(|it| it.week != week) {
                self.narrow = Some(Narrow {
                    week,
                    finish: Arc::from(week.narrow(FINISH)),
                    finish_one: Arc::from(week.narrow(FINISH_ONE)),
                });
            }
        }
        self.narrow.clone()
    }

    /// Ends the connection.
    pub async fn close(self) {
        if let Some(connection) = self.connection {
            // The server notices by itself, only later.
            let _ = connection.close().await;
        }
    }
}

impl Look {
    /// Records plain successes within a look that has locked their runs: runs with a limit on their tasks included.
    pub async fn finish(
        &mut self,
        worker: WorkerId,
        successes: &[PlainSuccess],
    ) -> Result<Finished, StoreError> {
        let nothing = Wish {
            slots: 0,
            lane: Lane {
                pool_key: 0,
                queue_key: 0,
            },
            only_children: true,
        };
        finish(&mut self.tx, worker, &Batch::of(successes), nothing).await
    }
}

const FINISH: &str = include_str!("finish.sql");
const FINISH_ONE: &str = include_str!("finish_one.sql");

/// Plain successes as the arrays that the statement takes.
struct Batch {
    columns: Columns,
    outputs: Vec<Option<Value>>,
    /// Their runs, sorted, each once.
    runs: Vec<i64>,
}

impl Batch {
    fn of(successes: &[PlainSuccess]) -> Self {
        let columns = Columns::of(successes.iter().map(|it| &it.key));
        let mut runs = columns.dag_run_ids.clone();
        runs.sort_unstable();
        runs.dedup();
        Self {
            columns,
            outputs: successes
                .iter()
                .map(|it| (!it.outputs.is_empty()).then(|| Value::Object(it.outputs.clone())))
                .collect(),
            runs,
        }
    }
}

/// The answer's one row.
#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(rename = "settled!")]
    settled: i32,
    #[sqlx(rename = "queued!")]
    queued: i32,
    #[sqlx(rename = "undecided!")]
    undecided: Vec<i64>,
    #[sqlx(rename = "limited!")]
    limited: Vec<i64>,
    #[sqlx(rename = "to_start!")]
    to_start: Vec<i32>,
    #[sqlx(rename = "others_wait?")]
    others_wait: Option<bool>,
    #[sqlx(rename = "dag_run_ids!")]
    dag_run_ids: Vec<i64>,
    #[sqlx(rename = "task_indexes!")]
    task_indexes: Vec<i32>,
    #[sqlx(rename = "map_indexes!")]
    map_indexes: Vec<i32>,
    #[sqlx(rename = "attempts!")]
    attempts: Vec<i16>,
    #[sqlx(rename = "dag_version_ids!")]
    dag_version_ids: Vec<i32>,
    #[sqlx(rename = "epochs!")]
    epochs: Vec<i16>,
}

impl From<Row> for Finished {
    fn from(row: Row) -> Self {
        let claims = (0..row.dag_run_ids.len())
            .map(|at| Claim {
                key: attempt_key(
                    row.dag_run_ids[at],
                    row.task_indexes[at],
                    row.map_indexes[at],
                    row.attempts[at],
                ),
                dag_version_id: DagVersionId(row.dag_version_ids[at]),
                epoch: row.epochs[at],
            })
            .collect();
        Self {
            settled: row.settled,
            queued: row.queued,
            undecided: row.undecided.into_iter().map(DagRunId).collect(),
            limited: row.limited.into_iter().map(DagRunId).collect(),
            to_start: row.to_start.into_iter().map(DagKey).collect(),
            claims,
            others_wait: row.others_wait,
        }
    }
}

async fn finish(
    connection: &mut PgConnection,
    worker: WorkerId,
    batch: &Batch,
    wish: Wish,
) -> Result<Finished, StoreError> {
    let row = sqlx::query_file_as!(
        Row,
        "src/attempts/finish.sql",
        &batch.columns.dag_run_ids,
        &batch.columns.task_indexes,
        &batch.columns.map_indexes,
        &batch.columns.attempts,
        &batch.outputs as _,
        &batch.runs,
        worker.get(),
        i64::try_from(wish.slots).unwrap_or(i64::MAX),
        wish.lane.pool_key,
        wish.lane.queue_key,
        Schedule::Continuous.describe()
    )
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// Hands out what waits in the worker's lane; for a worker that has nothing to report.
async fn take(
    connection: &mut PgConnection,
    worker: WorkerId,
    wish: Wish,
) -> Result<Finished, StoreError> {
    let row = sqlx::query_file_as!(
        Row,
        "src/attempts/take.sql",
        worker.get(),
        i64::try_from(wish.slots).unwrap_or(i64::MAX),
        wish.lane.pool_key,
        wish.lane.queue_key
    )
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// Records one plain success by a statement of its own; `None`: its run needs the large one, and nothing has happened.
async fn finish_one(
    connection: &mut PgConnection,
    statement: Arc<str>,
    worker: WorkerId,
    success: &PlainSuccess,
    wish: Wish,
) -> Result<Option<Finished>, StoreError> {
    let AttemptKey { instance, attempt } = success.key;
    let row: Option<Row> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(instance.dag_run_id.get())
        .bind(instance.task_index.get())
        .bind(attempt.get())
        .bind(worker.get())
        .bind(i64::try_from(wish.slots).unwrap_or(i64::MAX))
        .bind(wish.lane.pool_key)
        .bind(wish.lane.queue_key)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(Into::into))
}

/// As [`finish`], with the same statement on one week's tables.
async fn finish_narrow(
    connection: &mut PgConnection,
    statement: Arc<str>,
    worker: WorkerId,
    batch: &Batch,
    wish: Wish,
) -> Result<Finished, StoreError> {
    let row: Row = sqlx::query_as(AssertSqlSafe(statement))
        .bind(&batch.columns.dag_run_ids)
        .bind(&batch.columns.task_indexes)
        .bind(&batch.columns.map_indexes)
        .bind(&batch.columns.attempts)
        .bind(&batch.outputs)
        .bind(&batch.runs)
        .bind(worker.get())
        .bind(i64::try_from(wish.slots).unwrap_or(i64::MAX))
        .bind(wish.lane.pool_key)
        .bind(wish.lane.queue_key)
        .bind(Schedule::Continuous.describe())
        .fetch_one(connection)
        .await?;
    Ok(row.into())
}
