//! A private server from its first folder to its fast shutdown.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::command::{CommandError, command, run, run_with_input};
use crate::folder::{FolderError, prepare_inner, prepare_outer, socket_dir};
use crate::lock::{FolderLock, LockError};
use crate::programs::{Programs, find_all_programs};
use crate::server_user::{ServerUser, UserError};
use crate::settings::{Durability, settings, shell_options};

/// The only role of a private server, which owns everything in it.
const ROLE: &str = "dagctl";
/// How long a server may take to start, replaying its log after a crash included.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a fast shutdown may take before it becomes an immediate one, which loses nothing either.
const STOP_SECONDS: &str = "30";
/// A log that has grown beyond this is set aside at the next start.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// What a private server is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder for this server alone. Its parents are made too.
    pub data_dir: PathBuf,
    /// The programs to run it with. A folder made by another installed version uses that version.
    pub programs: Programs,
    /// How much it does to survive a power cut.
    pub durability: Durability,
    /// How many sessions it takes at the same time.
    pub max_connections: u16,
}

impl Options {
    /// A durable server in `data_dir`, for 200 sessions.
    #[must_use]
    pub fn new(data_dir: PathBuf, programs: Programs) -> Self {
        Self {
            data_dir,
            programs,
            durability: Durability::Full,
            max_connections: 200,
        }
    }
}

/// A running private server, which stops when this is dropped.
#[derive(Debug)]
pub struct PrivatePostgres {
    cluster: Cluster,
    socket_dir: PathBuf,
    pid: u32,
    adopted: bool,
    stop_on_drop: bool,
    start_options: String,
    // Declared last: the folder stays locked until the server has stopped.
    _lock: FolderLock,
}

/// A server's own folder, and what it takes to run programs on it.
#[derive(Debug)]
struct Cluster {
    folder: PathBuf,
    programs: Programs,
    user: ServerUser,
}

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A second dagctl on the same folder, or a folder that cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A folder that cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Nobody to run it as.
    #[error(transparent)]
    User(#[from] UserError),
    /// The folder belongs to a version that is not installed.
    #[error(
        "`{}` was made by PostgreSQL {made_by}, and only version {installed} is installed here: install \
         PostgreSQL {made_by} beside it (Debian: apt-get install postgresql-{made_by}), or move the data over \
         with pg_upgrade", .folder.display()
    )]
    OtherVersion {
        /// The server's folder.
        folder: PathBuf,
        /// The version that made it.
        made_by: u32,
        /// The version at hand.
        installed: u32,
    },
    /// `initdb` failed.
    #[error("could not make a new server in `{}`", .folder.display())]
    Init {
        /// Where.
        folder: PathBuf,
        /// What it said.
        source: CommandError,
    },
    /// The server did not come up.
    #[error("the private PostgreSQL in `{}` did not start; its log ends with:\n{log}", .folder.display())]
    Start {
        /// Where.
        folder: PathBuf,
        /// The end of its log.
        log: String,
        /// What `pg_ctl` said.
        source: CommandError,
    },
    /// A file of the folder could not be used.
    #[error("could not use `{}`", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The server did not stop.
#[derive(Debug, thiserror::Error)]
#[error("the private PostgreSQL (process {pid}) did not stop")]
pub struct StopError {
    /// The server's process.
    pub pid: u32,
    /// What `pg_ctl` said.
    pub source: CommandError,
}

impl PrivatePostgres {
    /// Starts the server of a folder, making it first if need be, or adopts the one that still runs.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let user = ServerUser::choose()?;
        prepare_outer(&options.data_dir, &user)?;
        let lock = FolderLock::take(&options.data_dir)?;
        let data_dir = options
            .data_dir
            .canonicalize()
            .map_err(|source| StartError::Io {
                path: options.data_dir.clone(),
                source,
            })?;
        let mut cluster = Cluster {
            folder: data_dir.join("cluster"),
            programs: options.programs,
            user,
        };
        match cluster.made_by()? {
            None => cluster.init(options.durability)?,
            Some(major) => cluster.use_version(major)?,
        }
        let socket_dir = socket_dir(&data_dir, &cluster.user);
        prepare_inner(&socket_dir, &cluster.user)?;
        let adopted = cluster.still_runs(&socket_dir);
        let settings = settings(&socket_dir, options.durability, options.max_connections);
        let start_options = shell_options(&settings);
        if !adopted {
            cluster.start(&start_options)?;
        }
        let pid = cluster.running_pid().unwrap_or_default();
        info!(
            postgres.pid = pid,
            "{} PostgreSQL {} in `{}`",
            if adopted { "Adopted" } else { "Started" },
            cluster.programs.major(),
            cluster.folder.display()
        );
        Ok(Self {
            cluster,
            socket_dir,
            pid,
            adopted,
            stop_on_drop: true,
            start_options,
            _lock: lock,
        })
    }

    /// Where to connect for `database`, in the form that sqlx and psql take.
    #[must_use]
    pub fn connection_url(&self, database: &str) -> String {
        format!(
            "postgres://{ROLE}@localhost/{}?host={}",
            percent_encoded(database),
            percent_encoded(&self.socket_dir.to_string_lossy())
        )
    }

    /// Makes an empty database unless it is there.
    pub fn create_database_if_missing(&self, database: &str) -> Result<(), CommandError> {
        self.psql(
            database,
            "select format('create database %I', :'name')\n\
             where not exists (select from pg_database where datname = :'name') \\gexec\n",
        )
    }

    /// Ends the sessions of a database and drops it, if it is there.
    pub fn drop_database_if_there(&self, database: &str) -> Result<(), CommandError> {
        self.psql(
            database,
            "drop database if exists :\"name\" with (force);\n",
        )
    }

    /// Runs a script of psql's in which `:'name'` stands for `name`.
    fn psql(&self, name: &str, script: &str) -> Result<(), CommandError> {
        run_with_input(
            command(self.cluster.programs.path("psql"), None)
                .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
                .args(["--set", "ON_ERROR_STOP=1", "--set"])
                .arg(format!("name={name}"))
                .args(["--username", ROLE, "--dbname", "postgres", "--host"])
                .arg(&self.socket_dir),
            script,
        )
        .map(|_| ())
    }

    /// Starts the server again if it is gone, for example killed; the answer is whether it was.
    pub fn revive(&mut self) -> Result<bool, StartError> {
        if lives(self.pid) {
            return Ok(false);
        }
        self.cluster.start(&self.start_options)?;
        self.pid = self.cluster.running_pid().unwrap_or_default();
        Ok(true)
    }

    /// The version of the server.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.cluster.programs.major()
    }

    /// The server's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the server was already running, left by a dagctl that was killed.
    #[must_use]
    pub fn was_adopted(&self) -> bool {
        self.adopted
    }

    /// The folder of the unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The programs that run this server.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.cluster.programs
    }

    /// Ends all sessions and shuts the server down cleanly.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.stop_on_drop = false;
        self.cluster.stop().map_err(|source| StopError {
            pid: self.pid,
            source,
        })
    }

    /// Lets the server run on without us. The next [`start`](Self::start) on its folder adopts it.
    pub fn leave_running(mut self) {
        self.stop_on_drop = false;
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if self.stop_on_drop
            && let Err(err) = self.cluster.stop()
        {
            warn!(
                postgres.pid = self.pid,
                "Private PostgreSQL did not stop: {err}"
            );
        }
    }
}

impl Cluster {
    /// The major version that made the folder, if it is made.
    fn made_by(&self) -> Result<Option<u32>, StartError> {
        let path = self.folder.join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StartError::Io { path, source }),
        }
    }

    /// Makes the folder under another name first, so that one that is there is complete.
    fn init(&self, durability: Durability) -> Result<(), StartError> {
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
    fn use_version(&mut self, made_by: u32) -> Result<(), StartError> {
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
    fn still_runs(&self, socket_dir: &Path) -> bool {
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
    fn running_pid(&self) -> Option<u32> {
        let pid = self.recorded_pid()?;
        command_line(pid)?
            .contains(&*self.folder.to_string_lossy())
            .then_some(pid)
    }

    fn recorded_pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("postmaster.pid")
    }

    fn start(&self, options: &str) -> Result<(), StartError> {
        let log = self.folder.join("server.log");
        if std::fs::metadata(&log).is_ok_and(|it| it.len() > LOG_LIMIT) {
            let _ = std::fs::rename(&log, log.with_extension("log.old"));
        }
        // The server refuses to start when the file names any living process, even one that is no server.
        // We hold the folder's lock, so nobody else is about to start one.
        if self.running_pid().is_none() {
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
    fn stop(&self) -> Result<(), CommandError> {
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

/// Whether a process lives; one that only waits for its parent to take notice does not.
fn lives(pid: u32) -> bool {
    let Some(process) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return false;
    };
    let is_gone = rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
    let is_zombie = std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|it| it.starts_with(" Z"))
    });
    !is_gone && !is_zombie
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Escapes all but the characters that mean themselves everywhere in a URL.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
