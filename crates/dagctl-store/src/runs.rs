//! Dag runs: made once, started when there is a place, asked to stop.

use std::collections::{BTreeSet, HashMap};

use dagctl_core::ids::{DagId, DagKey, DagRunId, DagVersionId};
use dagctl_core::state::RunState;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::{Postgres, Transaction};

use crate::plans::{from_letter, letter, run_state};
use crate::{Store, StoreError};

mod create;

pub use create::DagToRun;
pub(crate) use create::create;

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunType {
    /// Its data interval ended.
    Scheduled,
    /// Somebody asked for it.
    Manual,
    /// Somebody asked for an interval of the past.
    Backfill,
    /// There was news of the tables that its DAG waits for.
    AssetTriggered,
}

impl RunType {
    /// Every type.
    pub const ALL: [Self; 4] = [
        Self::Scheduled,
        Self::Manual,
        Self::Backfill,
        Self::AssetTriggered,
    ];

    /// The letter in `dag_run.run_type`.
    pub fn letter(self) -> char {
        match self {
            Self::Scheduled => 's',
            Self::Manual => 'm',
            Self::Backfill => 'b',
            Self::AssetTriggered => 'a',
        }
    }

    /// Airflow's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::AssetTriggered => "asset_triggered",
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
            Self::AssetTriggered => 'a',
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
    /// By when it should have ended, if somebody wants to be told.
    pub deadline_at: Option<Timestamp>,
    /// The backfill that it belongs to.
    pub backfill_id: Option<i32>,
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
        /// When it was made.
        queued_at: Timestamp,
        /// When its first task could start, if it had a place at once.
        started_at: Option<Timestamp>,
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
    /// Starts queued runs of a DAG, oldest first, up to its `max_active_runs`.
    pub async fn start_queued(&self, dag: DagKey) -> Result<StartedRuns, StoreError> {
        let mut tx = self.begin_for_runs().await?;
        lock_places(&mut tx, &[dag.get()]).await?;
        let started = start_queued(&mut tx, &[dag.get()]).await?;
        tx.commit().await?;
        Ok(started.into())
    }

    /// Records that somebody wants the run to stop. A run that has not started ends at once; `false`: it had ended.
    pub async fn request_cancel(&self, run: DagRunId, by: &str) -> Result<bool, StoreError> {
        let asked = sqlx::query_scalar!(
            r#"with asked as (
                update dag_run
                set cancel_requested_at = coalesce(cancel_requested_at, now()),
                    cancel_requested_by = coalesce(cancel_requested_by, $2),
                    state = case when state = 'q' then 'f'::"char" else state end,
                    finished_at = case when state = 'q' then now() end,
                    remaining = case when state = 'q' then 0 else remaining end
                where dag_run_id = $1 and state in ('q', 'r')
                returning dag_run_id, state
            ), ended as (
                delete from live_run l using asked a where l.dag_run_id = a.dag_run_id and a.state = 'f'
            ), skipped as (
                -- Only a run that was about to go on has task instances by then.
                update task_instance t set state = 'k', reason = 'cancelled', finished_at = now()
                from asked a where t.dag_run_id = a.dag_run_id and a.state = 'f' and t.state = 'n'
            ), woken as (
                update timer t set due_at = now() from asked a where t.awaits = a.dag_run_id and a.state = 'f'
            )
            select count(*) as "asked!" from asked"#,
            run.get(),
            by
        )
        .fetch_one(self.pool())
        .await?;
        Ok(asked > 0)
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

/// What came of starting queued runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartedRuns {
    /// Tasks put into the queue.
    pub queued: i64,
    /// Runs of which a look decides what starts: they go on after they had ended, or have tasks that may wait for the run
    /// before. They are marked for it.
    pub to_look_at: Vec<DagRunId>,
    /// DAGs with tasks that are counted over all their runs: those are parked, see [`Store::fill_dag`].
    pub counting: BTreeSet<DagKey>,
}

impl StartedRuns {
    pub(crate) fn add(&mut self, other: Self) {
        self.queued += other.queued;
        self.to_look_at.extend(other.to_look_at);
        self.counting.extend(other.counting);
    }
}

/// What [`start_queued`] did.
#[derive(Debug, Default)]
pub(crate) struct Started {
    /// The runs, and when each started.
    pub(crate) runs: HashMap<DagRunId, Timestamp>,
    /// Tasks put into the queue.
    pub(crate) queued: i64,
    /// See [`StartedRuns::to_look_at`].
    pub(crate) to_look_at: Vec<DagRunId>,
    /// See [`StartedRuns::counting`].
    pub(crate) counting: BTreeSet<DagKey>,
}

impl From<Started> for StartedRuns {
    fn from(started: Started) -> Self {
        Self {
            queued: started.queued,
            to_look_at: started.to_look_at,
            counting: started.counting,
        }
    }
}

/// Starts queued runs of DAGs, oldest first, within a transaction that holds their places: they are counted here.
pub(crate) async fn start_queued(
    tx: &mut Transaction<'static, Postgres>,
    dags: &[i32],
) -> Result<Started, StoreError> {
    let mut started = Started::default();
    let rows = sqlx::query_file!("src/runs/start.sql", dags)
        .fetch_all(&mut **tx)
        .await?;
    for row in rows {
        started.queued = row.queued;
        if row.is_undecided {
            started.to_look_at.push(DagRunId(row.dag_run_id));
        }
        if row.counts_over_runs {
            started.counting.insert(DagKey(row.dag_key));
        }
        started
            .runs
            .insert(DagRunId(row.dag_run_id), row.started_at.to_jiff());
    }
    Ok(started)
}

/// Has those who start runs of the same DAGs come one after another, in the order of the DAGs' keys: what is counted below
/// it is counted afterwards. Not by the rows of the DAGs: every run that ends writes there, and would wait for each commit.
pub(crate) async fn lock_places(
    tx: &mut Transaction<'static, Postgres>,
    dags: &[i32],
) -> Result<(), StoreError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtext('dagctl max_active_runs'), dag_key) from unnest($1::int[]) as it (dag_key)",
        dags
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
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
