//! What a stretch of work cost in Postgres: transactions and bytes of its log, however noisy the machine is.

use sqlx::PgPool;

/// Where the server's counters stood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    commits: i64,
    wal_bytes: i64,
}

/// What was spent between two looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// Transactions of the database.
    pub(crate) commits: f64,
    /// Bytes of write-ahead log of the whole cluster.
    pub(crate) wal_bytes: f64,
}

impl Counters {
    /// Reads them for the database of the pool.
    pub(crate) async fn read(db: &PgPool) -> anyhow::Result<Self> {
        let (commits, wal_bytes) = sqlx::query_as(
            "select xact_commit, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint
             from pg_stat_database where datname = current_database()",
        )
        .fetch_one(db)
        .await?;
        Ok(Self { commits, wal_bytes })
    }

    /// What was spent since. Sessions report their commits about once a second, so this waits for them.
    pub(crate) async fn since(self, db: &PgPool) -> anyhow::Result<Spent> {
        let wal = Self::read(db).await?.wal_bytes;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let commits = Self::read(db).await?.commits;
        let spent = |now: i64, then: i64| (now - then) as f64;
        Ok(Spent {
            commits: spent(commits, self.commits),
            wal_bytes: spent(wal, self.wal_bytes),
        })
    }
}
