//! A database of a test's own, empty or cloned from a template, that goes when the test ends.

use std::collections::hash_map::DefaultHasher;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::shared_server;

/// One test's own database on the shared private server.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where it is, for processes under test.
    pub url: String,
    /// Up to ten sessions in it.
    pub pool: PgPool,
    name: String,
}

impl TestDatabase {
    /// An empty database.
    pub async fn new() -> Self {
        Self::clone_of("template0")
            .await
            .unwrap_or_else(|err| panic!("no empty database: {err:#}"))
    }

    /// A database with the tables of `migrator`, cloned from a template that the first test makes.
    pub async fn migrated(migrator: &Migrator) -> Self {
        let mut hasher = DefaultHasher::new();
        for migration in migrator.iter() {
            (migration.version, &migration.checksum).hash(&mut hasher);
        }
        let name = format!("migrated_{:016x}", hasher.finish());
        Self::from_template(&name, async |pool| Ok(migrator.run(&pool).await?)).await
    }

    /// A clone of the template `name`, which `setup` fills once for all tests that use it.
    ///
    /// The name must change when `setup` does: the template outlives this test run.
    pub async fn from_template<F, R>(name: &str, setup: F) -> Self
    where
        F: FnOnce(PgPool) -> R,
        R: Future<Output = anyhow::Result<()>>,
    {
        let made = async {
            let template = format!("template_{name}");
            make_template(&template, setup).await?;
            Self::clone_of(&template).await
        };
        made.await
            .unwrap_or_else(|err| panic!("no database from the template `{name}`: {err:#}"))
    }

    /// Another pool on the same database, for tests with two sides.
    pub async fn connect(&self) -> PgPool {
        connect(&self.url)
            .await
            .unwrap_or_else(|err| panic!("no second pool: {err:#}"))
    }

    async fn clone_of(template: &str) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "test_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let mut server = connect_to_server().await?;
        // A test process that was killed leaves its databases behind, and its number comes back one day.
        execute(
            &mut server,
            format!("drop database if exists {name} with (force)"),
        )
        .await?;
        execute(
            &mut server,
            format!("create database {name} template {template}"),
        )
        .await?;
        server.close().await?;
        let url = url_of(&name)?;
        Ok(Self {
            pool: connect(&url).await?,
            url,
            name,
        })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // The test's own runtime cannot be waited for here, so the database goes from a thread with another.
        let dropped = std::thread::spawn(move || -> anyhow::Result<()> {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(async {
                    let mut server = connect_to_server().await?;
                    execute(
                        &mut server,
                        format!("drop database if exists {name} with (force)"),
                    )
                    .await?;
                    Ok(server.close().await?)
                })
        })
        .join();
        // A panic here would hide the test's own. What stays is dropped by a later run.
        drop(dropped);
    }
}

async fn make_template<F, R>(template: &str, setup: F) -> anyhow::Result<()>
where
    F: FnOnce(PgPool) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut server = connect_to_server().await?;
    if exists(&mut server, template).await? {
        return Ok(());
    }
    // One test makes it while the others wait. The session's end releases the lock.
    sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
        .bind(template)
        .execute(&mut server)
        .await?;
    if !exists(&mut server, template).await? {
        let new = format!("new_{template}");
        execute(
            &mut server,
            format!("drop database if exists {new} with (force)"),
        )
        .await?;
        execute(
            &mut server,
            format!("create database {new} template template0"),
        )
        .await?;
        let pool = connect(&url_of(&new)?).await?;
        setup(pool.clone()).await.context("its setup failed")?;
        pool.close().await;
        execute(
            &mut server,
            format!("alter database {new} rename to {template}"),
        )
        .await?;
    }
    Ok(server.close().await?)
}

async fn exists(server: &mut PgConnection, database: &str) -> anyhow::Result<bool> {
    Ok(
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(database)
            .fetch_one(server)
            .await?,
    )
}

async fn execute(server: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    // Database names cannot be bound; all of them are made of letters, digits and `_` by this crate.
    sqlx::raw_sql(AssertSqlSafe(statement.clone()))
        .execute(server)
        .await
        .with_context(|| statement)?;
    Ok(())
}

async fn connect_to_server() -> anyhow::Result<PgConnection> {
    let url = tokio::task::spawn_blocking(shared_server::url).await??;
    Ok(PgConnection::connect(url).await?)
}

async fn connect(url: &str) -> anyhow::Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    Ok(PgPoolOptions::new()
        .max_connections(10)
        .connect_with(options)
        .await?)
}

/// The server's URL with another database in it.
fn url_of(database: &str) -> anyhow::Result<String> {
    let server = shared_server::url()?;
    let (path, query) = server.split_once('?').unwrap_or((server, ""));
    let base = path
        .strip_suffix("/postgres")
        .with_context(|| format!("`{path}` does not end with the database `postgres`"))?;
    Ok(format!("{base}/{database}?{query}"))
}
