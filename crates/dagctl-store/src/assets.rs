//! News of tables: recorded with the success of the task that wrote them, told to the DAGs that wait for them, and taken
//! by the run that is made for them. Each step is a transaction, and a crash between two is repaired by the next look.

use dagctl_core::asset::Asset;
use dagctl_core::ids::{DagKey, DagRunId, TaskIndex};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::{Postgres, Transaction};

use crate::plans::Look;
use crate::runs::{Created, NewRun, StartedRuns, create, lock_places};
use crate::{Store, StoreError};

/// Events told in one transaction at most.
const MOST_TOLD: i64 = 1000;

/// What a DAG that waits for tables knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetNews {
    /// Of each table asked for, whether there is news of it.
    pub has_news: Vec<bool>,
    /// What called for this look: another value later means that there is more news.
    pub next_due_at: Option<Timestamp>,
}

/// News that a DAG has not run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingEvent {
    /// The event.
    pub asset_event_id: i64,
    /// Where the data interval of the run that caused it begins.
    pub interval_start: Timestamp,
    /// Where it ends.
    pub interval_end: Timestamp,
}

/// A run to be made for news.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetStep {
    /// The DAG.
    pub dag_key: DagKey,
    /// The news; if somebody else has taken one of them, nothing happens.
    pub events: Vec<i64>,
    /// The run.
    pub run: NewRun,
}

impl Look {
    /// Records that tasks of a run wrote tables, for those that have succeeded. Once for each attempt, however often it
    /// is said. `true`: a DAG waits for one of them.
    pub async fn record_asset_events(
        &mut self,
        run: DagRunId,
        written: &[(TaskIndex, &Asset)],
    ) -> Result<bool, StoreError> {
        let tasks: Vec<i32> = written.iter().map(|(task, _)| task.get()).collect();
        let names: Vec<&str> = written.iter().map(|(_, it)| it.name.as_str()).collect();
        let conn_ids: Vec<Option<&str>> = written
            .iter()
            .map(|(_, it)| it.conn_id.as_deref())
            .collect();
        let told = sqlx::query_scalar!(
            "insert into asset_event (name, conn_id, dag_run_id, task_index, map_index, attempt, is_told)
            select it.name, it.conn_id, t.dag_run_id, t.task_index, t.map_index, t.attempt, not exists (
                select from asset_use u join dag d on d.active_version_id = u.dag_version_id
                where u.name = it.name and u.kind = 's'
            )
            from unnest($2::int[], $3::text[], $4::text[]) as it (task_index, name, conn_id)
            join task_instance t
                on (t.dag_run_id, t.task_index, t.map_index) = ($1, it.task_index, -1) and t.state = 's'
            order by t.task_index
            on conflict do nothing
            returning is_told",
            run.get(),
            &tasks,
            &names as _,
            &conn_ids as _
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(told.contains(&false))
    }
}

impl Store {
    /// Tells the DAGs that wait for them of new events, and makes those DAGs due. Gives back how many events that were:
    /// there may be more.
    pub async fn tell_asset_events(&self) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let events = sqlx::query_scalar!(
            "update asset_event set is_told = true
            where asset_event_id = any (array(
                select asset_event_id from asset_event where not is_told
                order by asset_event_id limit $1 for update skip locked
            ))
            returning asset_event_id",
            MOST_TOLD
        )
        .fetch_all(&mut *tx)
        .await?;
        let dags = sqlx::query_scalar!(
            "select distinct d.dag_key
            from asset_event e
            join asset_use u on u.name = e.name and u.kind = 's'
            join dag d on d.active_version_id = u.dag_version_id
            where e.asset_event_id = any($1)
            order by d.dag_key",
            &events
        )
        .fetch_all(&mut *tx)
        .await?;
        if !dags.is_empty() {
            lock_news(&mut tx, &dags).await?;
            sqlx::query!(
                "with told as (
                    insert into asset_news (dag_key, name, asset_event_id, conn_id)
                    select distinct d.dag_key, e.name, e.asset_event_id, e.conn_id
                    from asset_event e
                    join asset_use u on u.name = e.name and u.kind = 's'
                        and (u.conn_id is null or e.conn_id is null or u.conn_id = e.conn_id)
                    join dag d on d.active_version_id = u.dag_version_id
                    where e.asset_event_id = any($1) and d.dag_key = any($2)
                    on conflict do nothing
                    returning dag_key
                )
                update dag set next_due_at = clock_timestamp()
                where dag_key in (select dag_key from told) and missing_since is null",
                &events,
                &dags
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(u64::try_from(events.len()).unwrap_or(u64::MAX))
    }

    /// Of which of these tables a DAG has news that it has not run for.
    pub async fn asset_news(
        &self,
        dag: DagKey,
        assets: &[&Asset],
    ) -> Result<AssetNews, StoreError> {
        let names: Vec<&str> = assets.iter().map(|it| it.name.as_str()).collect();
        let conn_ids: Vec<Option<&str>> = assets.iter().map(|it| it.conn_id.as_deref()).collect();
        let row = sqlx::query!(
            r#"select d.next_due_at, array(
                select exists (
                    select from asset_news n
                    where n.dag_key = d.dag_key and n.name = it.name
                        and (n.conn_id is null or it.conn_id is null or n.conn_id = it.conn_id)
                )
                from unnest($2::text[], $3::text[]) with ordinality as it (name, conn_id, place)
                order by it.place
            ) as "has_news!"
            from dag d where d.dag_key = $1"#,
            dag.get(),
            &names as _,
            &conn_ids as _
        )
        .fetch_one(self.pool())
        .await?;
        Ok(AssetNews {
            has_news: row.has_news,
            next_due_at: row.next_due_at.map(|it| it.to_jiff()),
        })
    }

    /// All news that a DAG has not run for.
    pub async fn pending_asset_events(&self, dag: DagKey) -> Result<Vec<PendingEvent>, StoreError> {
        let rows = sqlx::query!(
            r#"select e.asset_event_id, coalesce(r.interval_start, e.created_at) as "interval_start!",
                coalesce(r.interval_end, e.created_at) as "interval_end!"
            from asset_news n join asset_event e using (asset_event_id) left join dag_run r using (dag_run_id)
            where n.dag_key = $1 order by e.asset_event_id"#,
            dag.get()
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| PendingEvent {
                asset_event_id: row.asset_event_id,
                interval_start: row.interval_start.to_jiff(),
                interval_end: row.interval_end.to_jiff(),
            })
            .collect())
    }

    /// Makes the run of a DAG that has news, and takes the news, in one transaction. `None`: somebody else was faster, or
    /// paused the DAG. Otherwise what started.
    pub async fn take_asset_step(
        &self,
        step: &AssetStep,
    ) -> Result<Option<StartedRuns>, StoreError> {
        let mut tx = self.begin().await?;
        let dag = step.dag_key.get();
        lock_places(&mut tx, &[dag]).await?;
        lock_news(&mut tx, &[dag]).await?;
        let taken = sqlx::query!(
            "delete from asset_news n using dag d
            where n.dag_key = $1 and n.asset_event_id = any($2) and d.dag_key = n.dag_key and not d.is_paused",
            dag,
            &step.events
        )
        .execute(&mut *tx)
        .await?;
        if usize::try_from(taken.rows_affected()) != Ok(step.events.len()) {
            return Ok(None);
        }
        let creation = create(&mut tx, std::slice::from_ref(&step.run)).await?;
        let Some(Created::New { dag_run_id, .. }) = creation.runs.first() else {
            return Ok(None);
        };
        sqlx::query!(
            "insert into run_asset_event (dag_run_id, asset_event_id) select $1, unnest($2::bigint[])",
            dag_run_id.get(),
            &step.events
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update dag d set watermark_reset = null, next_due_at = case
                when exists (select from asset_news n where n.dag_key = d.dag_key) then clock_timestamp()
            end
            where d.dag_key = $1",
            dag
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(creation.started))
    }

    /// Notes that the news of a DAG do not call for a run, unless more have come since.
    pub async fn await_asset_news(
        &self,
        dag: DagKey,
        seen: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update dag set next_due_at = null, watermark_reset = null
            where dag_key = $1 and next_due_at = $2",
            dag.get(),
            seen.map(|it| it.to_sqlx()) as _
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

/// Locks the rows of DAGs, in the order of their keys: their news change below it.
async fn lock_news(
    tx: &mut Transaction<'static, Postgres>,
    dags: &[i32],
) -> Result<(), StoreError> {
    sqlx::query!(
        "select from dag where dag_key = any($1) order by dag_key for no key update",
        dags
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
