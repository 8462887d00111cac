//! The hot path: plain successes recorded, what waited for them queued or handed on, in one statement.

use dagctl_core::ids::{DagKey, DagRunId, DagVersionId, WorkerId};
use dagctl_core::schedule::Schedule;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use super::{Claim, Columns, Lane, PlainSuccess, attempt_key};
use crate::plans::Look;
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
    /// Whether tasks wait in other pools or queues than the one asked for.
    pub others_wait: bool,
}

/// What a worker would like to be handed while it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Attempts it has slots for.
    pub slots: usize,
    /// Where they come from. Of a pool with a limit nothing is handed out here.
    pub lane: Lane,
}

/// A worker's own connection for reports and claims. Not cancellable half-way: drive it from a task that nobody ends.
#[derive(Debug)]
pub struct HotPath {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
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
        let finished = finish(&mut connection, worker, successes, wish).await?;
        self.connection = Some(connection);
        Ok(finished)
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
        };
        finish(&mut self.tx, worker, successes, nothing).await
    }

    /// Queues parked tasks of locked runs as far as `max_active_tasks` allows. Gives back how many.
    pub async fn fill(&mut self, runs: &[DagRunId]) -> Result<u64, StoreError> {
        if runs.is_empty() {
            return Ok(0);
        }
        let ids: Vec<i64> = runs.iter().map(|it| it.get()).collect();
        let done = sqlx::query_file!("src/attempts/fill.sql", &ids)
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected())
    }
}

async fn finish(
    connection: &mut PgConnection,
    worker: WorkerId,
    successes: &[PlainSuccess],
    wish: Wish,
) -> Result<Finished, StoreError> {
    let columns = Columns::of(successes.iter().map(|it| &it.key));
    let outputs: Vec<Option<Value>> = successes
        .iter()
        .map(|it| (!it.outputs.is_empty()).then(|| Value::Object(it.outputs.clone())))
        .collect();
    let mut runs = columns.dag_run_ids.clone();
    runs.sort_unstable();
    runs.dedup();
    let row = sqlx::query_file!(
        "src/attempts/finish.sql",
        &columns.dag_run_ids,
        &columns.task_indexes,
        &columns.map_indexes,
        &columns.attempts,
        &outputs as _,
        &runs,
        worker.get(),
        i64::try_from(wish.slots).unwrap_or(i64::MAX),
        wish.lane.pool_key,
        wish.lane.queue_key,
        Schedule::Continuous.describe()
    )
    .fetch_one(connection)
    .await?;
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
    Ok(Finished {
        settled: row.settled,
        queued: row.queued,
        undecided: row.undecided.into_iter().map(DagRunId).collect(),
        limited: row.limited.into_iter().map(DagRunId).collect(),
        to_start: row.to_start.into_iter().map(DagKey).collect(),
        claims,
        others_wait: row.others_wait,
    })
}
