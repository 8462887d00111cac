//! Runs as lists and pages show them.

use dagctl_core::ids::{DagKey, DagRunId, DagVersionId};
use dagctl_core::state::RunState;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::letter;
use crate::{Store, StoreError};

/// A run as one bar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunBar {
    /// Its name.
    pub run_id: String,
    /// Where it stands.
    pub state: RunState,
    /// When it was made.
    pub queued_at: Timestamp,
    /// When its first task could start.
    pub started_at: Option<Timestamp>,
    /// When its last task settled.
    pub finished_at: Option<Timestamp>,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its key.
    pub dag_run_id: DagRunId,
    /// Its DAG.
    pub dag_id: String,
    /// The zone of its DAG.
    pub timezone: String,
    /// The version it keeps.
    pub version: DagVersionId,
    /// The commit of that version's text, where known.
    pub git_commit: Option<String>,
    /// Its name.
    pub run_id: String,
    /// Why it exists.
    pub run_type: RunKind,
    /// Where it stands.
    pub state: RunState,
    /// The moment it is for.
    pub logical_at: Timestamp,
    /// The start of the data it is about.
    pub interval_start: Timestamp,
    /// The end of the data it is about.
    pub interval_end: Timestamp,
    /// What it was told.
    pub params: Map<String, Value>,
    /// A word of whoever triggered it.
    pub note: Option<String>,
    /// Who triggered it.
    pub triggered_by: Option<String>,
    /// When somebody asked it to stop.
    pub cancel_requested_at: Option<Timestamp>,
    /// Who asked it to stop.
    pub cancel_requested_by: Option<String>,
    /// When it was made.
    pub queued_at: Timestamp,
    /// When its first task could start.
    pub started_at: Option<Timestamp>,
    /// When its last task settled.
    pub finished_at: Option<Timestamp>,
    /// Why the engine leaves it alone, where it had to.
    pub look_error: Option<String>,
}

impl RunRow {
    /// The same run as a bar.
    pub fn bar(&self) -> RunBar {
        RunBar {
            run_id: self.run_id.clone(),
            state: self.state,
            queued_at: self.queued_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }

    /// Why it failed, where that was somebody's wish.
    pub fn reason(&self) -> Option<String> {
        let is_cancelled = self.state == RunState::Failed && self.cancel_requested_at.is_some();
        is_cancelled.then(|| match &self.cancel_requested_by {
            Some(by) if by == "dagrun_timeout" => "took longer than dagrun_timeout".to_owned(),
            Some(by) => format!("cancelled by {by}"),
            None => "cancelled".to_owned(),
        })
    }
}

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// The schedule called for it.
    Scheduled,
    /// Somebody triggered it.
    Manual,
    /// A backfill made it.
    Backfill,
    /// There was news of tables.
    AssetTriggered,
}

impl RunKind {
    fn from_letter(letter: char) -> Option<Self> {
        match letter {
            's' => Some(Self::Scheduled),
            'm' => Some(Self::Manual),
            'b' => Some(Self::Backfill),
            'a' => Some(Self::AssetTriggered),
            _ => None,
        }
    }
}

/// Which runs of a DAG a list shows.
#[derive(Debug, Clone)]
pub struct RunFilter {
    /// Their DAG.
    pub dag_key: DagKey,
    /// Their state.
    pub state: Option<RunState>,
    /// Made before this one.
    pub before: Option<DagRunId>,
    /// How many at most.
    pub limit: i64,
}

impl Store {
    /// Runs of a DAG, newest first.
    pub async fn run_rows(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        sqlx::query_file!(
            "src/views/run_rows.sql",
            filter.dag_key.get(),
            filter.state.map(|it| it.letter() as i8),
            filter.before.map_or(i64::MAX, |it| it.get()),
            filter.limit
        )
        .fetch_all(self.pool())
        .await?
        .into_iter()
        .map(|row| run_row!(row))
        .collect()
    }

    /// The run of a key.
    pub async fn run_row(&self, run: DagRunId) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_file!("src/views/run_row.sql", run.get())
            .fetch_optional(self.pool())
            .await?
            .map(|row| run_row!(row))
            .transpose()
    }

    /// The run of a name in a DAG; `latest` is the newest, unless a run has that very name.
    pub async fn run_called(
        &self,
        dag_id: &str,
        run_id: &str,
    ) -> Result<Option<RunRow>, StoreError> {
        sqlx::query_file!("src/views/run_called.sql", dag_id, run_id)
            .fetch_optional(self.pool())
            .await?
            .map(|row| run_row!(row))
            .transpose()
    }
}

/// Each checked statement has a row type of its own, so a function cannot take them.
macro_rules! run_row {
    ($row:ident) => {
        Ok(RunRow {
            dag_run_id: DagRunId($row.dag_run_id),
            dag_id: $row.dag_id,
            timezone: $row.timezone,
            version: DagVersionId($row.dag_version_id),
            git_commit: $row.git_commit,
            run_id: $row.run_id,
            run_type: letter("dag_run", $row.run_type, RunKind::from_letter)?,
            state: letter("dag_run", $row.state, RunState::from_letter)?,
            logical_at: $row.logical_at.to_jiff(),
            interval_start: $row.interval_start.to_jiff(),
            interval_end: $row.interval_end.to_jiff(),
            params: match $row.params {
                Value::Object(params) => params,
                _ => Map::new(),
            },
            note: $row.note,
            triggered_by: $row.triggered_by,
            cancel_requested_at: $row.cancel_requested_at.map(|it| it.to_jiff()),
            cancel_requested_by: $row.cancel_requested_by,
            queued_at: $row.queued_at.to_jiff(),
            started_at: $row.started_at.map(|it| it.to_jiff()),
            finished_at: $row.finished_at.map(|it| it.to_jiff()),
            look_error: $row.look_error,
        })
    };
}
use run_row;
