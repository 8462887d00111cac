//! Writes messages in the transaction that caused them, and reads what decides whether they are written.

use std::time::Duration;

use dagctl_core::ids::{DagKey, DagRunId};
use serde_json::Value;

use crate::StoreError;
use crate::plans::Look;

/// A message for the outbox, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotice {
    /// What makes it one: a second item of the same identity is not written.
    pub identity: String,
    /// What may join in one message; `None`: it stands alone.
    pub thread: Option<String>,
    /// Who gets it, whatever it says.
    pub destination: String,
    /// Everything its sender needs, but for the news.
    pub payload: Value,
    /// What it tells of one task; `null` where the payload says all.
    pub news: Value,
}

/// How long messages wait for more of their thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathering {
    /// The first of a thread in a run.
    pub first: Duration,
    /// The others.
    pub later: Duration,
}

impl Gathering {
    /// Nothing waits.
    pub const NONE: Self = Self {
        first: Duration::ZERO,
        later: Duration::ZERO,
    };
}

impl Look {
    /// Writes messages about a run that this look has locked.
    pub async fn add_notices(
        &mut self,
        run: DagRunId,
        notices: &[NewNotice],
        gathering: Gathering,
    ) -> Result<(), StoreError> {
        if notices.is_empty() {
            return Ok(());
        }
        let each = |text: fn(&NewNotice) -> String| notices.iter().map(text).collect::<Vec<_>>();
        let threads: Vec<Option<String>> = notices.iter().map(|it| it.thread.clone()).collect();
        let payloads: Vec<Value> = notices.iter().map(|it| it.payload.clone()).collect();
        let news: Vec<Value> = notices.iter().map(|it| it.news.clone()).collect();
        sqlx::query_file!(
            "src/notices/add.sql",
            run.get(),
            &each(|it| it.identity.clone()),
            &threads as _,
            &each(|it| it.destination.clone()),
            &payloads,
            &news,
            gathering.first.as_secs_f64(),
            gathering.later.as_secs_f64()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Nothing more of an ended run can join its messages: they are due.
    pub async fn release_notices(&mut self, run: DagRunId) -> Result<(), StoreError> {
        sqlx::query!(
            "update notice set due_at = now()
            where dag_run_id = $1 and state = 'p' and sends = 0 and due_at > now()",
            run.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// How many of the last `most` final runs of a DAG before `run` failed without a break, newest first; with a task's
    /// name, in how many that task failed. Runs that somebody cancelled are passed over.
    pub async fn failures_before(
        &mut self,
        dag: DagKey,
        run: DagRunId,
        task_id: Option<&str>,
        most: u32,
    ) -> Result<u32, StoreError> {
        let failed = sqlx::query_scalar!(
            r#"with past as (
                select row_number() over (order by dag_run_id desc) as place, state = 'f' and ($3::text is null or exists (
                    select from task_instance t join dag_task k on k.dag_version_id = r.dag_version_id
                        and k.task_index = t.task_index
                    where t.dag_run_id = r.dag_run_id and t.state = 'f' and k.task_id = $3
                )) as is_failed
                from (
                    select dag_run_id, dag_version_id, state from dag_run
                    where dag_key = $1 and dag_run_id < $2 and state in ('s', 'f') and cancel_requested_at is null
                    order by dag_run_id desc limit $4
                ) r
            )
            select coalesce((select min(place) - 1 from past where not is_failed), (select count(*) from past)) as "n!""#,
            dag.get(),
            run.get(),
            task_id,
            i64::from(most)
        )
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(u32::try_from(failed).unwrap_or(0))
    }

    /// Who was told that this run, before it went on, or the last final run before it had failed: destinations with the
    /// last message of each.
    pub async fn told_of_failure(
        &mut self,
        dag: DagKey,
        run: DagRunId,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = sqlx::query!(
            r#"select destination, max(notice_id) as "notice_id!" from notice
            where payload ->> 'event' = 'failure' and dag_run_id in (
                select $2::bigint
                union all
                select dag_run_id from (
                    select dag_run_id, state from dag_run
                    where dag_key = $1 and dag_run_id < $2 and state in ('s', 'f') and cancel_requested_at is null
                    order by dag_run_id desc limit 1
                ) r where state = 'f'
            )
            group by destination"#,
            dag.get(),
            run.get()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let rows = rows.into_iter();
        Ok(rows.map(|it| (it.destination, it.notice_id)).collect())
    }
}
