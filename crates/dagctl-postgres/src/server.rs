//! A private server from its first folder to its fast shutdown.

use std::path::{Path, PathBuf};
use std::process::Child;

use tracing::{info, warn};

use crate::cluster::Cluster;
use crate::command::{CommandError, command, run_with_input};
use crate::folder::{FolderError, prepare_inner, prepare_outer, socket_dir};
use crate::lock::{FolderLock, LockError};
use crate::programs::Programs;
use crate::server_user::{ServerUser, UserError};
use crate::settings::{Durability, settings};

/// The only role of a private server, which owns everything in it.
pub(crate) const ROLE: &str = "dagctl";

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
    /// Databases that a new server comes with.
    pub databases: Vec<String>,
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
            databases: vec![],
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
    settings: Vec<String>,
    /// The server, unless it was adopted: whoever started a process has to take notice of its end.
    child: Option<Child>,
    // Declared last: the folder stays locked until the server has stopped.
    _lock: FolderLock,
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
        /// What became of it.
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
    /// What was tried.
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
            None => cluster.init(options.durability, &options.databases)?,
            Some(major) => cluster.use_version(major)?,
        }
        let socket_dir = socket_dir(&data_dir, &cluster.user);
        prepare_inner(&socket_dir, &cluster.user)?;
        let adopted = cluster.still_runs(&socket_dir);
        let settings = settings(&socket_dir, options.durability, options.max_connections);
        let child = match adopted {
            true => None,
            false => Some(cluster.start(&settings)?),
        };
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
            settings,
            child,
            _lock: lock,
        })
    }

    /// Where to connect for `database`, in the form that sqlx and psql take.
    #[must_use]
    pub fn connection_url(&self, database: &str) -> String {
        format!(
            "postgres://{ROLE}@localhost:5432/{}?host={}",
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
        if self.lives() {
            return Ok(false);
        }
        self.take_notice();
        self.child = Some(self.cluster.start(&self.settings)?);
        self.pid = self.cluster.running_pid().unwrap_or_default();
        Ok(true)
    }

    /// Whether the server's process lives. Asks the system alone.
    #[must_use]
    pub fn lives(&self) -> bool {
        lives(self.pid)
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
        })?;
        self.take_notice();
        Ok(())
    }

    /// Lets go of a child that has ended.
    fn take_notice(&mut self) {
        if let Some(child) = &mut self.child {
            // What it cannot tell is no matter: it has ended.
            let _ = child.try_wait();
        }
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
