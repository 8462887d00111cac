//! The loops, and the one writer of run state: joins DAG files, store and runner.
//!
//! Users, workers and time only record facts; [`Engine::advance`] looks at a run and does what they call for.
//! Nothing in here talks HTTP to people or parses a command line.

pub mod again;
pub mod backfill;
pub mod config;
pub mod notifier;
pub mod reaper;
pub mod reconcile;
pub mod scheduler;
pub mod services;
pub mod settings;
pub mod sweeper;
pub mod syncer;
pub mod trigger;
pub mod wake;
pub mod worker;

mod advance;
mod approvals;
mod commit;
mod dag_cache;
mod facts;
pub mod flush;
mod grouped;
mod hints;
mod limits;
mod log_writer;
mod notice_payload;
mod past;
mod pokes;

use std::sync::Arc;

use dagctl_core::dag::Dag;
use dagctl_core::ids::{DagId, DagRunId, DagVersionId};
use dagctl_store::dags::Paused;
use dagctl_store::database::Topic;
use dagctl_store::vault::Vault;
use dagctl_store::{Store, StoreError};

pub use crate::approvals::AnswerError;
pub use crate::config::EngineConfig;
pub use crate::trigger::{TriggerError, TriggerRequest, Triggered};

use crate::dag_cache::DagCache;
use crate::facts::Facts;
use crate::log_writer::LogWriter;
use crate::settings::{Settings, SettingsOptions};
use crate::wake::Wake;

/// Everything that changes runs goes through here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Apart from `store`, so that a busy database pool cannot keep a heartbeat waiting.
    heartbeat_store: Store,
    config: EngineConfig,
    dags: DagCache,
    facts: Facts,
    logs: LogWriter,
    settings: Settings,
    triggers: trigger::Triggers,
    wake: Wake,
    hints: hints::Hints,
}

/// Why the engine could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such DAG.
    #[error("no DAG is called `{0}`")]
    UnknownDag(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Joins the parts. `heartbeat_store` is a small pool of its own.
    pub fn new(store: Store, heartbeat_store: Store, config: EngineConfig) -> Self {
        let settings = Settings::new(SettingsOptions {
            store: store.clone(),
            vault: Vault::new(&config.secret_key),
            environment: config.environment.clone(),
            default_connections: config.default_connections.clone(),
        });
        let inner = Inner {
            store,
            heartbeat_store,
            config,
            dags: DagCache::default(),
            facts: Facts::default(),
            logs: LogWriter::default(),
            settings,
            triggers: trigger::triggers(),
            wake: Wake::default(),
            hints: hints::Hints::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// For looking; changes go through the engine.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Variables and connections.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// How this process was set up.
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// The DAG of a version, for pages and forms.
    pub async fn dag(&self, version: DagVersionId) -> anyhow::Result<Arc<Dag>> {
        self.inner.dags.get(&self.inner.store, version).await
    }

    /// Asks for a run to stop. Attempts under way end at their worker's next heartbeat; `false`: it had ended.
    pub async fn request_cancel(&self, run: DagRunId, by: &str) -> Result<bool, EngineError> {
        let asked = self.inner.store.request_cancel(run, by).await?;
        if asked {
            let engine = self.clone();
            // A task of its own: whoever asked may go away in the middle of it.
            let look = tokio::spawn(async move { engine.advance(run).await });
            if let Ok(Err(error)) = look.await {
                tracing::warn!(run.id = %run, "Look at the run to stop failed, the next one repeats it: {error:#}");
            }
            self.tell(Topic::Cancel);
            // A run that had not started has ended, and perhaps a task waits for it.
            self.tell(Topic::Timer);
        }
        Ok(asked)
    }

    /// Stops or resumes a DAG's schedule; `false`: it stood so already.
    pub async fn set_paused(&self, dag_id: &DagId, paused: Paused) -> Result<bool, EngineError> {
        let changed = self.inner.store.set_paused(dag_id, paused).await?;
        if changed == Some(true) {
            self.tell(Topic::Schedule);
        }
        changed.ok_or_else(|| EngineError::UnknownDag(dag_id.to_string()))
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.inner.wake
    }
}
