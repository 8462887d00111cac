//! The one private server that all test processes of a user share.
//!
//! `cargo xtask test` starts it and passes its address on. A plain `cargo test` starts it or adopts the
//! one that another test process has started; the server stops a minute after its last user is gone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use dagctl_postgres::{Durability, Options, PrivatePostgres, ServerUser, find_programs};
use sqlx::{Connection, PgConnection};

/// Names the database `postgres` of a server that the caller has started for all tests.
const SERVER_VARIABLE: &str = "DAGCTL_TEST_POSTGRES";

/// Stops the server once nobody holds the lock on `users`. It needs no dagctl that lives on.
const WATCHDOG: &str = r#"
while sleep 60; do
    flock --nonblock "$2" sh -c '
        pid=$(head -n 1 "$1/cluster/postmaster.pid") && kill -INT "$pid"
        while [ -e "$1/cluster/postmaster.pid" ]; do sleep 0.2; done
    ' sh "$1" && exit 0
done
"#;

struct SharedServer {
    url: String,
    // Held for as long as this process lives: it keeps the watchdog off.
    _user: Option<File>,
}

/// The URL of the server's database `postgres`.
pub(crate) fn url() -> anyhow::Result<&'static str> {
    static SERVER: OnceLock<Result<SharedServer, String>> = OnceLock::new();
    match SERVER.get_or_init(|| connect().map_err(|err| format!("{err:#}"))) {
        Ok(server) => Ok(&server.url),
        Err(err) => anyhow::bail!("no PostgreSQL for tests: {err}"),
    }
}

fn connect() -> anyhow::Result<SharedServer> {
    #[expect(
        clippy::disallowed_methods,
        reason = "xtask hands its server to test processes this way, and tests have no configuration"
    )]
    if let Ok(url) = std::env::var(SERVER_VARIABLE) {
        return Ok(SharedServer { url, _user: None });
    }
    let programs = find_programs(&[])?;
    let folder = folder(programs.major())?;
    let users = folder.join("users");
    let user = open(&users)?;
    user.lock_shared()?;
    let starting = open(&folder.join("starting"))?;
    starting.lock()?;
    let data_dir = folder.join("server");
    let server = PrivatePostgres::start(Options {
        durability: Durability::TestsOnly,
        max_connections: 400,
        ..Options::new(data_dir.clone(), programs)
    })?;
    if !server.was_adopted() {
        watch(&data_dir, &users)?;
        drop_leftovers(&server)?;
    }
    let url = server.connection_url("postgres");
    server.leave_running();
    Ok(SharedServer {
        url,
        _user: Some(user),
    })
}

/// A folder that is ours alone and that the server's user can enter, which `target/` need not be.
fn folder(major: u32) -> anyhow::Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("dagctl-test-{uid}-{major}"));
    let mode = match ServerUser::choose()?.uid() == uid {
        true => 0o700,
        false => 0o711,
    };
    match DirBuilder::new().mode(mode).create(&folder) {
        Ok(()) => (),
        Err(err) if err.kind() == std::io::ErrorKind::AlreadyExists => {
            let owner = std::fs::symlink_metadata(&folder)?.uid();
            ensure!(
                owner == uid,
                "`{}` belongs to somebody else: remove it",
                folder.display()
            );
        }
        Err(err) => return Err(err).with_context(|| format!("no folder `{}`", folder.display())),
    }
    Ok(folder)
}

fn open(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("could not open `{}`", path.display()))
}

/// Test processes that were killed left their databases, and nobody else runs while the server starts.
fn drop_leftovers(server: &PrivatePostgres) -> anyhow::Result<()> {
    let url = server.connection_url("postgres");
    let leftovers: Vec<String> = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut session = PgConnection::connect(&url).await?;
            let names = sqlx::query_scalar(
                "select datname::text from pg_database where datname like 'test\\_%'",
            )
            .fetch_all(&mut session)
            .await?;
            session.close().await?;
            anyhow::Ok(names)
        })?;
    for database in leftovers {
        server.drop_database_if_there(&database)?;
    }
    Ok(())
}

fn watch(data_dir: &Path, users: &Path) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing of ours lives long enough to stop the server"
    )]
    let mut command = Command::new("sh");
    command
        .args(["-c", WATCHDOG, "sh"])
        .args([data_dir, users])
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("could not start the watchdog of the test server")?;
    Ok(())
}
