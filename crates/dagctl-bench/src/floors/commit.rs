//! The floor of anything that must be durable: a one-row update, committed.

use std::time::Instant;

use sqlx::{Connection, PgConnection};

use super::alone;
use crate::report::percentile;

/// Milliseconds of a commit, half of them below it.
pub(crate) async fn measure(floor_url: &str, commits: usize) -> anyhow::Result<f64> {
    let url = floor_url.to_owned();
    alone(move || async move {
        let mut db = PgConnection::connect(&url).await?;
        sqlx::raw_sql(
            "drop table if exists tiny;
             create table tiny (id int primary key, n bigint not null default 0) with (fillfactor = 50);
             insert into tiny select generate_series(0, 99)",
        )
        .execute(&mut db)
        .await?;
        let mut times = vec![];
        for _ in 0..commits {
            let begun = Instant::now();
            sqlx::query("update tiny set n = n + 1 where id = 0")
                .execute(&mut db)
                .await?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        db.close().await?;
        Ok(percentile(times, 0.5).unwrap_or_default())
    })
    .await
}
