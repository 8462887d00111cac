//! An attempt with everything around it, and what it left in its log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dagctl_core::connection::Connection;
use dagctl_core::ids::AttemptNo;
use dagctl_core::operator::{Operator, Shell, ShellCommand};
use dagctl_core::outcome::{Failure, Outcome};
use dagctl_core::template::{Context, ContextFacts};
use dagctl_core::variable::Masker;
use dagctl_runner::stop;
use dagctl_runner::{Attempt, CleanUp, Log, LogLimits, LogLine, Stop, StopReason, Stopper};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing here may take longer; it is reached only where something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A run's folder and what the attempts in it know.
pub(crate) struct Run {
    pub(crate) folder: TempDir,
    pub(crate) params: Map<String, Value>,
    pub(crate) connections: BTreeMap<String, Connection>,
    pub(crate) secrets: Vec<String>,
    pub(crate) execution_timeout: Option<Duration>,
    pub(crate) run_if: Option<String>,
}

/// How an attempt ended, and its log.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) lines: Vec<LogLine>,
}

/// An attempt under way.
pub(crate) struct Started {
    stopper: Stopper,
    running: JoinHandle<Outcome>,
    receiver: Receiver<LogLine>,
    lines: Vec<LogLine>,
}

impl Run {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        Self {
            folder,
            params: Map::new(),
            connections: BTreeMap::new(),
            secrets: Vec::new(),
            execution_timeout: None,
            run_if: None,
        }
    }

    pub(crate) fn run_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("run")
    }

    pub(crate) fn dag_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("dags")
    }

    pub(crate) fn attempt(&self, operator: impl Into<Operator>) -> Attempt {
        let run_dir = self.run_dir();
        let facts = ContextFacts {
            dag_id: "orders".to_owned(),
            dag_owner: "data".to_owned(),
            tags: Vec::new(),
            task_id: "extract".to_owned(),
            task_owner: "data".to_owned(),
            run_id: "manual__2026-01-02".to_owned(),
            run_type: "manual".to_owned(),
            commit: String::new(),
            logical_date: "2026-01-02T00:00:00Z".parse().unwrap(),
            data_interval_start: "2026-01-02T00:00:00Z".parse().unwrap(),
            data_interval_end: "2026-01-03T00:00:00Z".parse().unwrap(),
            timezone: TimeZone::UTC,
            params: self.params.clone(),
            outputs: BTreeMap::new(),
            variables: Arc::default(),
            connections: self.connections.clone().into(),
            run_dir: run_dir.to_str().unwrap().to_owned(),
            asset_events: BTreeMap::new(),
            try_number: 2,
            map_index: -1,
            items: Map::new(),
        };
        Attempt {
            dag_id: "orders".parse().unwrap(),
            task_id: "extract".parse().unwrap(),
            run_id: "manual__2026-01-02".to_owned(),
            attempt: AttemptNo(2),
            idempotency_key: "orders/manual__2026-01-02/extract".to_owned(),
            operator: operator.into(),
            run_if: self.run_if.clone(),
            context: Context::new(facts),
            connections: self.connections.clone().into(),
            run_dir,
            dag_dir: self.dag_dir(),
            execution_timeout: self.execution_timeout,
            masker: Masker::new(self.all_secrets()),
            clean_up: CleanUp::default(),
        }
    }

    fn all_secrets(&self) -> Vec<String> {
        let of_connections = self.connections.values().flat_map(Connection::secrets);
        let of_connections = of_connections.map(|it| it.expose().to_owned());
        self.secrets.iter().cloned().chain(of_connections).collect()
    }

    pub(crate) fn start(&self, operator: impl Into<Operator>) -> Started {
        let (sender, receiver) = channel(64);
        let (stopper, stop) = stop::channel();
        let log = Log::new(sender, LogLimits::default());
        let running = tokio::spawn(dagctl_runner::run(self.attempt(operator), log, stop));
        Started {
            stopper,
            running,
            receiver,
            lines: Vec::new(),
        }
    }

    pub(crate) async fn run(&self, operator: impl Into<Operator>) -> Ended {
        self.start(operator).ended().await
    }
}

impl Started {
    /// Waits for a line that begins so, and gives back its rest.
    pub(crate) async fn line(&mut self, beginning: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.receiver.recv()).await;
            let Ok(Some(line)) = line else {
                panic!("no line begins with `{beginning}` in {:?}", self.lines);
            };
            self.lines.push(line.clone());
            if let Some(rest) = line.text.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        self.stopper.stop(reason);
    }

    pub(crate) async fn ended(mut self) -> Ended {
        let everything = async {
            while let Some(line) = self.receiver.recv().await {
                self.lines.push(line);
            }
            self.running.await.unwrap()
        };
        let outcome = timeout(PATIENCE, everything).await.expect("it hangs");
        Ended {
            outcome,
            lines: self.lines,
        }
    }
}

impl Ended {
    pub(crate) fn outputs(&self) -> &Map<String, Value> {
        match &self.outcome {
            Outcome::Success { outputs } => outputs,
            other => panic!("not a success: {other:?}; {}", self.text()),
        }
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            other => panic!("not a failure: {other:?}; {}", self.text()),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lines
            .iter()
            .map(|line| line.text.clone() + "\n")
            .collect()
    }
}

/// An attempt of `empty`, without anything around it.
pub(crate) async fn run_quietly(attempt: Attempt) -> Outcome {
    let (sender, _receiver) = channel(1);
    let log = Log::new(sender, LogLimits::default());
    dagctl_runner::run(attempt, log, Stop::never()).await
}

pub(crate) fn shell(command: ShellCommand) -> Shell {
    Shell {
        command,
        env: Vec::new(),
        cwd: None,
        skip_on_exit_code: Vec::new(),
        outputs: Vec::new(),
    }
}

pub(crate) fn script(text: &str) -> Operator {
    script_for("sh", text)
}

pub(crate) fn script_for(interpreter: &str, text: &str) -> Operator {
    let interpreter = interpreter.to_owned();
    let text = text.to_owned();
    Operator::Shell(shell(ShellCommand::Script { interpreter, text }))
}

pub(crate) fn argv<const N: usize>(words: [&str; N]) -> Operator {
    let words = words.map(str::to_owned).to_vec();
    Operator::Shell(shell(ShellCommand::Argv(words)))
}

/// Whether a process runs: it is there and not just a name for its parent to collect.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|text| {
        let state = text
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().next());
        !matches!(state, Some("Z" | "X"))
    })
}
