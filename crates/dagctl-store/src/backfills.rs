//! Backfills: dates of the past that are filled bit by bit, never more runs at once than somebody allowed.
//!
//! A backfill's row is locked while its next dates are taken, so any number of schedulers make each run once. One run
//! more than may be under way is made ahead: it waits in the queue, and the end of another starts it.

use std::collections::BTreeMap;

use dagctl_core::backfill::{Action, Existing, Range, Reprocess, Step};
use dagctl_core::ids::{DagKey, DagRunId, DagVersionId};
use dagctl_core::state::RunState;
use dagctl_core::timetable::Interval;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;

use crate::plans::{Look, from_letter, letter, run_state};
use crate::runs::{Created, NewRun, StartedRuns, create};
use crate::{Store, StoreError};

/// A backfill to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBackfill {
    /// Its DAG.
    pub dag_key: DagKey,
    /// The version that its runs keep.
    pub version: DagVersionId,
    /// What was asked for.
    pub range: Range,
    /// Runs of it under way at once.
    pub max_active_runs: i32,
    /// Every date, in the order in which they are filled.
    pub steps: Vec<Step>,
    /// Who asks.
    pub by: String,
}

/// Where a backfill stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackfillState {
    /// Dates are being filled.
    Running,
    /// No date is taken up until somebody says so.
    Paused,
    /// Somebody ended it before its end.
    Cancelled,
    /// Every date was dealt with.
    Done,
}

impl BackfillState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Running => 'r',
            Self::Paused => 'p',
            Self::Cancelled => 'c',
            Self::Done => 'd',
        }
    }

    fn from_letter(found: i8) -> Self {
        match from_letter(found) {
            'r' => Self::Running,
            'p' => Self::Paused,
            'c' => Self::Cancelled,
            _ => Self::Done,
        }
    }
}

/// A backfill and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRow {
    /// Its number.
    pub backfill_id: i32,
    /// Its DAG.
    pub dag_id: String,
    /// The first moment a logical date may be at.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// What happens to dates that had a run: `none`, `failed`, `all`.
    pub reprocess: Reprocess,
    /// The newest first.
    pub is_reversed: bool,
    /// Runs of it under way at once.
    pub max_active_runs: i32,
    /// Where it stands.
    pub state: BackfillState,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When its last date was dealt with, or when it was cancelled.
    pub ended_at: Option<Timestamp>,
    /// Dates that were not taken up yet.
    pub waiting: i64,
    /// Dates that are left as they are.
    pub skipped: i64,
    /// Runs of it by state: queued, running, success, failed.
    pub runs: [i64; 4],
}

/// One date of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillDate {
    /// What its run is about.
    pub interval: Interval,
    /// The run that is made for it, or that was there.
    pub run_id: Option<String>,
    /// Where that run stands.
    pub state: Option<RunState>,
    /// Whether it was left as it is.
    pub is_skipped: bool,
}

/// The next dates of a backfill that this look has locked.
#[derive(Debug, Clone, PartialEq)]
pub struct NextDates {
    /// The DAG.
    pub dag_key: DagKey,
    /// The version that its runs keep.
    pub version: DagVersionId,
    /// Who made the backfill.
    pub by: String,
    /// Dates to make runs for.
    pub create: Vec<(i32, Interval)>,
    /// A run that goes again, and its place; only where nothing is to be made before it.
    pub again: Option<(i32, DagRunId)>,
}

impl Store {
    /// The scheduled and backfilled runs of a DAG in a range of logical dates.
    pub async fn existing_runs(
        &self,
        dag: DagKey,
        range: &Range,
    ) -> Result<BTreeMap<Timestamp, Existing>, StoreError> {
        let rows = sqlx::query!(
            "select k.logical_at, k.run_id, r.state from run_key k join dag_run r using (dag_run_id)
            where k.dag_key = $1 and k.kind = 's' and k.logical_at between $2 and $3",
            dag.get(),
            range.from.to_sqlx() as _,
            range.to.to_sqlx() as _
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                let existing = Existing {
                    run_id: row.run_id,
                    state: run_state(row.state)?,
                };
                Ok((row.logical_at.to_jiff(), existing))
            })
            .collect()
    }

    /// Makes a backfill and the audit's row; its runs come later. `None`: the DAG has one that has not ended.
    pub async fn create_backfill(&self, new: &NewBackfill) -> Result<Option<i32>, StoreError> {
        let mut tx = self.begin().await?;
        let range = &new.range;
        let made = sqlx::query_scalar!(
            r#"insert into backfill (dag_key, dag_version_id, from_at, to_at, reprocess, is_reversed, max_active_runs,
                created_by)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict (dag_key) where state in ('r', 'p') do nothing
            returning backfill_id"#,
            new.dag_key.get(),
            new.version.get(),
            range.from.to_sqlx() as _,
            range.to.to_sqlx() as _,
            range.reprocess.name(),
            range.is_reversed,
            new.max_active_runs,
            new.by
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(backfill_id) = made else {
            return Ok(None);
        };
        let steps = || new.steps.iter();
        let place = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
        sqlx::query!(
            r#"insert into backfill_date (backfill_id, place, logical_at, interval_end, dag_run_id, step)
            select $1, it.place, it.logical_at, it.interval_end, k.dag_run_id, it.step
            from unnest($2::int[], $3::timestamptz[], $4::timestamptz[], $5::"char"[], $6::text[])
                as it (place, logical_at, interval_end, step, run_id)
            left join run_key k on k.dag_key = $7 and k.run_id = it.run_id"#,
            backfill_id,
            &(0..new.steps.len()).map(place).collect::<Vec<_>>(),
            &steps().map(|it| it.interval.start.to_sqlx()).collect::<Vec<_>>() as _,
            &steps().map(|it| it.interval.end.to_sqlx()).collect::<Vec<_>>() as _,
            &steps()
                .map(|it| letter(match it.action {
                    Action::Create => 'n',
                    Action::Again(_) => 'a',
                    Action::Skip(_) => 's',
                }))
                .collect::<Vec<_>>() as _,
            &steps()
                .map(|it| match &it.action {
                    Action::Create => None,
                    Action::Again(it) | Action::Skip(it) => Some(it.run_id.clone()),
                })
                .collect::<Vec<_>>() as _,
            new.dag_key.get()
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into audit (who, action, object, detail)
            select $1, 'backfill.create', dag_id, $2 from dag where dag_key = $3",
            new.by,
            json!({
                "backfill": backfill_id,
                "from": range.from.to_string(),
                "to": range.to.to_string(),
                "dates": new.steps.len(),
            }),
            new.dag_key.get()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(backfill_id))
    }

    /// Backfills, newest first: of one DAG, or the one of that number, or all.
    pub async fn backfills(
        &self,
        dag_id: Option<&str>,
        backfill_id: Option<i32>,
        limit: i64,
    ) -> Result<Vec<BackfillRow>, StoreError> {
        let rows = sqlx::query_file!("src/backfills/rows.sql", dag_id, backfill_id, limit)
            .fetch_all(self.pool())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| BackfillRow {
                backfill_id: row.backfill_id,
                dag_id: row.dag_id,
                from: row.from_at.to_jiff(),
                to: row.to_at.to_jiff(),
                reprocess: Reprocess::from_name(&row.reprocess).unwrap_or_default(),
                is_reversed: row.is_reversed,
                max_active_runs: row.max_active_runs,
                state: BackfillState::from_letter(row.state),
                created_by: row.created_by,
                created_at: row.created_at.to_jiff(),
                ended_at: row.ended_at.map(|it| it.to_jiff()),
                waiting: row.waiting,
                skipped: row.skipped,
                runs: [row.queued, row.running, row.success, row.failed],
            })
            .collect())
    }

    /// The dates of a backfill, in the order in which they are filled.
    pub async fn backfill_dates(&self, backfill_id: i32) -> Result<Vec<BackfillDate>, StoreError> {
        let rows = sqlx::query!(
            r#"select s.logical_at as "logical_at!", s.interval_end as "interval_end!", s.step as "step!",
                r.run_id as "run_id?", r.state as "state?"
            from backfill_date s left join dag_run r on r.dag_run_id = s.dag_run_id and s.step <> 'a'
            where s.backfill_id = $1 order by s.place"#,
            backfill_id
        )
        .fetch_all(self.pool())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(BackfillDate {
                    interval: Interval {
                        start: row.logical_at.to_jiff(),
                        end: row.interval_end.to_jiff(),
                    },
                    run_id: row.run_id,
                    state: row.state.map(run_state).transpose()?,
                    is_skipped: row.step == letter('s'),
                })
            })
            .collect()
    }

    /// Pauses, resumes or cancels a backfill that has not ended; `false`: it has, or it stood so already.
    pub async fn set_backfill(
        &self,
        backfill_id: i32,
        state: BackfillState,
        by: &str,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            r#"with changed as (
                update backfill set state = $2, ended_at = case when $2 = 'c'::"char" then clock_timestamp() end
                where backfill_id = $1 and state in ('r', 'p') and state <> $2
                returning dag_key
            )
            insert into audit (who, action, object, detail)
            select $3, $4, d.dag_id, jsonb_build_object('backfill', $1::int) from changed join dag d using (dag_key)"#,
            backfill_id,
            letter(state.letter()),
            by,
            format!("backfill.{}", state.name())
        )
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Runs of a cancelled backfill that wait in the queue, and who cancelled it last.
    pub async fn cancelled_backfill_runs(
        &self,
        backfill_id: i32,
    ) -> Result<Vec<DagRunId>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select l.dag_run_id from live_run l join backfill b using (backfill_id)
            where b.backfill_id = $1 and b.state = 'c' and not l.is_running order by 1",
            backfill_id
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows.into_iter().map(DagRunId).collect())
    }
}

impl Look {
    /// Locks a backfill and says which of its dates come next, as far as it has places. A backfill of which nothing is
    /// left ends. `None`: there is nothing to do.
    pub async fn next_dates(&mut self, backfill_id: i32) -> Result<Option<NextDates>, StoreError> {
        let Some(row) = sqlx::query!(
            "select dag_key, dag_version_id, max_active_runs, created_by from backfill
            where backfill_id = $1 and state = 'r' for update",
            backfill_id
        )
        .fetch_optional(&mut *self.tx)
        .await?
        else {
            return Ok(None);
        };
        let live = sqlx::query_scalar!(
            r#"select count(*) as "count!" from live_run where backfill_id = $1"#,
            backfill_id
        )
        .fetch_one(&mut *self.tx)
        .await?;
        let places = (i64::from(row.max_active_runs) + 1 - live).clamp(0, 100);
        let dates = sqlx::query!(
            "select place, logical_at, interval_end, step, dag_run_id from backfill_date
            where backfill_id = $1 and step in ('n', 'a') order by place limit $2",
            backfill_id,
            places.max(1)
        )
        .fetch_all(&mut *self.tx)
        .await?;
        if dates.is_empty() && live == 0 {
            sqlx::query!(
                "update backfill set state = 'd', ended_at = clock_timestamp() where backfill_id = $1",
                backfill_id
            )
            .execute(&mut *self.tx)
            .await?;
        }
        if dates.is_empty() || places == 0 {
            return Ok(None);
        }
        let mut next = NextDates {
            dag_key: DagKey(row.dag_key),
            version: DagVersionId(row.dag_version_id),
            by: row.created_by,
            create: vec![],
            again: None,
        };
        for it in dates {
            match it.dag_run_id.filter(|_| it.step == letter('a')) {
                Some(run) if next.create.is_empty() => {
                    next.again = Some((it.place, DagRunId(run)));
                    break;
                }
                Some(_) => break,
                None => {
                    let interval = Interval {
                        start: it.logical_at.to_jiff(),
                        end: it.interval_end.to_jiff(),
                    };
                    next.create.push((it.place, interval));
                }
            }
        }
        Ok(Some(next))
    }

    /// Makes runs of a backfill that this look has locked; a date that somebody else filled meanwhile is left out.
    pub async fn create_backfilled(
        &mut self,
        backfill_id: i32,
        runs: &[(i32, NewRun)],
    ) -> Result<StartedRuns, StoreError> {
        let new: Vec<NewRun> = runs.iter().map(|(_, it)| it.clone()).collect();
        let creation = create(&mut self.tx, &new).await?;
        let (mut places, mut keys, mut steps) = (vec![], vec![], vec![]);
        for ((place, _), created) in runs.iter().zip(&creation.runs) {
            let (run, step) = match created {
                Created::New { dag_run_id, .. } => (Some(dag_run_id.get()), 'm'),
                Created::Exists { dag_run_id, .. } | Created::Same { dag_run_id, .. } => {
                    (Some(dag_run_id.get()), 's')
                }
                Created::KeyTaken => (None, 's'),
            };
            places.push(*place);
            keys.push(run);
            steps.push(letter(step));
        }
        sqlx::query!(
            r#"update backfill_date s set dag_run_id = it.dag_run_id, step = it.step
            from unnest($2::int[], $3::bigint[], $4::"char"[]) as it (place, dag_run_id, step)
            where s.backfill_id = $1 and s.place = it.place"#,
            backfill_id,
            &places,
            &keys as _,
            &steps as _
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(creation.started)
    }

    /// Notes what became of a date whose run goes again: it does, or it stays as it is.
    pub async fn date_taken(
        &mut self,
        backfill_id: i32,
        place: i32,
        goes_again: bool,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update backfill_date set step = $3 where backfill_id = $1 and place = $2",
            backfill_id,
            place,
            letter(if goes_again { 'm' } else { 's' })
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
