//! DAGs as lists and pages show them.

use std::collections::HashMap;

use dagctl_core::ids::{DagKey, DagVersionId};
use dagctl_core::state::RunState;
use jiff::Timestamp;
use jiff_sqlx::Timestamp as At;

use super::letter;
use super::runs::RunBar;
use crate::{Store, StoreError};

/// A DAG.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRow {
    /// Its key.
    pub dag_key: DagKey,
    /// Its name.
    pub dag_id: String,
    /// Whether its schedule is off.
    pub is_paused: bool,
    /// Why dagctl itself paused it, where it did.
    pub pause_reason: Option<String>,
    /// Its last good version.
    pub version: Option<DagVersionId>,
    /// The file that defines it.
    pub file: String,
    /// Since when its file is gone.
    pub missing_since: Option<Timestamp>,
    /// One line about it.
    pub description: Option<String>,
    /// Words to filter by.
    pub tags: Vec<String>,
    /// Whose it is.
    pub owner: Option<String>,
    /// When it runs, in words.
    pub schedule: Option<String>,
    /// The zone of its schedule.
    pub timezone: String,
    /// Runs under way at once.
    pub max_active_runs: i32,
    /// How many tasks it has.
    pub task_count: i32,
    /// When its next scheduled run is made.
    pub next_due_at: Option<Timestamp>,
    /// How many problems its file has.
    pub problem_count: i64,
    /// How many of them keep its newest text from being used.
    pub error_count: i64,
    /// How many errors its newest text has although it is used.
    pub flaw_count: i64,
}

/// Which DAGs a list shows.
#[derive(Debug, Clone, Default)]
pub struct DagFilter {
    /// A part of the name or of the description, as typed.
    pub search: Option<String>,
    /// A tag they have.
    pub tag: Option<String>,
    /// The state of the last run.
    pub last_state: Option<RunState>,
    /// Whether they are paused.
    pub is_paused: Option<bool>,
    /// Names after this one.
    pub after: Option<String>,
    /// How many at most.
    pub limit: i64,
}

/// A task of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagTaskRow {
    /// Its place, upstream first.
    pub task_index: i32,
    /// Its name.
    pub task_id: String,
    /// What does it.
    pub operator: String,
    /// Whose slots it uses.
    pub pool: String,
    /// The places of the tasks it waits for.
    pub upstream: Vec<i32>,
}

/// A version's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its hash, as hexadecimal digits.
    pub hash: String,
    /// The commit of its text, where known.
    pub git_commit: Option<String>,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// Its texts by path, the DAG's own first.
    pub files: Vec<(String, String)>,
}

impl Store {
    /// DAGs by name. Those whose file is gone stay as long as they have runs to show.
    pub async fn dag_rows(&self, filter: &DagFilter) -> Result<Vec<DagRow>, StoreError> {
        let rows = sqlx::query_file!(
            "src/views/dag_rows.sql",
            filter.search.as_deref().map(like),
            filter.tag,
            filter.last_state.map(|it| it.letter() as i8),
            filter.is_paused,
            filter.after,
            filter.limit
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows.into_iter().map(|row| dag_row!(row)).collect())
    }

    /// The DAG of a name.
    pub async fn dag_row(&self, dag_id: &str) -> Result<Option<DagRow>, StoreError> {
        let row = sqlx::query_file!("src/views/dag_row.sql", dag_id)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| dag_row!(row)))
    }

    /// The key of a DAG that [`Store::dag_row`] finds.
    pub async fn shown_dag(&self, dag_id: &str) -> Result<Option<DagKey>, StoreError> {
        let key = sqlx::query_scalar!(
            "select dag_key from dag
             where dag_id = $1 and (missing_since is null or last_dag_run_id is not null)",
            dag_id
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(key.map(DagKey))
    }

    /// The newest runs of each DAG, newest first, `count` of each at most.
    pub async fn last_runs(
        &self,
        dags: &[DagKey],
        count: i64,
    ) -> Result<HashMap<DagKey, Vec<RunBar>>, StoreError> {
        let keys: Vec<i32> = dags.iter().map(|it| it.get()).collect();
        let rows = sqlx::query_file!("src/views/last_runs.sql", &keys, count)
            .fetch_all(self.pool())
            .await?;
        let mut runs = HashMap::with_capacity(rows.len());
        for row in rows {
            let times = row.queued_at.into_iter().zip(row.started_at);
            let bars = row
                .run_ids
                .into_iter()
                .zip(row.states)
                .zip(times.zip(row.finished_at))
                .map(
                    |((run_id, state), ((queued_at, started_at), finished_at))| {
                        Ok(RunBar {
                            run_id,
                            state: letter("dag_run", state, RunState::from_letter)?,
                            queued_at: queued_at.to_jiff(),
                            started_at: started_at.map(At::to_jiff),
                            finished_at: finished_at.map(At::to_jiff),
                        })
                    },
                )
                .collect::<Result<_, StoreError>>()?;
            runs.insert(DagKey(row.dag_key), bars);
        }
        Ok(runs)
    }

    /// The first `limit` tasks of a version, upstream first.
    pub async fn version_tasks(
        &self,
        version: DagVersionId,
        limit: i64,
    ) -> Result<Vec<DagTaskRow>, StoreError> {
        let rows = sqlx::query_file!("src/views/version_tasks.sql", version.get(), limit)
            .fetch_all(self.pool())
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| DagTaskRow {
                task_index: row.task_index,
                task_id: row.task_id,
                operator: row.operator,
                pool: row.pool,
                upstream: row.upstream,
            })
            .collect())
    }

    /// The commit of a version's text, where known.
    pub async fn version_commit(
        &self,
        version: DagVersionId,
    ) -> Result<Option<String>, StoreError> {
        let commit = sqlx::query_scalar!(
            "select git_commit from dag_version where dag_version_id = $1",
            version.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(commit.flatten())
    }

    /// The source of a version.
    pub async fn version_source(
        &self,
        version: DagVersionId,
    ) -> Result<Option<VersionRow>, StoreError> {
        let row = sqlx::query!(
            r#"select encode(hash, 'escape') as "hash!", git_commit, created_at, file, files from dag_version
             where dag_version_id = $1"#,
            version.get()
        )
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|row| {
            let mut files: Vec<(String, String)> = row
                .files
                .as_object()
                .into_iter()
                .flatten()
                .map(|(path, text)| (path.clone(), text.as_str().unwrap_or_default().to_owned()))
                .collect();
            files.sort_by_key(|(path, _)| (*path != row.file, path.clone()));
            VersionRow {
                hash: row.hash,
                git_commit: row.git_commit,
                created_at: row.created_at.to_jiff(),
                files,
            }
        }))
    }

    /// Every tag that a DAG has, sorted.
    pub async fn tags(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select distinct unnest(tags) as "tag!" from dag where missing_since is null order by 1"#
        )
        .fetch_all(self.pool())
        .await?)
    }
}

/// A pattern that finds the text anywhere, taken literally.
fn like(text: &str) -> String {
    let literal = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{literal}%")
}

/// Each checked statement has a row type of its own, so a function cannot take them.
macro_rules! dag_row {
    ($row:ident) => {
        DagRow {
            dag_key: DagKey($row.dag_key),
            dag_id: $row.dag_id,
            is_paused: $row.is_paused,
            pause_reason: $row.pause_reason,
            version: $row.active_version_id.map(DagVersionId),
            file: $row.file,
            missing_since: $row.missing_since.map(|it| it.to_jiff()),
            description: $row.description,
            tags: $row.tags,
            owner: $row.owner,
            schedule: $row.schedule,
            timezone: $row.timezone,
            max_active_runs: $row.max_active_runs,
            task_count: $row.task_count,
            next_due_at: $row.next_due_at.map(|it| it.to_jiff()),
            problem_count: $row.problem_count,
            error_count: $row.error_count,
            flaw_count: $row.flaw_count,
        }
    };
}
use dag_row;
