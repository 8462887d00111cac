//! Scheduler, worker and web as processes of their own on one Postgres.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Ended, PATIENCE, Place, end, eventually};

const KEY: &str = "5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592";

/// How soon things are noticed where a test waits for it.
const PERIODS: [(&str, &str); 3] = [
    ("DAGCTL_LEASE", "3s"),
    ("DAGCTL_HEARTBEAT", "500ms"),
    ("DAGCTL_POLL", "200ms"),
];

/// What several processes of dagctl share: a database, a key, a folder of DAGs.
pub struct Installation {
    pub place: Place,
    environment: Vec<(String, String)>,
}

impl Installation {
    /// Nothing runs, and the database is not migrated.
    pub fn new(place: Place, database_url: &str) -> Self {
        let mut it = Self {
            place,
            environment: vec![],
        };
        it.set("DAGCTL_DATABASE_URL", database_url);
        it.set("DAGCTL_SECRET_KEY", KEY);
        let home = it.place.data().to_string_lossy().into_owned();
        it.set("DAGCTL_HOME", &home);
        for (name, value) in PERIODS {
            it.set(name, value);
        }
        it
    }

    /// Tells every process that starts from now on something.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Offers a database of the tests as a connection.
    pub fn offer(&mut self, conn_id: &str, database_url: &str) -> &mut Self {
        // Ours are `postgres://user@localhost:5432/name?host=<socket folder, encoded>`.
        let (before, socket) = database_url.split_once("?host=").unwrap();
        let uri = before.replacen(
            "@localhost:5432/",
            &format!("@{}/", socket.replace('/', "%2F")),
            1,
        );
        self.set(&format!("DAGCTL_CONN_{}", conn_id.to_uppercase()), &uri)
    }

    /// Migrates the database, starts the web service, and lets the command line in.
    pub async fn open(&mut self) -> Service {
        self.ok(&["db", "migrate"]).await;
        self.let_in("robot").await;
        let web = self.start(&["web", "--web-addr", "127.0.0.1:0"]).await;
        let url = web.url();
        self.set("DAGCTL_URL", &url);
        web
    }

    /// Makes an account, and a token that the command line uses from now on.
    pub async fn let_in(&mut self, account: &str) {
        self.ok(&["users", "create", account, "--no-password"])
            .await;
        let token = self.ok(&["tokens", "create", account]).await;
        self.set("DAGCTL_TOKEN", token.trim());
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Ended {
        end(self.command(args)).await
    }

    /// Runs a command that must succeed, and gives its data.
    pub async fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        ended.stdout
    }

    /// Runs a command that must succeed, and reads its data as JSON.
    pub async fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["-o", "json"]].concat()).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Triggers a run as soon as the scheduler has read its DAG.
    pub async fn trigger(&self, dag_id: &str, more: &[&str]) -> Run {
        let args = [&["trigger", dag_id, "-o", "json"], more].concat();
        let said = eventually(dag_id, async || {
            let ended = self.run(&args).await;
            assert!(
                ended.code == 0 || ended.stderr.contains("no DAG"),
                "{args:?}: {ended:?}"
            );
            (ended.code == 0).then_some(ended.stdout)
        })
        .await;
        let run: Value = serde_json::from_str(&said).unwrap();
        let text = |key: &str| run[key].as_str().unwrap().to_owned();
        Run {
            dag_run_id: text("dag_run_id").parse().unwrap(),
            dag_id: text("dag_id"),
            run_id: text("run_id"),
        }
    }

    /// Starts a service, and waits until it says that it runs.
    pub async fn start(&self, args: &[&str]) -> Service {
        let service = self.spawn(args);
        eventually(&format!("{args:?} runs: {}", service.said()), async || {
            service.said().contains("is running;").then_some(())
        })
        .await;
        service
    }

    /// Starts a service.
    pub fn spawn(&self, args: &[&str]) -> Service {
        let mut child = self
            .command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let ears = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Service { child, said, ears }
    }
}

/// A run that a test has triggered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub dag_run_id: i64,
    pub dag_id: String,
    pub run_id: String,
}

/// One process of dagctl.
pub struct Service {
    child: Child,
    said: Arc<Mutex<String>>,
    ears: tokio::task::JoinHandle<()>,
}

impl Service {
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap()
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Where a web service is.
    pub fn url(&self) -> String {
        let said = self.said();
        let (_, after) = said.split_once("web service on ").unwrap();
        after.split(' ').next().unwrap().to_owned()
    }

    /// Ends it with `kill -9`.
    pub async fn kill(mut self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
        self.child.wait().await.unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub async fn terminate(self) -> Ended {
        kill_process(self.pid(), Signal::TERM).unwrap();
        self.wait().await
    }

    /// Waits until it ends.
    pub async fn wait(mut self) -> Ended {
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("the service ends")
            .unwrap();
        self.ears.await.unwrap();
        let stderr = self.said.lock().unwrap().clone();
        Ended {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr,
        }
    }
}

/// Processes that were started below a place and still live, with their command lines.
pub fn processes_of(place: &Place) -> Vec<String> {
    let folder = place.path("");
    let folder = folder.to_string_lossy();
    let folder = folder.trim_end_matches('/').as_bytes();
    let names_it = |file: std::path::PathBuf| {
        let text = std::fs::read(file).unwrap_or_default();
        text.windows(folder.len()).any(|it| it == folder)
    };
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|it| it.path())
        .filter(|it| {
            it.file_name()
                .unwrap()
                .to_string_lossy()
                .parse::<u32>()
                .is_ok()
        })
        .filter(|it| names_it(it.join("environ")) || names_it(it.join("cmdline")))
        .map(|it| {
            let words = std::fs::read(it.join("cmdline")).unwrap_or_default();
            format!(
                "{}: {}",
                it.display(),
                String::from_utf8_lossy(&words).replace('\0', " ")
            )
        })
        .collect()
}

/// A pause that is no longer than `most`, from a sequence that is the same in every run of a test.
pub struct Pauses(pub u64);

impl Pauses {
    pub fn next(&mut self, most: Duration) -> Duration {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        most.mul_f64((mixed >> 11) as f64 / (1u64 << 53) as f64)
    }
}
