//! The floor of a task's life: finish a batch, count its children down, queue those that are ready, claim the next
//! batch – one statement and one commit, on the smallest tables that hold it.

use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

/// As many connections as dagctl's lanes.
const CONNECTIONS: i32 = 2;
/// The sizes of batches of which the better counts.
const BATCHES: [i64; 2] = [100, 500];

/// Its tables, made and filled anew for each measurement.
pub(crate) struct Cycle {
    db: PgPool,
    runs: i32,
    time: Duration,
}

/// Tasks that a connection has claimed.
type Held = (Vec<i64>, Vec<i32>, Vec<i16>);

impl Cycle {
    /// Makes the floor's tables.
    pub(crate) async fn prepare(db: &PgPool, is_quick: bool) -> anyhow::Result<Self> {
        sqlx::raw_sql(include_str!("cycle/tables.sql"))
            .execute(db)
            .await
            .context("could not make the tables of the cycle floor")?;
        let (runs, millis) = if is_quick { (200, 200) } else { (2_000, 1_500) };
        Ok(Self {
            db: db.clone(),
            runs,
            time: Duration::from_millis(millis),
        })
    }

    /// Tasks a second, with the better size of batch.
    pub(crate) async fn measure(&self) -> anyhow::Result<f64> {
        let mut best = 0.0_f64;
        for batch in BATCHES {
            best = best.max(self.measure_with(batch).await?);
        }
        Ok(best)
    }

    async fn measure_with(&self, batch: i64) -> anyhow::Result<f64> {
        sqlx::query("select cycle.fill($1)")
            .bind(self.runs)
            .execute(&self.db)
            .await?;
        for statement in [
            "vacuum analyze cycle.run, cycle.ti, cycle.ready",
            "checkpoint",
        ] {
            sqlx::raw_sql(statement).execute(&self.db).await?;
        }
        let mut connections = vec![];
        for worker in 0..CONNECTIONS {
            connections.push((worker, self.db.acquire().await?));
        }
        let begun = Instant::now();
        let deadline = begun + self.time;
        let working: Vec<_> = connections
            .into_iter()
            .map(|(worker, connection)| tokio::spawn(work(connection, worker, batch, deadline)))
            .collect();
        let mut tasks = 0;
        for it in working {
            tasks += it.await??;
        }
        Ok(tasks as f64 / begun.elapsed().as_secs_f64())
    }
}

/// Works until the deadline, or until nothing is left; the answer is the number of tasks finished.
async fn work(
    mut db: PoolConnection<Postgres>,
    worker: i32,
    batch: i64,
    deadline: Instant,
) -> anyhow::Result<usize> {
    sqlx::raw_sql("set plan_cache_mode = force_generic_plan")
        .execute(&mut *db)
        .await?;
    let mut held: Held = sqlx::query_as(include_str!("cycle/claim.sql"))
        .bind(worker)
        .bind(batch)
        .fetch_one(&mut *db)
        .await?;
    let mut finished = 0;
    while Instant::now() < deadline && !held.0.is_empty() {
        finished += held.0.len();
        held = sqlx::query_as(include_str!("cycle/finish_and_claim.sql"))
            .bind(worker)
            .bind(batch)
            .bind(&held.0)
            .bind(&held.1)
            .bind(&held.2)
            .fetch_one(&mut *db)
            .await?;
    }
    Ok(finished)
}
