//! `GET` and `POST /backfills`, `GET /backfills/{id}`, `POST /backfills/{id}/pause`, `…/unpause` and `…/cancel`.

use serde::{Deserialize, Serialize};

use crate::state::RunState;

/// What `POST /backfills` takes: a range of dates of a DAG, or the token of a dry run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackfillRequest {
    /// The DAG.
    pub dag_id: Option<String>,
    /// The first day or moment a logical date may be at.
    pub from_date: Option<String>,
    /// The last; a day alone is meant as a whole.
    pub to_date: Option<String>,
    /// What happens to dates that have a run: `none` (they are left out; the default), `failed`, `all`.
    pub reprocess: Option<String>,
    /// Runs of it under way at once; 10 where it is not set.
    pub max_active_runs: Option<i32>,
    /// The newest first.
    pub reverse: bool,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
    /// What a dry run gave: exactly what it showed is made, or nothing.
    pub token: Option<String>,
}

/// What `POST /backfills` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillPlan {
    /// The DAG.
    pub dag_id: String,
    /// Every date, in the order in which they are filled.
    pub dates: Vec<PlannedDate>,
    /// Stands for exactly this.
    pub token: String,
    /// The backfill that was made; none in a dry run.
    pub backfill: Option<Backfill>,
}

/// What a backfill does about one date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDate {
    /// The start of the data interval.
    pub logical_date: String,
    /// Its end.
    pub data_interval_end: String,
    /// What is done.
    pub action: DateAction,
    /// The run that is there already.
    pub run_id: Option<String>,
    /// Where that run stands.
    pub state: Option<RunState>,
}

/// What a backfill does about a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateAction {
    /// A run is made.
    Create,
    /// The run that is there goes again, all of it.
    Again,
    /// The run that is there stays as it is.
    Skip,
}

impl DateAction {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Again => "again",
            Self::Skip => "skip",
        }
    }
}

/// A backfill and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its number.
    pub backfill_id: i32,
    /// Its DAG.
    pub dag_id: String,
    /// The first moment a logical date may be at.
    pub from_date: String,
    /// The last.
    pub to_date: String,
    /// What happens to dates that had a run.
    pub reprocess: String,
    /// The newest first.
    pub reverse: bool,
    /// Runs of it under way at once.
    pub max_active_runs: i32,
    /// `running`, `paused`, `cancelled` or `done`.
    pub state: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: String,
    /// When its last date was dealt with, or when it was cancelled.
    pub ended_at: Option<String>,
    /// How far it is.
    pub progress: Progress,
}

/// How many dates of a backfill stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Were not taken up yet.
    pub waiting: i64,
    /// Are left as they are.
    pub skipped: i64,
    /// Have a run in the queue.
    pub queued: i64,
    /// Have a run under way.
    pub running: i64,
    /// Have a run that succeeded.
    pub success: i64,
    /// Have a run that failed.
    pub failed: i64,
}

/// What `GET /backfills/{id}` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillDetail {
    /// The backfill.
    #[serde(flatten)]
    pub backfill: Backfill,
    /// Its dates, in the order in which they are filled.
    pub dates: Vec<BackfilledDate>,
}

/// One date of a backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfilledDate {
    /// The start of the data interval.
    pub logical_date: String,
    /// Its end.
    pub data_interval_end: String,
    /// Its run, once there is one.
    pub run_id: Option<String>,
    /// Where that run stands.
    pub state: Option<RunState>,
    /// Whether that run was there before, and is left as it is.
    pub skipped: bool,
}

/// What `POST /backfills/{id}/…` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillChanged {
    /// Whether that was news; false where it has ended, or stood so already.
    pub changed: bool,
    /// The backfill as it stands now.
    pub backfill: Backfill,
}
