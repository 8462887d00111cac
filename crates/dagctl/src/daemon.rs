//! The services of one process: which run, and the order in which they stop.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use dagctl_core::connection::Secret;
use dagctl_engine::syncer::Syncer;
use dagctl_engine::wake::pass_hints_on;
use dagctl_engine::{Engine, EngineConfig, services, worker};
use dagctl_server::{App, AppConfig};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Environment, LinksConfig, PeriodsConfig};
use crate::database;
use crate::signals;
use crate::stop::Stop;

/// How long open pages may keep a stopping web service.
const PAGES_TIMEOUT: Duration = Duration::from_secs(3);
/// A pool of its own for heartbeats needs no more.
const HEARTBEAT_CONNECTIONS: u32 = 2;

/// What a process is told about the outside.
pub(crate) struct Setup<'a> {
    /// The folder of the DAG files.
    pub(crate) dags_folder: &'a Path,
    /// Where runs keep their private folders.
    pub(crate) runs_folder: &'a Path,
    /// The key that secrets are sealed with.
    pub(crate) secret_key: [u8; 32],
    /// How soon things are noticed.
    pub(crate) periods: &'a PeriodsConfig,
    /// How messages link to the pages.
    pub(crate) links: &'a LinksConfig,
    /// What tasks may read.
    pub(crate) environment: &'a Environment,
}

impl Setup<'_> {
    /// The engine's configuration, as far as it is the same for every process.
    pub(crate) fn engine_config(&self) -> EngineConfig {
        EngineConfig {
            environment: self.environment.task_settings(),
            base_url: self
                .links
                .base_url
                .as_deref()
                .map(|it| it.trim_end_matches('/').to_owned()),
            slack_base_url: self.links.slack_base_url.clone(),
            worker_name: process_name(),
            lease: self.periods.lease,
            heartbeat: self.periods.heartbeat,
            poll: self.periods.poll,
            ..EngineConfig::new(
                self.dags_folder.to_owned(),
                self.runs_folder.to_owned(),
                self.secret_key,
            )
        }
    }
}

/// The services of this process.
pub(crate) struct Daemon {
    engine: Engine,
    work: TaskTracker,
    pages: TaskTracker,
    drain: CancellationToken,
    hurry: CancellationToken,
    close_pages: CancellationToken,
}

impl Daemon {
    /// Joins the engine to a database, and listens for signals from now on.
    pub(crate) fn new(url: &Secret, config: EngineConfig, signals: Signals) -> Result<Self, Stop> {
        let connections = u32::from(config.slots).clamp(12, 64) + 8;
        let store = database::connect(url, connections)?;
        let heartbeat_store = database::connect(url, HEARTBEAT_CONNECTIONS)?;
        Ok(Self {
            engine: Engine::new(store, heartbeat_store, config),
            work: TaskTracker::new(),
            pages: TaskTracker::new(),
            drain: signals.drain,
            hurry: signals.hurry,
            close_pages: CancellationToken::new(),
        })
    }

    /// The engine that the services share.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Reads DAG files, makes runs, buries silent workers and sends messages.
    pub(crate) fn start_scheduler(&self, syncer: Syncer) {
        self.work.spawn(services::keep_schedules(
            self.engine.clone(),
            syncer,
            self.drain.clone(),
        ));
    }

    /// Passes on what other processes tell each other.
    pub(crate) fn start_listening(&self) {
        self.work
            .spawn(pass_hints_on(self.engine.clone(), self.drain.clone()));
    }

    /// Carries out tasks.
    pub(crate) fn start_worker(&self) {
        self.work.spawn(worker::work(
            self.engine.clone(),
            self.drain.clone(),
            self.hurry.clone(),
        ));
    }

    /// Serves the pages and the REST interface.
    pub(crate) fn start_web(&self, listener: TcpListener) {
        let app = App::new(
            self.engine.clone(),
            AppConfig {
                base_url: self.engine.config().base_url.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                trusted_proxies: vec![],
            },
        );
        let served = dagctl_server::serve(listener, app, self.close_pages.clone());
        let drain = self.drain.clone();
        self.pages.spawn(async move {
            if let Err(err) = served.await {
                tracing::error!("The web service ended, and this process with it: {err}");
                drain.cancel();
            }
        });
    }

    /// Waits for the first signal.
    pub(crate) async fn until_told_to_stop(&self) {
        self.drain.cancelled().await;
    }

    /// Lets running tasks end, then closes the pages and the database.
    pub(crate) async fn finish(self) {
        self.work.close();
        self.work.wait().await;
        // Until here, people could watch their tasks end.
        self.close_pages.cancel();
        self.pages.close();
        let _ = tokio::time::timeout(PAGES_TIMEOUT, self.pages.wait()).await;
        self.engine.store().close().await;
    }
}

/// What the signals ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// The first one: stop cleanly.
    pub(crate) drain: CancellationToken,
    /// The second one: stop fast.
    pub(crate) hurry: CancellationToken,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let signals = Self::default();
        signals::watch(signals.drain.clone(), signals.hurry.clone())?;
        Ok(signals)
    }
}

/// Connections that may wait to be accepted, as far as the system's own limit allows. Of tokio's 128 the rest of a burst
/// would be dropped, and tried again by its system a second later.
const BACKLOG: u32 = 4096;

/// Takes the address of the pages, or says who has it.
pub(crate) fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Stop> {
    listen(address).map_err(|err| match err.kind() {
        std::io::ErrorKind::AddrInUse => Stop::broken(format_args!(
            "another program already listens on {address}: stop it, or choose another address, such as \
             --web-addr {}:{}",
            address.ip(),
            address.port().saturating_add(1)
        )),
        _ => Stop::broken(format_args!(
            "could not serve on {address}: {err}; choose another address with --web-addr (DAGCTL_WEB_ADDR)"
        )),
    })
}

fn listen(address: std::net::SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        std::net::SocketAddr::V4(_) => TcpSocket::new_v4()?,
        std::net::SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A daemon that starts again finds its address still known from before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The address of a listener as a client on this machine types it.
pub(crate) fn local_url(listener: &TcpListener) -> anyhow::Result<String> {
    let mut address = listener
        .local_addr()
        .context("could not read the address of the web service")?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(format!("http://{address}"))
}

fn process_name() -> String {
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| std::fs::read_to_string(file).ok())
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "localhost",
        host => host,
    };
    format!("{host}:{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted_and_none_is_dropped() {
        let listener =
            bind(([127, 0, 0, 1], 0).into()).unwrap_or_else(|_| panic!("no port is free"));
        let address = listener.local_addr().unwrap();
        // Nobody accepts them. One that is dropped would be tried again and again, and never be there.
        let patience = Duration::from_secs(20);
        let burst: Vec<_> = (0..300)
            .map(|_| TcpStream::connect_timeout(&address, patience).unwrap())
            .collect();
        assert_eq!(burst.len(), 300);
    }
}
