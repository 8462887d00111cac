//! A server of a test's own, for tests that kill it, fill it or fence it off.

use std::os::unix::fs::PermissionsExt;

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
