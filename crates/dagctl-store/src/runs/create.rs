//! Makes runs, however many at once, as they would be made one after the other.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use dagctl_core::ids::{DagKey, DagRunId, DagVersionId};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;
use sqlx::{Postgres, Transaction};

use super::{Created, Idempotency, NewRun, StartedRuns, start_queued};
use crate::limits::set_deadlines;
use crate::plans::letter;
use crate::{Store, StoreError};

/// The low bits of a run's key are random, so that keys of several processes do not meet within a millisecond.
const RANDOM: i64 = 1 << 20;

/// A DAG that somebody asks a run of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagToRun {
    /// Its name.
    pub dag_id: String,
    /// Its number.
    pub dag_key: DagKey,
    /// The version that a run would keep; `None`: it never had a good one.
    pub version: Option<DagVersionId>,
    /// The Git commit of that version.
    pub git_commit: Option<String>,
    /// Its zone.
    pub timezone: String,
    /// The database's clock.
    pub now: Timestamp,
}

impl Store {
    /// The DAGs of these names, as far as there are any.
    pub async fn dags_to_run(&self, dag_ids: &[&str]) -> Result<Vec<DagToRun>, StoreError> {
        let rows = sqlx::query!(
            r#"select d.dag_id as "dag_id!", d.dag_key as "dag_key!", d.active_version_id, v.git_commit as "git_commit?", d.timezone as "timezone!",
                clock_timestamp() as "now!"
            from dag d left join dag_version v on v.dag_version_id = d.active_version_id
            where d.dag_id = any($1)"#,
            dag_ids as _
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| DagToRun {
                dag_id: row.dag_id,
                dag_key: DagKey(row.dag_key),
                version: row.active_version_id.map(DagVersionId),
                git_commit: row.git_commit,
                timezone: row.timezone,
                now: row.now.to_jiff(),
            })
            .collect())
    }

    /// Makes a run, and starts it if its DAG has a place for it. One transaction; safe to repeat.
    pub async fn create_run(&self, new: &NewRun) -> Result<Created, StoreError> {
        let (created, _) = self.create_alone(new).await?;
        Ok(created)
    }

    /// Makes runs in one transaction, and says of each what became of it, and what started.
    ///
    /// A run that the database refuses fails alone: then each is made on its own. Not so where the commit is what
    /// failed, because it may have happened.
    pub async fn create_runs(
        &self,
        new: &[NewRun],
    ) -> (Vec<Result<Created, Arc<StoreError>>>, StartedRuns) {
        match self.create_together(new).await {
            Ok(Some(creation)) => {
                let runs = creation.runs.into_iter().map(Ok).collect();
                (runs, creation.started)
            }
            Ok(None) => {
                let mut each = Vec::with_capacity(new.len());
                let mut all_started = StartedRuns::default();
                for it in new {
                    each.push(match self.create_alone(it).await {
                        Ok((created, started)) => {
                            all_started.add(started);
                            Ok(created)
                        }
                        Err(error) => Err(Arc::new(error)),
                    });
                }
                (each, all_started)
            }
            Err(error) => {
                let error = Arc::new(error);
                let each = new.iter().map(|_| Err(error.clone())).collect();
                (each, StartedRuns::default())
            }
        }
    }

    async fn create_alone(&self, new: &NewRun) -> Result<(Created, StartedRuns), StoreError> {
        let mut tx = self.begin_for_runs().await?;
        let creation = create(&mut tx, std::slice::from_ref(new)).await?;
        tx.commit().await?;
        let created = creation.runs.into_iter().next().ok_or_else(no_answer)?;
        Ok((created, creation.started))
    }

    /// `None`: the database refused one of several, and nothing has happened.
    async fn create_together(&self, new: &[NewRun]) -> Result<Option<Creation>, StoreError> {
        let mut tx = self.begin_for_runs().await?;
        match create(&mut tx, new).await {
            Ok(creation) => {
                tx.commit().await?;
                Ok(Some(creation))
            }
            Err(StoreError::Database(sqlx::Error::Database(_))) if new.len() > 1 => {
                tx.rollback().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What [`create`] did.
#[derive(Debug)]
pub(crate) struct Creation {
    /// What became of each run.
    pub(crate) runs: Vec<Created>,
    /// What of them, and of others that waited, started.
    pub(crate) started: StartedRuns,
}

/// Makes runs within a transaction, which then holds the places of their DAGs: `max_active_runs` is counted below them.
pub(crate) async fn create(
    tx: &mut Transaction<'static, Postgres>,
    new: &[NewRun],
) -> Result<Creation, StoreError> {
    let dags: BTreeSet<i32> = new.iter().map(|it| it.dag_key.get()).collect();
    let dags: Vec<i32> = dags.into_iter().collect();
    let mut created: Vec<Option<Created>> = vec![None; new.len()];
    let mut left: Vec<usize> = (0..new.len()).collect();
    while !left.is_empty() {
        let (now, later) = with_keys_apart(new, left);
        insert(tx, new, &now, &mut created).await?;
        left = later;
    }
    let mut runs = created
        .into_iter()
        .map(|it| it.ok_or_else(no_answer))
        .collect::<Result<Vec<_>, _>>()?;
    let deadlines: Vec<(DagRunId, Timestamp)> = runs
        .iter()
        .zip(new)
        .filter_map(|(it, new)| match it {
            Created::New { dag_run_id, .. } => Some((*dag_run_id, new.deadline_at?)),
            Created::Same { .. } | Created::KeyTaken | Created::Exists { .. } => None,
        })
        .collect();
    set_deadlines(tx, &deadlines).await?;
    let mut all_started = StartedRuns::default();
    if runs.iter().any(|it| matches!(it, Created::New { .. })) {
        let started = start_queued(tx, &dags).await?;
        for it in &mut runs {
            if let Created::New {
                dag_run_id,
                started_at,
                ..
            } = it
            {
                *started_at = started.runs.get(dag_run_id).copied();
            }
        }
        all_started = started.into();
    }
    Ok(Creation {
        runs,
        started: all_started,
    })
}

/// Those that go together, and those that must see what became of an earlier one with the same idempotency key.
fn with_keys_apart(new: &[NewRun], left: Vec<usize>) -> (Vec<usize>, Vec<usize>) {
    let mut keys = HashSet::new();
    left.into_iter()
        .partition(|at| match &new[*at].idempotency {
            Some(it) => keys.insert((&it.principal, &it.key)),
            None => true,
        })
}

async fn insert(
    tx: &mut Transaction<'static, Postgres>,
    new: &[NewRun],
    at: &[usize],
    created: &mut [Option<Created>],
) -> Result<(), StoreError> {
    fn column<'a, T>(new: &'a [NewRun], at: &[usize], of: impl Fn(&'a NewRun) -> T) -> Vec<T> {
        at.iter().map(|at| of(&new[*at])).collect()
    }
    fn key<'a, T>(it: &'a NewRun, of: impl Fn(&'a Idempotency) -> T) -> Option<T> {
        it.idempotency.as_ref().map(of)
    }
    let rows = sqlx::query_file!(
        "src/runs/create.sql",
        rand::random_range(0..RANDOM),
        &column(new, at, |it| it.dag_key.get()),
        &column(new, at, |it| it.dag_version_id.get()),
        &column(new, at, |it| it.run_id.as_str()) as _,
        &column(new, at, |it| letter(it.run_type.letter())) as _,
        &column(new, at, |it| letter(it.run_type.kind())) as _,
        &column(new, at, |it| it.logical_at.to_sqlx()) as _,
        &column(new, at, |it| it.interval_start.to_sqlx()) as _,
        &column(new, at, |it| it.interval_end.to_sqlx()) as _,
        &column(new, at, |it| Json(&it.params)) as _,
        &column(new, at, |it| it.note.as_deref()) as _,
        &column(new, at, |it| it.triggered_by.as_deref()) as _,
        &column(new, at, |it| key(it, |key| key.principal.as_str())) as _,
        &column(new, at, |it| key(it, |key| key.key.as_str())) as _,
        &column(new, at, |it| key(it, |key| key.body_hash.as_slice())) as _,
        &column(new, at, |it| it.backfill_id) as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut refused = vec![];
    for (at, row) in at.iter().zip(rows) {
        let new = &new[*at];
        created[*at] = match row.queued_at {
            Some(queued_at) => Some(Created::New {
                dag_run_id: DagRunId(row.dag_run_id),
                queued_at: queued_at.to_jiff(),
                started_at: None,
            }),
            None => match (&new.idempotency, row.is_key_taken) {
                (Some(it), true) => Some(first_of_key(tx, it).await?),
                _ => {
                    refused.extend(&new.idempotency);
                    Some(first_of_name(tx, new).await?)
                }
            },
        };
    }
    if !refused.is_empty() {
        // The key that was taken for a run must not stay without it.
        sqlx::query!(
            "delete from trigger_key k using unnest($1::text[], $2::text[]) it (principal, key)
            where k.principal = it.principal and k.key = it.key",
            &refused
                .iter()
                .map(|it| it.principal.as_str())
                .collect::<Vec<_>>() as _,
            &refused.iter().map(|it| it.key.as_str()).collect::<Vec<_>>() as _
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// What an idempotency key stands for.
///
/// The same key may come at once for two DAGs: the insert then waited for the other transaction, and this statement
/// sees what that one made.
async fn first_of_key(
    tx: &mut Transaction<'static, Postgres>,
    it: &Idempotency,
) -> Result<Created, StoreError> {
    let before = sqlx::query!(
        "select k.body_hash, k.dag_run_id, r.run_id
        from trigger_key k join run_key r using (dag_run_id) where k.principal = $1 and k.key = $2",
        it.principal,
        it.key
    )
    .fetch_one(&mut **tx)
    .await?;
    if before.body_hash != it.body_hash {
        return Ok(Created::KeyTaken);
    }
    Ok(Created::Same {
        dag_run_id: DagRunId(before.dag_run_id),
        run_id: before.run_id,
    })
}

/// The run that has the name, or the interval.
async fn first_of_name(
    tx: &mut Transaction<'static, Postgres>,
    new: &NewRun,
) -> Result<Created, StoreError> {
    let there = sqlx::query!(
        "select dag_run_id, run_id from run_key
        where dag_key = $1 and (run_id = $2 or (kind = 's' and $3 = 's'::\"char\" and logical_at = $4))
        order by run_id = $2 desc limit 1",
        new.dag_key.get(),
        new.run_id,
        letter(new.run_type.kind()),
        new.logical_at.to_sqlx()
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Created::Exists {
        dag_run_id: DagRunId(there.dag_run_id),
        run_id: there.run_id,
    })
}

fn no_answer() -> StoreError {
    StoreError::Unreadable {
        table: "dag_run",
        what: "no row about a run to be made".to_owned(),
    }
}
