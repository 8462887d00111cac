//! A run that somebody asks for.

use dagctl_core::ids::{DagId, DagRunId, check_name};
use dagctl_core::nearest::nearest;
use dagctl_core::params::{self, ParamError};
use dagctl_core::timetable::Timetable;
use dagctl_store::StoreError;
use dagctl_store::runs::{Created, Idempotency, NewRun, RunType};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Engine;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    /// Its key.
    pub dag_run_id: DagRunId,
    /// Its name.
    pub run_id: String,
    /// Whether this request made it; otherwise an earlier one with the same key did.
    pub created: bool,
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
        /// What the database said.
        source: StoreError,
    },
    /// The stored version cannot be read.
    #[error("could not read the stored version of `{dag_id}`: {why}")]
    Version {
        /// The DAG.
        dag_id: DagId,
        /// What is wrong with it.
        why: String,
    },
}

impl Engine {
    /// Makes a run. Returns after it is durable; the run then happens whatever becomes of this process.
    pub async fn trigger(&self, request: TriggerRequest) -> Result<Triggered, TriggerError> {
        let engine = self.clone();
        let dag_id = request.dag_id.clone();
        // A task of its own: whoever asked may go away in the middle of the transaction.
        match tokio::spawn(async move { engine.make_run(request).await }).await {
            Ok(made) => made,
            Err(panic) => Err(TriggerError::Version {
                dag_id,
                why: panic.to_string(),
            }),
        }
    }

    async fn make_run(&self, request: TriggerRequest) -> Result<Triggered, TriggerError> {
        let dag_id = request.dag_id.clone();
        let stored = |source| TriggerError::Store {
            dag_id: dag_id.clone(),
            source,
        };
        let store = self.store();
        let Some((dag_key, version)) = store.find_dag(dag_id.as_str()).await.map_err(stored)?
        else {
            let names = store.dag_ids().await.map_err(stored)?;
            let near =
                nearest(dag_id.as_str(), names.iter().map(String::as_str)).map(str::to_owned);
            return Err(TriggerError::UnknownDag { dag_id, near });
        };
        let Some(version) = version else {
            return Err(TriggerError::NoVersion(dag_id));
        };
        let dag =
            self.inner
                .dags
                .get(store, version)
                .await
                .map_err(|it| TriggerError::Version {
                    dag_id: dag_id.clone(),
                    why: format!("{it:#}"),
                })?;
        let params =
            params::fill(&dag.spec.params, &request.params).map_err(TriggerError::BadParams)?;
        let logical_at = match request.logical_date {
            Some(it) => it,
            None => store.now().await.map_err(stored)?,
        };
        if let Some(run_id) = &request.run_id
            && check_name(&run_id.replace([':', '+', '~'], "_")).is_err()
        {
            return Err(TriggerError::BadRunId(run_id.clone()));
        }
        let body = json!([
            dag_id.as_str(),
            request.params,
            request.logical_date,
            request.run_id,
            request.note
        ]);
        let interval = Timetable::new(&dag.spec).manual_interval(logical_at);
        let mut new = NewRun {
            dag_key,
            dag_version_id: version,
            run_id: request
                .run_id
                .clone()
                .unwrap_or_else(|| format!("manual__{logical_at}")),
            run_type: RunType::Manual,
            logical_at,
            interval_start: interval.start,
            interval_end: interval.end,
            params,
            note: request.note,
            triggered_by: Some(request.principal.clone()),
            idempotency: request.idempotency_key.map(|key| Idempotency {
                principal: request.principal,
                key,
                body_hash: body.to_string().into_bytes(),
            }),
        };
        let mut again = 1;
        loop {
            match store.create_run(&new).await.map_err(stored)? {
                Created::New { dag_run_id, queued } => {
                    if queued > 0 {
                        self.hint_ready().await;
                    }
                    return Ok(Triggered {
                        dag_run_id,
                        run_id: new.run_id,
                        created: true,
                    });
                }
                Created::Same { dag_run_id, run_id } => {
                    return Ok(Triggered {
                        dag_run_id,
                        run_id,
                        created: false,
                    });
                }
                Created::KeyTaken => return Err(TriggerError::KeyTaken),
                // Two people may well ask within a microsecond, or for the same logical date.
                Created::Exists { .. } if request.run_id.is_none() && again < 100 => {
                    again += 1;
                    new.run_id = format!("manual__{logical_at}_{again}");
                }
                Created::Exists { run_id, .. } => {
                    return Err(TriggerError::RunExists { dag_id, run_id });
                }
            }
        }
    }
}
