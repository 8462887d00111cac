//! The floor of making runs: one insert from the template of a DAG, on the server's side, committed.

use std::time::Instant;

use anyhow::Context;
use sqlx::{Connection, PgConnection};

use super::alone;
use crate::report::median;

/// Milliseconds for the task rows of one run of so many tasks: the median of some.
pub(crate) async fn one_run(floor_url: &str, tasks: usize, times: usize) -> anyhow::Result<f64> {
    let url = floor_url.to_owned();
    alone(move || async move {
        let mut db = prepare(&url, tasks).await?;
        let mut millis = vec![];
        for _ in 0..times {
            let begun = Instant::now();
            sqlx::query(
                "insert into make.ti (run_id, idx, pending)
                 select nextval, idx, pending from nextval('make.s'), make.template",
            )
            .execute(&mut db)
            .await?;
            millis.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        db.close().await?;
        median(millis).context("no run was made")
    })
    .await
}

/// Tasks a second for so many runs of so many tasks, a hundred runs a statement: their rows and their places in the queue.
pub(crate) async fn many_runs(floor_url: &str, runs: usize, tasks: usize) -> anyhow::Result<f64> {
    let url = floor_url.to_owned();
    alone(move || async move {
        let mut db = prepare(&url, tasks).await?;
        let begun = Instant::now();
        for _ in 0..runs.div_ceil(100) {
            sqlx::query(include_str!("create/hundred_runs.sql"))
                .execute(&mut db)
                .await?;
        }
        let rate = (runs.div_ceil(100) * 100 * tasks) as f64 / begun.elapsed().as_secs_f64();
        db.close().await?;
        Ok(rate)
    })
    .await
}

async fn prepare(url: &str, tasks: usize) -> anyhow::Result<PgConnection> {
    let mut db = PgConnection::connect(url).await?;
    sqlx::raw_sql(include_str!("create/tables.sql"))
        .execute(&mut db)
        .await
        .context("could not make the tables of the creation floor")?;
    sqlx::query(
        "insert into make.template select i, case when i < 10 then 0 else 1 + i % 2 end from generate_series(0, $1 - 1) i",
    )
    .bind(i32::try_from(tasks)?)
    .execute(&mut db)
    .await?;
    sqlx::query("analyze make.template")
        .execute(&mut db)
        .await?;
    Ok(db)
}
