//! Pools: how many tasks of a kind may run at once.

use dagctl_core::ids::PoolName;

use crate::{Store, StoreError};

/// A pool with its holders counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its limit; `None`: nobody has set one.
    pub slots: Option<i32>,
    /// What it is for.
    pub description: Option<String>,
    /// Tasks that hold a slot.
    pub running: i64,
    /// Tasks that wait for one.
    pub queued: i64,
}

impl Store {
    /// Every pool that a DAG names or somebody set.
    pub async fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        let rows = sqlx::query_as!(
            Pool,
            r#"select p.name, p.slots, p.description,
                count(q.*) filter (where q.worker_id is not null) as "running!",
                count(q.*) filter (where q.worker_id is null) as "queued!"
            from pool p left join ready q using (pool_key)
            group by p.pool_key order by p.name"#
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows)
    }

    /// Sets how many tasks of a pool may run at once; `None` lifts the limit.
    pub async fn set_pool(&self, name: &PoolName, slots: Option<i32>) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into pool (name, slots) values ($1, $2) on conflict (name) do update set slots = excluded.slots",
            name.as_str(),
            slots
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }
}
