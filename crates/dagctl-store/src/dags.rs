//! DAGs and their versions: each text stored once under its hash, and what the scheduler remembers of each DAG.

mod activate;

use std::collections::BTreeMap;

use dagctl_core::dag::Dag;
use dagctl_core::ids::{DagId, DagKey, DagVersionId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::plans::letter;
use crate::runs::{Created, NewRun, StartedRuns, create, lock_places, readable_dag_id};
use crate::{Store, StoreError};

/// A good text of a DAG, to be stored.
#[derive(Debug)]
pub struct NewVersion<'a> {
    /// What the text says.
    pub dag: &'a Dag,
    /// The hash of the text and all it pulls in.
    pub hash: &'a [u8],
    /// Where it came from.
    pub commit: Option<&'a str>,
    /// The texts, by path relative to the dags folder.
    pub files: &'a BTreeMap<String, String>,
}

/// A stored version's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionTexts {
    /// The DAG's own file.
    pub file: String,
    /// Path → text.
    pub files: BTreeMap<String, String>,
}

/// What the database knows of a DAG, for the services.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownDag {
    /// Its key.
    pub dag_key: DagKey,
    /// Its name.
    pub dag_id: DagId,
    /// Its file.
    pub file: String,
    /// The last good version.
    pub active_version_id: Option<DagVersionId>,
    /// That version's hash.
    pub active_hash: Option<Vec<u8>>,
    /// Whether its schedule is stopped.
    pub is_paused: bool,
    /// Whether its file is gone.
    pub is_missing: bool,
    /// The end of the last interval considered.
    pub watermark: Timestamp,
    /// What the watermark was set by, before the first look at it.
    pub watermark_reset: Option<WatermarkReset>,
    /// When its newest run ended, if it has ended.
    pub last_ended_at: Option<Timestamp>,
    /// Runs that have not ended.
    pub live_runs: i64,
}

/// What the syncer knows of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDag {
    /// Its name.
    pub dag_id: String,
    /// Its file.
    pub file: String,
    /// The hash of its last good version.
    pub active_hash: Option<Vec<u8>>,
    /// Whether its file is gone.
    pub is_missing: bool,
}

/// What set a watermark that nobody has looked at yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatermarkReset {
    /// The DAG was seen for the first time.
    FirstSeen,
    /// The DAG was unpaused.
    Unpaused,
}

/// A problem of a file, as rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProblem {
    /// The file, relative to the dags folder.
    pub file: String,
    /// Its line, from 1.
    pub line: i32,
    /// Its column, from 1.
    pub col: i32,
    /// `error` or `warning`.
    pub severity: String,
    /// The stable code.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The sentence with the line and the caret.
    pub rendered: String,
    /// Which DAG it concerns, where that is known.
    pub dag_id: Option<String>,
}

/// What a look at the clock calls for, for one DAG.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleStep {
    /// The DAG.
    pub dag_key: DagKey,
    /// The watermark that the look was based on; another value in the row means that somebody else was faster.
    pub old_watermark: Timestamp,
    /// The end of the last interval considered now.
    pub watermark: Timestamp,
    /// When to look again.
    pub next_due_at: Option<Timestamp>,
    /// Runs to make.
    pub runs: Vec<NewRun>,
    /// Intervals left out: first and last logical date, how many, why.
    pub skipped: Option<SkippedIntervals>,
}

/// Intervals that nobody runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedIntervals {
    /// The first one's logical date.
    pub first: Timestamp,
    /// The last one's logical date.
    pub last: Timestamp,
    /// How many.
    pub count: i32,
    /// Why.
    pub reason: String,
}

/// Whether a DAG's schedule is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// It makes no new runs by itself.
    Yes,
    /// It runs when it is due.
    No,
}

impl Store {
    /// What the services know of DAGs: of every one, or of `only` these.
    pub async fn known_dags(&self, only: Option<&[DagKey]>) -> Result<Vec<KnownDag>, StoreError> {
        let only: Option<Vec<i32>> = only.map(|it| it.iter().map(|it| it.get()).collect());
        let rows = sqlx::query!(
            r#"select d.dag_key, d.dag_id, d.file, d.active_version_id, v.hash as "hash?", d.is_paused,
                d.missing_since is not null as "is_missing!", d.watermark, d.watermark_reset, d.last_at,
                (select count(*) from live_run r where r.dag_key = d.dag_key) as "live_runs!"
            from dag d left join dag_version v on v.dag_version_id = d.active_version_id
            where $1::int[] is null or d.dag_key = any($1)
            order by d.dag_id"#,
            only.as_deref()
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                let reset = row.watermark_reset.map(|it| {
                    if it == letter('n') {
                        WatermarkReset::FirstSeen
                    } else {
                        WatermarkReset::Unpaused
                    }
                });
                Ok(KnownDag {
                    dag_key: DagKey(row.dag_key),
                    dag_id: readable_dag_id(row.dag_id)?,
                    file: row.file,
                    active_version_id: row.active_version_id.map(DagVersionId),
                    active_hash: row.hash,
                    is_paused: row.is_paused,
                    is_missing: row.is_missing,
                    watermark: row.watermark.to_jiff(),
                    watermark_reset: reset,
                    last_ended_at: row.last_at.map(|it| it.to_jiff()),
                    live_runs: row.live_runs,
                })
            })
            .collect()
    }

    /// What the syncer compares the dags folder with: every DAG, or those of `only` these names.
    pub async fn stored_dags(&self, only: Option<&[String]>) -> Result<Vec<StoredDag>, StoreError> {
        Ok(sqlx::query_as!(
            StoredDag,
            r#"select d.dag_id as "dag_id!", d.file as "file!", v.hash as "active_hash?", d.missing_since is not null as "is_missing!"
            from dag d left join dag_version v on v.dag_version_id = d.active_version_id
            where $1::text[] is null or d.dag_id = any($1)"#,
            only
        )
        .fetch_all(self.pool())
        .await?)
    }

    /// The DAG of that name.
    pub async fn find_dag(
        &self,
        dag_id: &str,
    ) -> Result<Option<(DagKey, Option<DagVersionId>)>, StoreError> {
        let row = sqlx::query!(
            "select dag_key, active_version_id from dag where dag_id = $1",
            dag_id
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|it| (DagKey(it.dag_key), it.active_version_id.map(DagVersionId))))
    }

    /// Every DAG's name.
    pub async fn dag_ids(&self) -> Result<Vec<String>, StoreError> {
        Ok(
            sqlx::query_scalar!("select dag_id from dag order by dag_id")
                .fetch_all(self.pool())
                .await?,
        )
    }

    /// The texts of a version.
    pub async fn version_texts(
        &self,
        version: DagVersionId,
    ) -> Result<Option<VersionTexts>, StoreError> {
        version_texts(self.pool(), version).await
    }

    /// Notes that these DAGs have no file any more; their runs go on, their schedule stops.
    pub async fn mark_missing(&self, dag_ids: &[String]) -> Result<(), StoreError> {
        sqlx::query!(
            "update dag set missing_since = now(), next_due_at = null
            where dag_id = any($1) and missing_since is null",
            dag_ids
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Replaces the list of problems; one that stays keeps the time it was first seen.
    pub async fn replace_problems(&self, problems: &[NewProblem]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let files: Vec<String> = problems.iter().map(|it| it.file.clone()).collect();
        let lines: Vec<i32> = problems.iter().map(|it| it.line).collect();
        let cols: Vec<i32> = problems.iter().map(|it| it.col).collect();
        let severities: Vec<String> = problems.iter().map(|it| it.severity.clone()).collect();
        let codes: Vec<String> = problems.iter().map(|it| it.code.clone()).collect();
        let messages: Vec<String> = problems.iter().map(|it| it.message.clone()).collect();
        let rendered: Vec<String> = problems.iter().map(|it| it.rendered.clone()).collect();
        let dag_ids: Vec<Option<String>> = problems.iter().map(|it| it.dag_id.clone()).collect();
        sqlx::query!(
            "delete from problem p where not exists (
                select from unnest($1::text[], $2::int[], $3::int[], $4::text[], $5::text[])
                    as it (file, line, col, code, message)
                where (it.file, it.line, it.col, it.code, it.message) = (p.file, p.line, p.col, p.code, p.message)
            )",
            &files,
            &lines,
            &cols,
            &codes,
            &messages
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into problem (file, line, col, severity, code, message, rendered, dag_id)
            select * from unnest($1::text[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::text[])
            on conflict (file, line, col, code, md5(message)) do update
            set rendered = excluded.rendered, severity = excluded.severity, dag_id = excluded.dag_id",
            &files,
            &lines,
            &cols,
            &severities,
            &codes,
            &messages,
            &rendered,
            &dag_ids as _
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Puts off the look at a DAG that could not be scheduled, so that it is not tried again and again at once.
    pub async fn put_off_schedule(
        &self,
        dag: DagKey,
        pause: std::time::Duration,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update dag set next_due_at = clock_timestamp() + make_interval(secs => $2)
            where dag_key = $1 and next_due_at <= clock_timestamp()",
            dag.get(),
            pause.as_secs_f64()
        )
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
            .fetch_one(self.pool())
            .await?;
        Ok(now.to_jiff())
    }

    /// Makes the runs of one look at the clock and moves the watermark, in one transaction. `None`: somebody else
    /// was faster. Otherwise how many runs were made, and what started.
    pub async fn take_schedule_step(
        &self,
        step: &ScheduleStep,
    ) -> Result<Option<(usize, StartedRuns)>, StoreError> {
        let mut tx = self.begin_for_runs().await?;
        // Before the DAG's row, as whoever has a run of it go again.
        lock_places(&mut tx, &[step.dag_key.get()]).await?;
        // It only moves forward, but for the first look: that one begins where the schedule does, which may be long ago.
        let moved = sqlx::query!(
            "update dag set watermark = case when watermark_reset = 'n' then $3 else greatest(watermark, $3) end,
                watermark_reset = null, next_due_at = $4
            where dag_key = $1 and watermark = $2 and not is_paused",
            step.dag_key.get(),
            step.old_watermark.to_sqlx(),
            step.watermark.to_sqlx(),
            step.next_due_at.map(|it| it.to_sqlx()) as _
        )
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            return Ok(None);
        }
        if let Some(it) = &step.skipped {
            sqlx::query!(
                "insert into skipped_interval (dag_key, first_logical_at, last_logical_at, count, reason)
                values ($1, $2, $3, $4, $5) on conflict do nothing",
                step.dag_key.get(),
                it.first.to_sqlx(),
                it.last.to_sqlx(),
                it.count,
                it.reason
            )
            .execute(&mut *tx)
            .await?;
        }
        let creation = create(&mut tx, &step.runs).await?;
        let is_new = |it: &&Created| matches!(it, Created::New { .. });
        let made = creation.runs.iter().filter(is_new).count();
        tx.commit().await?;
        Ok(Some((made, creation.started)))
    }

    /// Stops or resumes a DAG's schedule; `None`: there is no such DAG, `Some(false)`: it stood so already.
    pub async fn set_paused(
        &self,
        dag_id: &DagId,
        paused: Paused,
    ) -> Result<Option<bool>, StoreError> {
        let paused = paused == Paused::Yes;
        let row = sqlx::query!(
            "with before as (select dag_key, is_paused from dag where dag_id = $1 for update)
            update dag d set is_paused = $2, pause_reason = case when $2 then d.pause_reason end,
                watermark_reset = case when b.is_paused and not $2 then coalesce(d.watermark_reset, 'p') else d.watermark_reset end,
                watermark = case when d.watermark_reset = 'n' and not $2 then greatest(d.watermark, now()) else d.watermark end,
                next_due_at = case when $2 then d.next_due_at else now() end
            from before b where d.dag_key = b.dag_key
            returning b.is_paused <> $2 as \"changed!\"",
            dag_id.as_str(),
            paused
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|it| it.changed))
    }
}

pub(crate) async fn version_texts(
    executor: impl sqlx::PgExecutor<'_>,
    version: DagVersionId,
) -> Result<Option<VersionTexts>, StoreError> {
    let row = sqlx::query!(
        "select file, files from dag_version where dag_version_id = $1",
        version.get()
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| {
        let files = serde_json::from_value(row.files).map_err(|error| StoreError::Unreadable {
            table: "dag_version",
            what: error.to_string(),
        })?;
        Ok(VersionTexts {
            file: row.file,
            files,
        })
    })
    .transpose()
}
