//! Claims: queued tasks handed to a worker, never more of a pool than its slots.

use dagctl_core::ids::{DagVersionId, WorkerId};
use sqlx::{Postgres, Transaction};

use super::{Claim, attempt_key};
use crate::{Store, StoreError};

/// A pool and a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The pool's key.
    pub pool_key: i32,
    /// The queue's key.
    pub queue_key: i32,
}

/// What a worker was handed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// The attempts.
    pub claims: Vec<Claim>,
    /// Where the most urgent task of a pool without a limit waited: the lane to go on with.
    pub lane: Option<Lane>,
}

impl Store {
    /// Hands up to `slots` queued tasks of all pools and of the worker's queues to `worker`.
    ///
    /// A limited pool's row is locked while its claimed rows are counted: claims of one such pool come one after
    /// another, and the count cannot drift.
    pub async fn claim(&self, worker: WorkerId, slots: usize) -> Result<Claimed, StoreError> {
        let mut tx = self.begin().await?;
        let mut claims: Vec<Claim> = vec![];
        let lanes = sqlx::query_file!("src/attempts/waiting_lanes.sql", worker.get())
            .fetch_all(&mut *tx)
            .await?;
        // In one order, or two workers could wait for each other.
        let limited: Vec<i32> = lanes
            .iter()
            .filter(|it| it.slots.is_some())
            .map(|it| it.pool_key)
            .collect();
        if !limited.is_empty() {
            sqlx::query!(
                "select from pool where pool_key = any($1) order by pool_key for update",
                &limited
            )
            .execute(&mut *tx)
            .await?;
        }
        let lane = lanes.iter().find(|it| it.slots.is_none()).map(|it| Lane {
            pool_key: it.pool_key,
            queue_key: it.queue_key,
        });
        for lane in lanes {
            let places = slots.saturating_sub(claims.len());
            if places == 0 {
                break;
            }
            let places = i64::try_from(places).unwrap_or(i64::MAX);
            let from = Lane {
                pool_key: lane.pool_key,
                queue_key: lane.queue_key,
            };
            claims.extend(take(&mut tx, worker, from, lane.slots.is_some(), places).await?);
        }
        tx.commit().await?;
        Ok(Claimed { claims, lane })
    }

    /// Every attempt that `worker` holds, for when the answer to a claim was lost.
    pub async fn held(&self, worker: WorkerId) -> Result<Vec<Claim>, StoreError> {
        let rows = sqlx::query!(
            "select dag_run_id, task_index, map_index, attempt, dag_version_id, epoch from ready where worker_id = $1",
            worker.get()
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Claim {
                key: attempt_key(row.dag_run_id, row.task_index, row.map_index, row.attempt),
                dag_version_id: DagVersionId(row.dag_version_id),
                epoch: row.epoch,
            })
            .collect())
    }
}

/// A claimed row of `ready`.
struct Row {
    dag_run_id: i64,
    task_index: i32,
    map_index: i32,
    attempt: i16,
    dag_version_id: i32,
    epoch: i16,
}

impl From<Row> for Claim {
    fn from(row: Row) -> Self {
        Self {
            key: attempt_key(row.dag_run_id, row.task_index, row.map_index, row.attempt),
            dag_version_id: DagVersionId(row.dag_version_id),
            epoch: row.epoch,
        }
    }
}

/// Hands out tasks of a pool; of one with a limit, whose row is locked, as far as it has slots for them.
async fn take(
    tx: &mut Transaction<'static, Postgres>,
    worker: WorkerId,
    lane: Lane,
    is_limited: bool,
    places: i64,
) -> Result<Vec<Claim>, StoreError> {
    let (worker, pool, queue) = (worker.get(), lane.pool_key, lane.queue_key);
    let rows = if is_limited {
        let claimed = sqlx::query_file_as!(
            Row,
            "src/attempts/claim_limited.sql",
            worker,
            pool,
            queue,
            places
        );
        claimed.fetch_all(&mut **tx).await?
    } else {
        let claimed =
            sqlx::query_file_as!(Row, "src/attempts/claim.sql", worker, pool, queue, places);
        claimed.fetch_all(&mut **tx).await?
    };
    Ok(rows.into_iter().map(Claim::from).collect())
}
