//! A server's own folder, and what PostgreSQL's programs do to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tracing::{debug, info, warn};

use crate::command::{CommandError, command, run, run_with_input};
use crate::folder::prepare_inner;
use crate::programs::{Programs, find_all_programs};
use crate::server::{ROLE, StartError};
use crate::server_user::ServerUser;
use crate::settings::Durability;

/// How long a server may take to start, replaying its log after a crash included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a fast shutdown may take before it becomes an immediate one, which loses nothing either.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a server that starts or stops is looked at: nobody should wait for us rather than for it.
const LOOK: Duration = Duration::from_millis(2);
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
    pub(crate) fn init(
        &self,
        durability: Durability,
        databases: &[String],
    ) -> Result<(), StartError> {
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
        if !databases.is_empty() {
            self.create_databases(&new, databases)?;
        }
        match durability {
            Durability::Full => self.sync(&new)?,
            Durability::TestsOnly => (),
        }
        std::fs::rename(&new, &self.folder).map_err(io)?;
        if durability == Durability::Full
            && let Some(parent) = self.folder.parent()
        {
            // A folder that has its old name again after a power cut would be made anew, without what was stored in it.
            File::open(parent)
                .and_then(|it| it.sync_all())
                .map_err(io)?;
        }
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
            .arg("--no-instructions")
            // Else it compares the system's zone with each zone there is; the server is told UTC anyway.
            .env("TZ", "UTC")
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

    /// Makes databases without a server, so that a folder that is complete has them.
    fn create_databases(&self, folder: &Path, databases: &[String]) -> Result<(), StartError> {
        let script: String = databases
            .iter()
            .map(|it| format!("create database \"{}\"\n", it.replace('"', "\"\"")))
            .collect();
        let mut single = self.command("postgres");
        // The whole folder is synced once, later.
        single.args(["--single", "-c", "fsync=off", "-D"]);
        run_with_input(single.arg(folder).arg("postgres"), &script)
            .map(|_| ())
            .map_err(|source| StartError::Init {
                folder: folder.to_owned(),
                source,
            })
    }

    /// Makes a new folder durable: by one call for its file system, where there is one. `initdb` waits for each of a
    /// thousand files in turn, which takes longer than all the rest.
    #[cfg(target_os = "linux")]
    fn sync(&self, folder: &Path) -> Result<(), StartError> {
        let io = |source| StartError::Io {
            path: folder.to_owned(),
            source,
        };
        let open = File::open(folder).map_err(io)?;
        rustix::fs::syncfs(open).map_err(|it| io(it.into()))
    }

    /// Makes a new folder durable.
    #[cfg(not(target_os = "linux"))]
    fn sync(&self, folder: &Path) -> Result<(), StartError> {
        let mut sync = self.command("initdb");
        run(sync.arg("--sync-only").arg("--pgdata").arg(folder))
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

    /// Starts a server and waits until it takes connections.
    pub(crate) fn start(&self, settings: &[String]) -> Result<Child, StartError> {
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
            let source = match self.try_start(settings, &log) {
                Ok(server) => return Ok(server),
                Err(source) => source,
            };
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

    /// Starts the server as our child, which outlives us: `pg_ctl` looks only ten times a second.
    fn try_start(&self, settings: &[String], log: &Path) -> Result<Child, CommandError> {
        let mut start = command("/bin/sh", Some(&self.user));
        start
            // The log is opened by the server's own user.
            .args([
                "-c",
                "umask 077; log=$1; shift; exec \"$@\" >>\"$log\" 2>&1",
                "sh",
            ])
            .arg(log)
            .arg(self.programs.path("postgres"))
            .arg("-D")
            .arg(&self.folder)
            .args(settings.iter().flat_map(|it| ["-c", it]))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let failed = |said: String| CommandError::Failed {
            program: "postgres".to_owned(),
            said,
        };
        let mut server = start.spawn().map_err(|source| CommandError::Spawn {
            program: "postgres".to_owned(),
            source,
        })?;
        let begun = Instant::now();
        loop {
            match server.try_wait() {
                Ok(None) => (),
                Ok(Some(status)) => return Err(failed(status.to_string())),
                Err(err) => return Err(failed(err.to_string())),
            }
            if self.is_ready(server.id()) {
                return Ok(server);
            }
            if begun.elapsed() > START_TIMEOUT {
                return Err(failed(format!(
                    "not ready after {} seconds",
                    START_TIMEOUT.as_secs()
                )));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Whether that server says that it takes connections.
    fn is_ready(&self, pid: u32) -> bool {
        let text = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        lines.first() == Some(&&*pid.to_string()) && lines.get(7) == Some(&"ready")
    }

    /// Shuts down, whether the server is our child or was adopted.
    pub(crate) fn stop(&self) -> Result<(), CommandError> {
        self.stop_by(Signal::INT).or_else(|err| {
            warn!("Fast shutdown failed, trying an immediate one: {err}");
            self.stop_by(Signal::QUIT)
        })
    }

    fn stop_by(&self, signal: Signal) -> Result<(), CommandError> {
        let failed = |said: String| CommandError::Failed {
            program: "postgres".to_owned(),
            said,
        };
        let Some(pid) = self.running_pid() else {
            return Ok(());
        };
        let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(());
        };
        match kill_process(process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => (),
            Err(err) => return Err(failed(format!("no signal to process {pid}: {err}"))),
        }
        let begun = Instant::now();
        while self.running_pid() == Some(pid) {
            if begun.elapsed() > STOP_TIMEOUT {
                return Err(failed(format!(
                    "process {pid} still runs after {} seconds",
                    STOP_TIMEOUT.as_secs()
                )));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
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
