//! A past, as if the scheduler had worked for two years: written by set-based SQL, since waiting for it is no option.

use sqlx::PgPool;

/// Weeks that the runs are spread over, each of them a partition of its own.
pub(crate) const WEEKS: i32 = 104;

/// Adds `runs` finished runs, numbered from `first`, of the DAGs that are active.
pub(crate) async fn fill(db: &PgPool, first: i32, runs: i32) -> anyhow::Result<()> {
    let mut connection = db.acquire().await?;
    sqlx::raw_sql(include_str!("history.sql"))
        .execute(&mut *connection)
        .await?;
    sqlx::query("select pg_temp.fill_history($1, $2, $3)")
        .bind(first)
        .bind(runs)
        .bind(WEEKS)
        .execute(&mut *connection)
        .await?;
    // What autovacuum would have done along the way.
    sqlx::raw_sql("vacuum analyze")
        .execute(&mut *connection)
        .await?;
    Ok(())
}
