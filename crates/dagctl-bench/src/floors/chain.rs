//! The floor of a hop in a chain: finish a task and hand its child on, one commit each.

use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};

use super::alone;

/// A claimed task of the chain.
type Held = (i64, i32, i16);

/// Milliseconds of each hop where the worker that finishes a task takes its child in the same statement.
pub(crate) async fn fused(floor_url: &str, hops: usize) -> anyhow::Result<Vec<f64>> {
    let url = floor_url.to_owned();
    alone(move || async move {
        let mut db = PgConnection::connect(&url).await?;
        prepare(&mut db, hops).await?;
        let mut held: Held = claim(&mut db, 1).await?.context("the chain has no start")?;
        let mut times = vec![];
        loop {
            let begun = Instant::now();
            let next = sqlx::query_as(include_str!("chain/finish_and_keep.sql"))
                .bind(held.0)
                .bind(held.1)
                .bind(held.2)
                .bind(1_i32)
                .fetch_optional(&mut db)
                .await?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            match next {
                Some(next) => held = next,
                None => break,
            }
        }
        db.close().await?;
        Ok(times)
    })
    .await
}

/// Milliseconds from the statement that finishes a task to the claim of its child by another worker, which is woken by
/// `NOTIFY` in that same transaction.
pub(crate) async fn listen(floor_url: &str, hops: usize) -> anyhow::Result<Vec<f64>> {
    let url = floor_url.to_owned();
    alone(move || async move {
        let mut setup = PgConnection::connect(&url).await?;
        prepare(&mut setup, hops).await?;
        setup.close().await?;
        let mut workers = [Side::new(&url).await?, Side::new(&url).await?];
        let mut held: Held = claim(&mut workers[0].db, 0)
            .await?
            .context("the chain has no start")?;
        let mut times = vec![];
        for at in 0..hops.saturating_sub(1) {
            let (first, second) = workers.split_at_mut(1);
            let (me, other) = match at % 2 {
                0 => (&mut first[0], &mut second[0]),
                _ => (&mut second[0], &mut first[0]),
            };
            let (my_id, other_id) = ((at % 2) as i32, (1 - at % 2) as i32);
            let begun = Instant::now();
            let finish = sqlx::query(include_str!("chain/finish_and_notify.sql"))
                .bind(held.0)
                .bind(held.1)
                .bind(held.2)
                .bind(my_id)
                .execute(&mut me.db);
            let next = async {
                loop {
                    other.listener.recv().await?;
                    if let Some(next) = claim(&mut other.db, other_id).await? {
                        return anyhow::Ok((begun.elapsed(), next));
                    }
                }
            };
            let (finished, next) = tokio::join!(finish, next);
            finished?;
            let (time, next) = next?;
            times.push(time.as_secs_f64() * 1e3);
            held = next;
            // The finisher hears its own call too; both start the next hop with empty ears.
            tokio::time::sleep(Duration::from_micros(300)).await;
            for it in &mut workers {
                it.drain().await;
            }
        }
        Ok(times)
    })
    .await
}

/// One of two workers that hand the chain to each other.
struct Side {
    db: PgConnection,
    listener: PgListener,
    _pool: PgPool,
}

impl Side {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen("hop").await?;
        Ok(Self {
            db: PgConnection::connect(url).await?,
            listener,
            _pool: pool,
        })
    }

    async fn drain(&mut self) {
        while tokio::time::timeout(Duration::from_micros(10), self.listener.recv())
            .await
            .is_ok()
        {}
    }
}

async fn claim(db: &mut PgConnection, worker: i32) -> anyhow::Result<Option<Held>> {
    Ok(sqlx::query_as(include_str!("chain/claim.sql"))
        .bind(worker)
        .fetch_optional(db)
        .await?)
}

async fn prepare(db: &mut PgConnection, hops: usize) -> anyhow::Result<()> {
    sqlx::raw_sql(include_str!("chain/tables.sql"))
        .execute(&mut *db)
        .await
        .context("could not make the tables of the chain floor")?;
    sqlx::query("insert into hop.ti (run_id, idx, pending) select 1, g, 1 from generate_series(0, $1 - 1) g")
        .bind(i32::try_from(hops)?)
        .execute(&mut *db)
        .await?;
    for statement in [
        "insert into hop.ready (pool, prio, run_id, idx, attempt) values (1, 0, 1, 0, 1)",
        "vacuum analyze hop.ti",
        "analyze hop.ready",
    ] {
        sqlx::query(statement).execute(&mut *db).await?;
    }
    Ok(())
}
