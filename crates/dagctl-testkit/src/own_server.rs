//! A server of a test's own, for tests that kill it, fill it or fence it off.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use dagctl_postgres::{Durability, Options, PrivatePostgres, find_programs};
use tempfile::TempDir;

/// A private server in a folder of its own, which stops and goes when this is dropped.
#[derive(Debug)]
pub struct OwnServer {
    // Declared first: the server stops before its folder goes.
    server: Option<PrivatePostgres>,
    folder: TempDir,
    durability: Durability,
}

impl OwnServer {
    /// A new server that keeps what was committed as `durability` says.
    pub async fn start(durability: Durability) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dagctl-own-")
            // Root's server runs as another user, who has to get in.
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .unwrap_or_else(|err| panic!("no folder for a server: {err}"));
        let mut it = Self {
            server: None,
            folder,
            durability,
        };
        it.start_again().await;
        it
    }

    /// Starts the server again after it was killed or stopped.
    pub async fn start_again(&mut self) {
        if let Some(server) = self.server.take() {
            // Only its lock is still ours: whether a server runs is found out by the start.
            server.leave_running();
        }
        let programs = find_programs(&[]).unwrap_or_else(|err| panic!("{err}"));
        let options = Options {
            durability: self.durability,
            ..Options::new(self.folder.path().join("server"), programs)
        };
        let started = tokio::task::spawn_blocking(|| PrivatePostgres::start(options)).await;
        let server = started
            .unwrap_or_else(|err| panic!("{err}"))
            .unwrap_or_else(|err| panic!("{err}"));
        self.server = Some(server);
    }

    /// Ends the server and all its sessions as a power cut does, with `kill -9`.
    pub async fn kill(&self) {
        let server = self.pid();
        let mut processes = children(server);
        processes.insert(0, server);
        for pid in &processes {
            signal_kill(*pid);
        }
        // A session that was about to begin is the server's child only from then on.
        while processes.iter().any(|it| is_alive(*it)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The server's process, for a test that kills it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Makes a database and says where it is.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        self.running()
            .create_database_if_missing(name)
            .unwrap_or_else(|err| panic!("no database `{name}`: {err}"));
        self.running().connection_url(name)
    }

    fn running(&self) -> &PrivatePostgres {
        self.server
            .as_ref()
            .expect("a server is only absent while it starts again")
    }
}

fn signal_kill(pid: u32) {
    let pid = i32::try_from(pid).ok();
    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself just now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

/// The state and the parent of a process, if it is there.
fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// One that only waits for its parent to take notice does not live.
fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z")
}

fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .filter(|it| state_and_parent(*it).is_some_and(|(_, it)| it == parent))
        .collect()
}
