//! The small analytics warehouse that examples, tests and benchmarks read: the same rows everywhere.

use sqlx::PgPool;

use crate::TestDatabase;

/// The statements that make the warehouse in an empty database.
pub const SEED: &str = include_str!("warehouse.sql");

/// A warehouse of a test's own, cloned from the one that the first test has filled.
pub async fn database() -> TestDatabase {
    TestDatabase::from_template("warehouse_1", async |pool| load(&pool).await).await
}

/// Fills an empty database.
pub async fn load(pool: &PgPool) -> anyhow::Result<()> {
    sqlx::raw_sql(SEED).execute(pool).await?;
    Ok(())
}
