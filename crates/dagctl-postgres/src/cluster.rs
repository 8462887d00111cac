//! A server's own folder, and what PostgreSQL's programs do to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::command::{CommandError, command, run};
use crate::folder::prepare_inner;
use crate::programs::{Programs, find_all_programs};
use crate::server::{ROLE, StartError};
use crate::server_user::ServerUser;
use crate::settings::Durability;

/// How long a server may take to start, replaying its log after a crash included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a fast shutdown may take before it becomes an immediate one, which loses nothing either.
const STOP_SECONDS: &str = "30";
/// A log that has grown beyond this is set aside at the next start.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// A server's own folder, and what it takes to run programs on it.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) programs: Programs,
    pub(crate) user: ServerUser,
}

impl Cluster {
    /// The major version that made the folder, if it is made.
    pub(crate) fn made_by(&self) -> Result<Option<u32>, StartError> {
        let path = self.folder.join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StartError::Io { path, source }),
        }
    }

    /// Makes the folder under another name first, so that one that is there is complete.
    pub(crate) fn init(&self, durability: Durability) -> Result<(), StartError> {
        let started = Instant::now();
        let new = self.folder.with_extension("new");
        let io = |source| StartError::Io {
            path: new.clone(),
            source,
        };
        if new.exists() {
            std::fs::remove_dir_all(&new).map_err(io)?;
        }
        prepare_inner(&new, &self.user)?;
        // Not every system has C.UTF-8; both sort by bytes and hold UTF-8.
        self.initdb(&new, "C.UTF-8").or_else(|first| {
            debug!("No cluster with locale C.UTF-8, trying C: {first}");
            self.initdb(&new, "C")
        })?;
        match durability {
            // One sync of all files costs less than initdb's own, file by file as it goes.
            Durability::Full => {
                let mut sync = self.command("initdb");
                run(sync.arg("--sync-only").arg("--pgdata").arg(&new)).map_err(|source| {
                    StartError::Init {
                        folder: new.clone(),
                        source,
                    }
                })?;
            }
            Durability::TestsOnly => (),
        }
        std::fs::rename(&new, &self.folder).map_err(io)?;
        info!(
            duration_ms = started.elapsed().as_millis(),
            "Made a new PostgreSQL {} cluster in `{}`",
            self.programs.major(),
            self.folder.display()
        );
        Ok(())
    }

    fn initdb(&self, folder: &Path, locale: &str) -> Result<(), StartError> {
        run(self
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8"])
            .arg(format!("--username={ROLE}"))
            .arg(format!("--locale={locale}"))
            .arg("--pgdata")
            .arg(folder))
        .map(|_| ())
        .map_err(|source| StartError::Init {
            folder: folder.to_owned(),
            source,
        })
    }

    /// Changes to the version that made the folder, which must be installed too.
    pub(crate) fn use_version(&mut self, made_by: u32) -> Result<(), StartError> {
        if self.programs.major() == made_by {
            return Ok(());
        }
        match find_all_programs(&[])
            .into_iter()
            .find(|it| it.major() == made_by)
        {
            Some(programs) => self.programs = programs,
            None => {
                return Err(StartError::OtherVersion {
                    folder: self.folder.clone(),
                    made_by,
                    installed: self.programs.major(),
                });
            }
        }
        Ok(())
    }

    /// Whether a server runs on the folder and answers on `socket_dir`. One that runs but cannot be
    /// used is stopped.
    pub(crate) fn still_runs(&self, socket_dir: &Path) -> bool {
        if self.running_pid().is_none() {
            return false;
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if self.answers(socket_dir) {
                return true;
            }
            if self.running_pid().is_none() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        warn!(
            "A PostgreSQL server runs on `{}` but does not answer: stopping it",
            self.folder.display()
        );
        if let Err(err) = self.stop() {
            warn!("It did not stop: {err}");
        }
        false
    }

    fn answers(&self, socket_dir: &Path) -> bool {
        let mut ask = command(self.programs.path("psql"), None);
        ask.args(["--no-psqlrc", "--no-align", "--tuples-only"])
            .args(["--username", ROLE, "--dbname", "postgres", "--host"])
            .arg(socket_dir)
            .args(["--command", "show data_directory"]);
        // Another server may answer on a fallback path: only the one that works on our folder counts.
        run(&mut ask).is_ok_and(|said| Path::new(said.trim_end_matches('\n')) == self.folder)
    }

    /// The server's process, if it lives.
    ///
    /// `postmaster.pid` outlives a machine that lost its power, and its number may be anybody's by then.
    /// So the process must also have been started on our folder: we are about to trust or stop it.
    pub(crate) fn running_pid(&self) -> Option<u32> {
        let pid = self.recorded_pid()?;
        command_line(pid)?
            .contains(&*self.folder.to_string_lossy())
            .then_some(pid)
    }

    fn recorded_pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// The socket's own lock names the same process, which may be dead and not yet taken notice of by its parent.
    fn socket_lock(&self) -> Option<PathBuf> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        let mut lines = text.lines().skip(3);
        let (port, folder) = (lines.next()?, lines.next()?);
        let lock = Path::new(folder).join(format!(".s.PGSQL.{port}.lock"));
        // Its second line names the server's folder: another server's lock is left alone.
        let owner = std::fs::read_to_string(&lock).ok()?;
        (owner.lines().nth(1)? == self.folder.to_string_lossy()).then_some(lock)
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("postmaster.pid")
    }

    pub(crate) fn start(&self, options: &str) -> Result<(), StartError> {
        let log = self.folder.join("server.log");
        if std::fs::metadata(&log).is_ok_and(|it| it.len() > LOG_LIMIT) {
            let _ = std::fs::rename(&log, log.with_extension("log.old"));
        }
        // The server refuses to start when the file names any living process, even one that is no server.
        // We hold the folder's lock, so nobody else is about to start one.
        if self.running_pid().is_none() {
            if let Some(lock) = self.socket_lock() {
                let _ = std::fs::remove_file(lock);
            }
            let _ = std::fs::remove_file(self.pid_file());
        }
        let begun = Instant::now();
        loop {
            let said = run(self
                .command("pg_ctl")
                .args(["start", "--wait", "--silent"])
                .arg(format!("--timeout={}", START_TIMEOUT.as_secs()))
                .arg("--pgdata")
                .arg(&self.folder)
                .arg("--log")
                .arg(&log)
                .args(["--options", options]));
            let Err(source) = said else { return Ok(()) };
            let tail = tail(&log);
            // The children of a postmaster that was killed need a moment to notice.
            let children_linger = tail.contains("pre-existing shared memory block");
            if children_linger && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            return Err(StartError::Start {
                folder: self.folder.clone(),
                log: tail,
                source,
            });
        }
    }

    /// Shuts down, whether the server is our child or was adopted.
    pub(crate) fn stop(&self) -> Result<(), CommandError> {
        self.stop_by("fast").or_else(|err| {
            if self.running_pid().is_none() {
                return Ok(());
            }
            warn!("Fast shutdown failed, trying an immediate one: {err}");
            self.stop_by("immediate")
        })
    }

    fn stop_by(&self, mode: &str) -> Result<(), CommandError> {
        run(self
            .command("pg_ctl")
            .args([
                "stop",
                "--wait",
                "--silent",
                "--timeout",
                STOP_SECONDS,
                "--mode",
                mode,
            ])
            .arg("--pgdata")
            .arg(&self.folder))
        .map(|_| ())
    }

    fn command(&self, program: &str) -> std::process::Command {
        command(self.programs.path(program), Some(&self.user))
    }
}

/// The words that started a process, if it lives.
fn command_line(pid: u32) -> Option<String> {
    if let Ok(words) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&words).into_owned());
    }
    let pid = pid.to_string();
    run(command("ps", None).args(["-ww", "-o", "args=", "-p", &pid])).ok()
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
