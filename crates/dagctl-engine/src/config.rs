//! How a process of dagctl is set up, as far as the engine needs to know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dagctl_core::connection::Connection;
use dagctl_core::ids::DEFAULT_QUEUE;
use dagctl_core::mapping::MAX_MAP_LENGTH;
use dagctl_store::notices::Gathering;

/// How a process of dagctl is set up.
#[derive(Clone)]
pub struct EngineConfig {
    /// The folder of the DAG files.
    pub dags_folder: PathBuf,
    /// Where runs keep their private folders.
    pub runs_folder: PathBuf,
    /// The process's environment, for `DAGCTL_VAR_*`, `DAGCTL_CONN_*` and their Airflow forms.
    pub environment: BTreeMap<String, String>,
    /// Connections offered where neither environment nor database defines one of that name.
    pub default_connections: BTreeMap<String, Connection>,
    /// Where the pages are, for links in messages; without a slash at the end.
    pub base_url: Option<String>,
    /// What comes before a `slack_url` that is only the last part of a webhook.
    pub slack_base_url: String,
    /// How long messages about tasks wait for more of their run.
    pub gathering: Gathering,
    /// What this worker process is called.
    pub worker_name: String,
    /// Attempts under way at the same time.
    pub slots: u16,
    /// Instances that `expand` may make of one task.
    pub max_map_length: u16,
    /// The queues whose tasks a worker takes.
    pub queues: Vec<String>,
    /// How long a worker's claims hold without a heartbeat.
    pub lease: Duration,
    /// How often a worker renews its lease.
    pub heartbeat: Duration,
    /// The longest a worker sleeps between two looks at the queue.
    pub poll: Duration,
    /// How long attempts may go on after a worker was asked to stop.
    pub drain_timeout: Duration,
    /// The 32 bytes that secrets are sealed with.
    pub secret_key: [u8; 32],
}

impl std::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig")
            .field("dags_folder", &self.dags_folder)
            .finish_non_exhaustive()
    }
}

impl EngineConfig {
    /// A setting with every default, for these folders.
    pub fn new(dags_folder: PathBuf, runs_folder: PathBuf, secret_key: [u8; 32]) -> Self {
        Self {
            dags_folder,
            runs_folder,
            environment: BTreeMap::new(),
            default_connections: BTreeMap::new(),
            base_url: None,
            slack_base_url: "https://hooks.slack.com/services/".to_owned(),
            gathering: Gathering {
                first: Duration::from_secs(5),
                later: Duration::from_secs(600),
            },
            worker_name: "worker".to_owned(),
            slots: 32,
            max_map_length: MAX_MAP_LENGTH,
            queues: vec![DEFAULT_QUEUE.to_owned()],
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            poll: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(300),
            secret_key,
        }
    }
}
