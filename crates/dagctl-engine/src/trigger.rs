//! A run that somebody asks for.

use std::sync::Arc;

use dagctl_core::ids::{DagId, DagRunId};
use dagctl_core::params::ParamError;
use dagctl_store::StoreError;
use dagctl_store::views::runs::RunRow;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::Engine;

mod batch;

pub(crate) use batch::{Triggers, triggers};

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerRequest {
    /// The DAG to run.
    pub dag_id: DagId,
    /// Parameters that differ from their defaults.
    pub params: Map<String, Value>,
    /// The run's logical date; now, where it is not given.
    pub logical_date: Option<Timestamp>,
    /// The run's name; `manual__…`, where it is not given.
    pub run_id: Option<String>,
    /// Why, in a sentence.
    pub note: Option<String>,
    /// The same key gives the same run, however often it is sent.
    pub idempotency_key: Option<String>,
    /// Who asks.
    pub principal: String,
}

/// The run that a request led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Triggered {
    /// Its key.
    pub dag_run_id: DagRunId,
    /// Its name.
    pub run_id: String,
    /// Whether this request made it; otherwise an earlier one with the same key did.
    pub created: bool,
    /// As it stood when this request was answered.
    pub row: RunRow,
}

/// Why no run was made.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// No such DAG.
    #[error("no DAG is called `{dag_id}`{}", .near.as_ref().map(|it| format!("; did you mean `{it}`?")).unwrap_or_default())]
    UnknownDag {
        /// The name that was given.
        dag_id: DagId,
        /// A DAG with a name like it.
        near: Option<String>,
    },
    /// The DAG's file never had a good version.
    #[error("DAG `{0}` has no version that can run; see its problems")]
    NoVersion(DagId),
    /// Parameters that the DAG does not take as they are.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    BadParams(Vec<ParamError>),
    /// A name that cannot be.
    #[error(
        "`{0}` cannot name a run: letters, digits, `_`, `-`, `.`, `:`, `+` and `~`, at most 250"
    )]
    BadRunId(String),
    /// The name is taken.
    #[error("DAG `{dag_id}` has a run `{run_id}` already")]
    RunExists {
        /// The DAG.
        dag_id: DagId,
        /// The run that is there.
        run_id: String,
    },
    /// The idempotency key came with another request before.
    #[error("this Idempotency-Key was used for another request; send a new one")]
    KeyTaken,
    /// The database.
    #[error("could not record a run of `{dag_id}`")]
    Store {
        /// The DAG.
        dag_id: DagId,
        /// What the database said; perhaps to several requests at once.
        source: Arc<StoreError>,
    },
    /// The stored version cannot be read.
    #[error("could not read the stored version of `{dag_id}`: {why}")]
    Version {
        /// The DAG.
        dag_id: DagId,
        /// What is wrong with it.
        why: String,
    },
    /// Something that must not happen.
    #[error("could not make a run of `{0}`: dagctl has a defect, its log says more")]
    Defect(DagId),
}

impl Engine {
    /// Makes a run. Returns after it is durable; the run then happens whatever becomes of this process.
    pub async fn trigger(&self, request: TriggerRequest) -> Result<Triggered, TriggerError> {
        let dag_id = request.dag_id.clone();
        let made = self.ask_for_run(request).await;
        made.unwrap_or(Err(TriggerError::Defect(dag_id)))
    }
}
