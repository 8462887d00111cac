//! Runs the real binary, each test in a home, a data folder and a dags folder of its own.

#![expect(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of this harness, and a test ends with a panic"
)]

pub mod services;

pub mod browser;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A machine of a test's own, as far as dagctl can tell.
pub struct Place {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    /// A place without any DAG.
    pub fn new() -> Self {
        // As root, the private Postgres runs as another user, who must be able to reach its folder.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        let folder = tempfile::Builder::new()
            .prefix("dagctl-")
            .permissions(open)
            .tempdir()
            .unwrap();
        for name in ["home", "dags"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// A place with the repository's example DAGs.
    pub fn with_examples() -> Self {
        let place = Self::new();
        copy(&examples(), &place.dags());
        place
    }

    /// Writes a file below the place.
    pub fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub fn dags(&self) -> PathBuf {
        self.path("dags")
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The binary, in the place's own folder and with next to no environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dagctl"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
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
    pub async fn json(&self, args: &[&str]) -> serde_json::Value {
        let text = self.ok(&[args, &["-o", "json"]].concat()).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Starts standalone on a free port, and waits until it says that it runs.
    pub async fn standalone(&self) -> Standalone {
        self.standalone_with(&[]).await
    }

    /// The same with some environment.
    pub async fn standalone_with(&self, environment: &[(&str, &str)]) -> Standalone {
        let mut command = self.command(&["standalone", "--web-addr", "127.0.0.1:0", "--data-dir"]);
        command
            .arg(self.data())
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = vec![];
        let welcome = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let is_last = line.contains("Next") || line.contains("none in");
                said.push(line);
                if is_last {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, welcome)
            .await
            .expect("standalone says that it runs");
        let stderr = child.stderr.take().unwrap();
        let url = said
            .iter()
            .find_map(|line| line.trim().strip_prefix("Pages"))
            .map(|it| it.trim().to_owned());
        let Some(url) = url else {
            let ended = child.wait_with_output().await.unwrap();
            let mut words = String::new();
            let mut stderr = BufReader::new(stderr);
            tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut words)
                .await
                .unwrap();
            panic!(
                "standalone did not start ({}): {said:?} {words}",
                ended.status
            );
        };
        // What nobody reads would fill the pipe and stop the writer.
        let aside = tokio::spawn(async move {
            let mut text = String::new();
            let mut stderr = BufReader::new(stderr);
            let _ = tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut text).await;
            text
        });
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Standalone {
            child,
            url,
            welcome: said.join("\n"),
            aside,
        }
    }

    /// Asks a database of the private Postgres.
    pub async fn sql(&self, database: &str, statement: &str) -> String {
        let local: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.data().join("local.json")).unwrap())
                .unwrap();
        let url = local["database_url"]
            .as_str()
            .unwrap()
            .replace("/dagctl?", &format!("/{database}?"));
        let programs = dagctl_postgres::find_programs(&[]).unwrap();
        let mut psql = Command::new(programs.bin_dir().join("psql"));
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", &url, "--command"])
            .arg(statement);
        let ended = end(psql).await;
        assert_eq!(ended.code, 0, "{statement}: {ended:?}");
        ended.stdout.trim().to_owned()
    }
}

/// A standalone that runs.
pub struct Standalone {
    child: Child,
    pub url: String,
    pub welcome: String,
    aside: tokio::task::JoinHandle<String>,
}

impl Standalone {
    pub fn pid(&self) -> i32 {
        self.child.id().unwrap().try_into().unwrap()
    }

    /// Presses Ctrl-C, and waits for the end.
    pub async fn interrupt(mut self) -> Ended {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("standalone stops")
            .unwrap();
        Ended {
            code: status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr: self.aside.await.unwrap(),
        }
    }
}

pub async fn end(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("the command ends")
        .unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits until `look` sees something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The repository's own `dags/`.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dags")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
