//! The private Postgres of a standalone: started with its databases, and again whenever it was killed.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use dagctl_core::connection::Connection;
use dagctl_postgres::{Options, PrivatePostgres};
use tokio_util::sync::CancellationToken;

use crate::printer::Printer;
use crate::stop::Stop;

/// dagctl's own database in the private Postgres.
pub(crate) const DATABASE: &str = "dagctl";
/// The database that `dags/demo_warehouse.yaml` fills; no other may have this name there.
const DEMO_DATABASE: &str = "demo_warehouse";
/// What the example DAGs call their warehouse.
pub(crate) const DEMO_CONNECTION: &str = "redshift_dev_db";
/// How often the server's process is looked at, and started again if it is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Starts the private Postgres of a data folder, on programs that are installed first if `install` says so.
pub(crate) async fn start(
    install: bool,
    data_dir: &Path,
    printer: Printer,
) -> Result<PrivatePostgres, Stop> {
    let programs = if install {
        blocking(move || {
            dagctl_postgres::install(&mut |command| printer.say(format_args!("Running: {command}")))
        })
        .await?
        .map_err(chain)?
    } else {
        blocking(|| dagctl_postgres::find_programs(&[]))
            .await?
            .map_err(chain)?
    };
    if !data_dir.join("cluster").exists() {
        printer.say("First start: making a private Postgres …");
    }
    let options = Options {
        databases: vec![DATABASE.to_owned(), DEMO_DATABASE.to_owned()],
        ..Options::new(data_dir.to_owned(), programs)
    };
    blocking(move || PrivatePostgres::start(options).map_err(chain)).await?
}

/// Only the private Postgres has a demo warehouse: no example may ever write to somebody's real one.
pub(crate) fn demo_warehouse(server: &PrivatePostgres) -> Connection {
    Connection {
        conn_id: DEMO_CONNECTION.to_owned(),
        conn_type: "postgres".to_owned(),
        host: Some(server.socket_dir().to_string_lossy().into_owned()),
        schema: Some(DEMO_DATABASE.to_owned()),
        login: Some("dagctl".to_owned()),
        ..Connection::default()
    }
}

/// Starts Postgres again whenever it was killed, until told to stop.
pub(crate) async fn keep_alive(
    server: PrivatePostgres,
    stop: CancellationToken,
) -> PrivatePostgres {
    let demo = |server: PrivatePostgres| {
        // A new server has it; this is for somebody who dropped it.
        if let Err(err) = server.create_database_if_missing(DEMO_DATABASE) {
            tracing::warn!("No database `{DEMO_DATABASE}`: {err}");
        }
        (server, ())
    };
    let (mut server, ()) = with_server(server, demo).await;
    while tokio::time::timeout(LOOK_AGAIN, stop.cancelled())
        .await
        .is_err()
    {
        if server.lives() {
            continue;
        }
        let revive = |mut server: PrivatePostgres| {
            let revived = server.revive();
            (server, revived)
        };
        let revived;
        (server, revived) = with_server(server, revive).await;
        match revived {
            Ok(true) => tracing::warn!("The private Postgres was gone, and was started again"),
            Ok(false) => (),
            Err(err) => tracing::error!(
                "The private Postgres is gone and does not start, next try in a second: {:#}",
                anyhow::Error::from(err)
            ),
        }
    }
    server
}

async fn with_server<T: Send + 'static>(
    server: PrivatePostgres,
    work: impl FnOnce(PrivatePostgres) -> (PrivatePostgres, T) + Send + 'static,
) -> (PrivatePostgres, T) {
    match tokio::task::spawn_blocking(move || work(server)).await {
        Ok(done) => done,
        Err(err) => std::panic::resume_unwind(err.into_panic()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a part of the start ended early")
}

fn chain(err: impl std::error::Error + Send + Sync + 'static) -> Stop {
    Stop::from(anyhow::Error::from(err))
}
