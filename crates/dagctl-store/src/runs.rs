//! Dag runs: made once, started when there is a place, asked to stop.

use dagctl_core::ids::{DagId, DagKey, DagRunId, DagVersionId};
use dagctl_core::state::RunState;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Map, Value};
use sqlx::{Postgres, Transaction};

use crate::plans::{from_letter, letter, run_state};
use crate::{Store, StoreError};

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunType {
    /// Its data interval ended.
    Scheduled,
    /// Somebody asked for it.
    Manual,
    /// Somebody asked for an interval of the past.
    Backfill,
}

impl RunType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Scheduled, Self::Manual, Self::Backfill];

    /// The letter in `dag_run.run_type`.
    pub fn letter(self) -> char {
        match self {
            Self::Scheduled => 's',
            Self::Manual => 'm',
            Self::Backfill => 'b',
        }
    }

    /// Airflow's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
        }
    }

    /// Reads the letter of [`Self::letter`]; a row of a newer dagctl counts as manual.
    pub fn from_letter(found: i8) -> Self {
        Self::ALL
            .into_iter()
            .find(|it| letter(it.letter()) == found)
            .unwrap_or(Self::Manual)
    }

    /// Scheduled and backfilled runs are one kind: one of them per DAG and logical date.
    fn kind(self) -> char {
        match self {
            Self::Scheduled | Self::Backfill => 's',
            Self::Manual => 'm',
        }
    }
}

/// A run to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// Its DAG.
    pub dag_key: DagKey,
    /// The version it keeps.
    pub dag_version_id: DagVersionId,
    /// Its name, unique in its DAG.
    pub run_id: String,
    /// Why it exists.
    pub run_type: RunType,
    /// The start of its data interval, or the moment given.
    pub logical_at: Timestamp,
    /// Where its data interval begins.
    pub interval_start: Timestamp,
    /// Where its data interval ends.
    pub interval_end: Timestamp,
    /// Its parameters, defaults included.
    pub params: Map<String, Value>,
    /// A sentence of whoever asked for it.
    pub note: Option<String>,
    /// Who asked for it.
    pub triggered_by: Option<String>,
    /// What makes a repeated request the same one.
    pub idempotency: Option<Idempotency>,
}

/// What makes a repeated trigger the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Who sends it; keys of different people never meet.
    pub principal: String,
    /// The key they chose.
    pub key: String,
    /// A hash of what they ask for.
    pub body_hash: Vec<u8>,
}

/// What became of a [`NewRun`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is there, and perhaps already runs.
    New {
        /// Its key.
        dag_run_id: DagRunId,
        /// Tasks put into the queue.
        queued: i64,
    },
    /// The same request came before.
    Same {
        /// The run it made.
        dag_run_id: DagRunId,
        /// That run's name.
        run_id: String,
    },
    /// The idempotency key was used for another request.
    KeyTaken,
    /// The DAG has a run of that name, or of that logical date.
    Exists {
        /// The run that is there.
        dag_run_id: DagRunId,
        /// Its name.
        run_id: String,
    },
}

/// What an attempt needs to know of its run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunContext {
    /// The run.
    pub dag_run_id: DagRunId,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its name.
    pub run_id: String,
    /// Why it exists.
    pub run_type: RunType,
    /// Where it is defined.
    pub dag_version_id: DagVersionId,
    /// The Git commit of that version.
    pub commit: Option<String>,
    /// The start of its data interval, or the moment given.
    pub logical_at: Timestamp,
    /// Where its data interval begins.
    pub interval_start: Timestamp,
    /// Where its data interval ends.
    pub interval_end: Timestamp,
    /// Its parameters.
    pub params: Map<String, Value>,
}

impl Store {
    /// Makes a run, and starts it if its DAG has a place for it. One transaction; safe to repeat.
    pub async fn create_run(&self, new: &NewRun) -> Result<Created, StoreError> {
        let mut tx = self.begin().await?;
        let created = create(&mut tx, new).await?;
        match created {
            Created::New { .. } => tx.commit().await?,
            // The key that was taken for it must not stay.
            Created::Same { .. } | Created::KeyTaken | Created::Exists { .. } => {
                tx.rollback().await?;
            }
        }
        Ok(created)
    }

    /// Starts queued runs of a DAG, oldest first, up to its `max_active_runs`. Gives back how many tasks that queued.
    pub async fn start_queued(&self, dag: DagKey) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let queued = start_queued(&mut tx, dag).await?;
        tx.commit().await?;
        Ok(queued)
    }

    /// Records that somebody wants the run to stop. A run that has not started ends at once; `false`: it had ended.
    pub async fn request_cancel(&self, run: DagRunId, by: &str) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update dag_run
            set cancel_requested_at = coalesce(cancel_requested_at, now()),
                cancel_requested_by = coalesce(cancel_requested_by, $2),
                state = case when state = 'q' then 'f'::\"char\" else state end,
                finished_at = case when state = 'q' then now() end
            where dag_run_id = $1 and state in ('q', 'r')",
            run.get(),
            by
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The run of that name.
    pub async fn find_run(
        &self,
        dag: DagKey,
        run_id: &str,
    ) -> Result<Option<DagRunId>, StoreError> {
        let found = sqlx::query_scalar!(
            "select dag_run_id from run_key where dag_key = $1 and run_id = $2",
            dag.get(),
            run_id
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(found.map(DagRunId))
    }

    /// Where a run stands.
    pub async fn run_state(&self, run: DagRunId) -> Result<Option<RunState>, StoreError> {
        sqlx::query_scalar!("select state from dag_run where dag_run_id = $1", run.get())
            .fetch_optional(self.pool())
            .await?
            .map(run_state)
            .transpose()
    }

    /// What attempts of these runs need to know.
    pub async fn run_contexts(&self, runs: &[DagRunId]) -> Result<Vec<RunContext>, StoreError> {
        let ids: Vec<i64> = runs.iter().map(|it| it.get()).collect();
        let rows = sqlx::query!(
            "select r.dag_run_id, d.dag_id, r.run_id, r.run_type, r.dag_version_id, v.git_commit, r.logical_at,
                r.interval_start, r.interval_end, r.params
            from dag_run r
            join dag d using (dag_key)
            join dag_version v using (dag_version_id)
            where r.dag_run_id = any($1)",
            &ids
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(RunContext {
                    dag_run_id: DagRunId(row.dag_run_id),
                    dag_id: readable_dag_id(row.dag_id)?,
                    run_id: row.run_id,
                    run_type: RunType::from_letter(row.run_type),
                    dag_version_id: DagVersionId(row.dag_version_id),
                    commit: row.git_commit,
                    logical_at: row.logical_at.to_jiff(),
                    interval_start: row.interval_start.to_jiff(),
                    interval_end: row.interval_end.to_jiff(),
                    params: match row.params {
                        Value::Object(map) => map,
                        _ => Map::new(),
                    },
                })
            })
            .collect()
    }
}

/// Makes a run within a transaction. The DAG's row is locked first: `max_active_runs` is counted below it.
pub(crate) async fn create(
    tx: &mut Transaction<'static, Postgres>,
    new: &NewRun,
) -> Result<Created, StoreError> {
    sqlx::query!(
        "select from dag where dag_key = $1 for update",
        new.dag_key.get()
    )
    .execute(&mut **tx)
    .await?;
    let dag_run_id = new_dag_run_id(tx).await?;
    if let Some(it) = &new.idempotency
        && let Some(before) = take_key(tx, it, dag_run_id).await?
    {
        return Ok(before);
    }
    let inserted = sqlx::query!(
        "insert into run_key (dag_key, run_id, kind, logical_at, dag_run_id) values ($1, $2, $3, $4, $5)
        on conflict do nothing",
        new.dag_key.get(),
        new.run_id,
        letter(new.run_type.kind()),
        new.logical_at.to_sqlx(),
        dag_run_id
    )
    .execute(&mut **tx)
    .await?;
    if inserted.rows_affected() == 0 {
        let there = sqlx::query!(
            "select dag_run_id, run_id from run_key
            where dag_key = $1 and (run_id = $2 or (kind = 's' and $3 = 's'::\"char\" and logical_at = $4))
            order by run_id = $2 desc limit 1",
            new.dag_key.get(),
            new.run_id,
            letter(new.run_type.kind()),
            new.logical_at.to_sqlx()
        )
        .fetch_one(&mut **tx)
        .await?;
        return Ok(Created::Exists {
            dag_run_id: DagRunId(there.dag_run_id),
            run_id: there.run_id,
        });
    }
    sqlx::query!(
        "insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at,
            interval_start, interval_end, params, note, triggered_by)
        values ($1, $2, $3, $4, $5, 'q', $6, $7, $8, $9, $10, $11)",
        dag_run_id,
        new.dag_key.get(),
        new.dag_version_id.get(),
        new.run_id,
        letter(new.run_type.letter()),
        new.logical_at.to_sqlx(),
        new.interval_start.to_sqlx(),
        new.interval_end.to_sqlx(),
        Value::Object(new.params.clone()),
        new.note,
        new.triggered_by
    )
    .execute(&mut **tx)
    .await?;
    let queued = start_queued(tx, new.dag_key).await?;
    Ok(Created::New {
        dag_run_id: DagRunId(dag_run_id),
        queued,
    })
}

/// Takes an idempotency key for a run to be made. Gives back what it stands for if it was taken before.
///
/// The same key may come at once for two DAGs: the insert then waits for the other transaction, and the next
/// statement sees what it made.
async fn take_key(
    tx: &mut Transaction<'static, Postgres>,
    it: &Idempotency,
    dag_run_id: i64,
) -> Result<Option<Created>, StoreError> {
    let taken = sqlx::query!(
        "insert into trigger_key (principal, key, body_hash, dag_run_id) values ($1, $2, $3, $4)
        on conflict do nothing",
        it.principal,
        it.key,
        it.body_hash,
        dag_run_id
    )
    .execute(&mut **tx)
    .await?;
    if taken.rows_affected() > 0 {
        return Ok(None);
    }
    let before = sqlx::query!(
        "select k.body_hash, k.dag_run_id, r.run_id
        from trigger_key k join run_key r using (dag_run_id) where k.principal = $1 and k.key = $2",
        it.principal,
        it.key
    )
    .fetch_one(&mut **tx)
    .await?;
    if before.body_hash != it.body_hash {
        return Ok(Some(Created::KeyTaken));
    }
    Ok(Some(Created::Same {
        dag_run_id: DagRunId(before.dag_run_id),
        run_id: before.run_id,
    }))
}

/// Starts queued runs within a transaction that may already hold the DAG's row.
///
/// A pause stops the schedule, not what people ask for: manual runs of a paused DAG start.
pub(crate) async fn start_queued(
    tx: &mut Transaction<'static, Postgres>,
    dag: DagKey,
) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        "select max_active_runs, is_paused from dag where dag_key = $1 for update",
        dag.get()
    )
    .fetch_one(&mut **tx)
    .await?;
    let running = sqlx::query_scalar!(
        r#"select count(*) as "count!" from dag_run where dag_key = $1 and state = 'r'"#,
        dag.get()
    )
    .fetch_one(&mut **tx)
    .await?;
    let places = i64::from(row.max_active_runs) - running;
    if places <= 0 {
        return Ok(0);
    }
    // `skip locked`: somebody who holds a queued run is ending it, and may wait for the DAG's row that we hold.
    let waiting = sqlx::query_scalar!(
        "select dag_run_id from dag_run where dag_key = $1 and state = 'q' and (run_type = 'm' or not $2)
        order by dag_run_id limit $3 for update skip locked",
        dag.get(),
        row.is_paused,
        places
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut queued = 0;
    for run in waiting {
        let started = sqlx::query_file!("src/runs/start.sql", run)
            .fetch_optional(&mut **tx)
            .await?;
        queued += started.map_or(0, |it| it.queued);
    }
    Ok(queued)
}

/// Time first, so that keys sort by creation and a partition is a stretch of time; the database's clock.
async fn new_dag_run_id(tx: &mut Transaction<'static, Postgres>) -> Result<i64, StoreError> {
    let milliseconds = sqlx::query_scalar!(
        r#"select (extract(epoch from clock_timestamp()) * 1000)::bigint as "it!""#
    )
    .fetch_one(&mut **tx)
    .await?;
    let random = i64::from(rand::random::<u32>() & 0xF_FFFF);
    Ok((milliseconds << 20) | random)
}

pub(crate) fn readable_dag_id(text: String) -> Result<DagId, StoreError> {
    DagId::new(text).map_err(|error| StoreError::Unreadable {
        table: "dag",
        what: error.to_string(),
    })
}

/// Reads a run's type for lists.
pub fn run_type_name(found: i8) -> &'static str {
    debug_assert!(
        RunType::ALL
            .iter()
            .any(|it| it.letter() == from_letter(found))
    );
    RunType::from_letter(found).name()
}
