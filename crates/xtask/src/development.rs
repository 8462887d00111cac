//! A server for working on dagctl, which goes on until it is told to stop.

use std::fs;

use dagctl_postgres::{Options, PrivatePostgres};

use crate::migrations::make_database;
use crate::steps::{root, say};
use crate::tools;

const DATABASE: &str = "dagctl_dev";

/// Starts it with fresh tables, and points `.env` at it.
pub(crate) fn start() -> anyhow::Result<()> {
    let server = server()?;
    server.drop_database_if_there(DATABASE)?;
    let url = make_database(&server, DATABASE)?;
    let env = root().join(".env");
    fs::write(&env, format!("DATABASE_URL={url}\n"))?;
    say(&format!(
        "a new database is at {url}\n\
         `{}` names it: with SQLX_OFFLINE=false, cargo checks queries against it\n\
         psql '{url}' looks into it, `cargo xtask dev-db --stop` stops it",
        env.display()
    ));
    server.leave_running();
    Ok(())
}

/// Stops it, and forgets where it was.
pub(crate) fn stop() -> anyhow::Result<()> {
    server()?.stop()?;
    let env = root().join(".env");
    if env.exists() {
        fs::remove_file(env)?;
    }
    Ok(())
}

fn server() -> anyhow::Result<PrivatePostgres> {
    let uid = rustix::process::geteuid().as_raw();
    // Not below `target/`: root's server runs as another user, who cannot enter root's home.
    let folder = std::env::temp_dir().join(format!("dagctl-dev-{uid}"));
    Ok(PrivatePostgres::start(Options::new(
        folder,
        tools::postgres()?,
    ))?)
}
