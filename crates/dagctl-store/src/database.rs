//! The pool of connections to our database, and its migrations.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgPool, Postgres, Transaction};

use crate::accounts::TokenCache;

/// The schema this build works with.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A connection that was given back less than this ago is not asked whether it lives: no server starts again as fast.
const TRUSTED: Duration = Duration::from_millis(50);

/// Connections for making and starting runs: requests for runs share one transaction at a time, and a run that ends may start
/// another meanwhile.
const FOR_RUNS: u32 = 2;

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, or could not be reached.
    #[error("the database could not do it")]
    Database(#[from] sqlx::Error),
    /// The database was migrated by a newer dagctl.
    #[error(
        "this database is at schema version {found}, newer than the {known} this dagctl knows; \
         start the newer dagctl, or restore a backup from before the upgrade"
    )]
    TooNew {
        /// The version found in the database.
        found: i64,
        /// The newest version this build knows.
        known: i64,
    },
    /// The database lacks migrations that this build needs.
    #[error(
        "this database is at schema version {found}, this dagctl needs {known}; run `dagctl db migrate`"
    )]
    TooOld {
        /// The version found in the database; 0 for an empty one.
        found: i64,
        /// The version this build needs.
        known: i64,
    },
    /// A migration failed.
    #[error("a migration failed")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row that this build cannot read: written by a newer one, or by hand.
    #[error("table `{table}` holds a row that this dagctl cannot read: {what}")]
    Unreadable {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl StoreError {
    /// Whether the same statement may well succeed later: the database was away, busy, or had to choose a loser.
    pub fn is_transient(&self) -> bool {
        let Self::Database(error) = self else {
            return false;
        };
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // Connection trouble, serialization and deadlock, resources, locks, operator intervention, system errors.
            sqlx::Error::Database(it) => it.code().is_some_and(|code| {
                ["08", "40", "53", "55", "57", "58"]
                    .iter()
                    .any(|it| code.starts_with(it))
            }),
            _ => false,
        }
    }
}

/// How the store connects.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// A `postgres://` URL.
    pub url: String,
    /// Connections at most.
    pub max_connections: u32,
    /// What `pg_stat_activity` calls us.
    pub application_name: String,
}

/// dagctl's own database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// For what makes and starts runs. The pool lends the connection that has rested longest, and each would have to be
    /// told these large statements first: 5 ms, again and again until all know them.
    runs: PgPool,
    tokens: Arc<TokenCache>,
}

impl Store {
    /// Connects lazily: a database that is down is met by the first statement.
    pub fn connect(options: &StoreOptions) -> Result<Self, StoreError> {
        let connect: PgConnectOptions = options.url.parse::<PgConnectOptions>()?;
        let connect = connect
            .application_name(&options.application_name)
            .options([
                ("client_min_messages", "error"),
                ("idle_in_transaction_session_timeout", "60s"),
                ("lock_timeout", "20s"),
                ("statement_timeout", "60s"),
            ])
            .log_slow_statements(tracing::log::LevelFilter::Off, Duration::from_secs(1));
        let pool = |most| {
            PgPoolOptions::new()
                .max_connections(most)
                .acquire_timeout(Duration::from_secs(5))
                // One that was just in use is alive, or what it is wanted for fails as it would have a moment later.
                .test_before_acquire(false)
                .before_acquire(|connection, it| {
                    Box::pin(
                        async move { Ok(it.idle_for < TRUSTED || connection.ping().await.is_ok()) },
                    )
                })
                .connect_lazy_with(connect.clone())
        };
        Ok(Self {
            pool: pool(options.max_connections),
            runs: pool(FOR_RUNS),
            tokens: Arc::default(),
        })
    }

    /// Wraps a pool that somebody else made.
    pub fn from_pool(pool: PgPool) -> Self {
        Self {
            runs: pool.clone(),
            pool,
            tokens: Arc::default(),
        }
    }

    /// The pool, for statements of this crate and for tests.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn token_cache(&self) -> &TokenCache {
        &self.tokens
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
        self.runs.close().await;
    }

    /// Begins a transaction, in a task that nobody cancels.
    ///
    /// sqlx 0.9 loses sight of a transaction when the future that begins it is dropped half-way, and gives the
    /// connection back to the pool: whoever borrows it next would work inside that transaction. One that has begun is
    /// rolled back wherever it is dropped.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        begin_with(&self.pool, "begin").await
    }

    /// The same for what makes and starts runs. Its arrays have any length: a plan made for their values is never better,
    /// and making it costs as much as carrying it out.
    pub(crate) async fn begin_for_runs(
        &self,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let statement = "begin; set local plan_cache_mode = force_generic_plan";
        begin_with(&self.runs, statement).await
    }

    /// Brings the schema up to this build's; safe to repeat and to run from several processes at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let found = self.schema_version().await?;
        let known = known_version();
        if found > known {
            return Err(StoreError::TooNew { found, known });
        }
        if found == known {
            return Ok(());
        }
        MIGRATIONS
            .run(&self.pool)
            .await
            .map_err(StoreError::Migrate)
    }

    /// Refuses a database whose schema is not this build's.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let found = self.schema_version().await?;
        let known = known_version();
        match found.cmp(&known) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(StoreError::TooNew { found, known }),
            std::cmp::Ordering::Less => Err(StoreError::TooOld { found, known }),
        }
    }

    /// The newest migration applied; 0 for an empty database.
    // Unchecked statements: the migrator's own table does not exist when queries are prepared.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        let exists: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
            .fetch_one(&self.pool)
            .await?;
        if !exists {
            return Ok(0);
        }
        let version: Option<i64> =
            sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
                .fetch_one(&self.pool)
                .await?;
        Ok(version.unwrap_or(0))
    }

    /// Makes the partitions of the coming weeks.
    pub async fn ensure_partitions(&self) -> Result<(), StoreError> {
        sqlx::query!("select ensure_partitions(now(), now() + interval '28 days')")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Tells everybody but `teller` itself that there is news. A hint: losing it costs a poll's delay, so errors are
    /// not reported.
    pub async fn hint(&self, topic: Topic, teller: Teller) {
        let payload = format!("{} {teller}", topic.name());
        let sent = sqlx::query!("select pg_notify('dagctl', $1)", payload)
            .execute(&self.pool)
            .await;
        if let Err(error) = sent {
            tracing::debug!("Hint `{}` was not sent: {error}", topic.name());
        }
    }

    /// Listens for [`Store::hint`]s of everybody but `listening` itself.
    pub async fn listen(&self, listening: Teller) -> Result<Hints, StoreError> {
        let mut listener = sqlx::postgres::PgListener::connect_with(&self.pool).await?;
        listener.listen("dagctl").await?;
        Ok(Hints {
            listener,
            listening,
        })
    }
}

async fn begin_with(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, StoreError> {
    let pool = pool.clone();
    match tokio::spawn(async move { pool.begin_with(statement).await }).await {
        Ok(begun) => Ok(begun?),
        Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
    }
}

/// Who tells hints, and does not want to hear its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Teller(u64);

impl Teller {
    /// One that nobody else is.
    pub fn new() -> Self {
        Self(rand::random())
    }
}

impl Default for Teller {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a hint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// There are queued tasks.
    Ready,
    /// Somebody asked for a run to stop.
    Cancel,
    /// There is a message to send.
    Notice,
    /// A DAG or a run changed in a way that the scheduler should look at.
    Schedule,
    /// A retry was put off.
    Timer,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 5] = [
        Self::Ready,
        Self::Cancel,
        Self::Notice,
        Self::Schedule,
        Self::Timer,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Cancel => "cancel",
            Self::Notice => "notice",
            Self::Schedule => "schedule",
            Self::Timer => "timer",
        }
    }
}

/// What a listener heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A hint.
    News(Topic),
    /// A hint of our own, or one that only a newer dagctl knows.
    Nothing,
    /// The connection was lost and made again: any hint may have been missed.
    Silence,
}

/// Hints of other processes, as they come.
#[derive(Debug)]
pub struct Hints {
    listener: sqlx::postgres::PgListener,
    listening: Teller,
}

impl Hints {
    /// Waits for the next hint; a lost connection is made again.
    pub async fn next(&mut self) -> Result<Heard, StoreError> {
        let Some(notification) = self.listener.try_recv().await? else {
            return Ok(Heard::Silence);
        };
        let payload = notification.payload();
        let (name, teller) = payload.split_once(' ').unwrap_or((payload, ""));
        let topic = Topic::ALL
            .into_iter()
            .find(|it| it.name() == name && teller != self.listening.to_string());
        Ok(topic.map_or(Heard::Nothing, Heard::News))
    }
}

fn known_version() -> i64 {
    MIGRATIONS.iter().map(|it| it.version).max().unwrap_or(0)
}
