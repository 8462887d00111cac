//! Runs and tasks of other DAGs, as a sensor sees them.

use dagctl_core::ids::{DagRunId, DagVersionId};
use dagctl_core::state::{RunState, Verdict};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::plans::{from_letter, run_state};
use crate::{Store, StoreError};

/// The newest run of a DAG with a logical date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRun {
    /// The run.
    pub dag_run_id: DagRunId,
    /// Its name.
    pub run_id: String,
    /// Where it is defined.
    pub dag_version_id: DagVersionId,
    /// Where it stands.
    pub state: RunState,
}

/// A task instance of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalTask {
    /// Its name.
    pub task_id: String,
    /// How it settled, if it has.
    pub verdict: Option<Verdict>,
}

impl Store {
    /// Whether a DAG of that name is known.
    pub async fn has_dag(&self, dag_id: &str) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            r#"select exists (select from dag where dag_id = $1 and missing_since is null) as "found!""#,
            dag_id
        )
        .fetch_one(self.pool())
        .await?;
        Ok(found)
    }

    /// The newest run of a DAG with that logical date.
    pub async fn external_run(
        &self,
        dag_id: &str,
        logical_at: Timestamp,
    ) -> Result<Option<ExternalRun>, StoreError> {
        // Each kind has its index.
        let found = sqlx::query!(
            "select r.dag_run_id, r.run_id, r.dag_version_id, r.state
            from dag d
            cross join lateral (
                (select dag_run_id from run_key k where k.dag_key = d.dag_key and k.logical_at = $2 and k.kind = 's')
                union all
                (select dag_run_id from run_key k where k.dag_key = d.dag_key and k.logical_at = $2 and k.kind = 'm'
                order by dag_run_id desc limit 1)
            ) k
            join dag_run r using (dag_run_id)
            where d.dag_id = $1
            order by r.dag_run_id desc
            limit 1",
            dag_id,
            logical_at.to_sqlx()
        )
        .fetch_optional(self.pool())
        .await?;
        found
            .map(|row| {
                Ok(ExternalRun {
                    dag_run_id: DagRunId(row.dag_run_id),
                    run_id: row.run_id,
                    dag_version_id: DagVersionId(row.dag_version_id),
                    state: run_state(row.state)?,
                })
            })
            .transpose()
    }

    /// Task instances of a run by their names; a name that its version does not know is left out.
    pub async fn external_tasks(
        &self,
        run: &ExternalRun,
        task_ids: &[String],
    ) -> Result<Vec<ExternalTask>, StoreError> {
        let rows = sqlx::query!(
            r#"select k.task_id, t.state as "state?"
            from dag_task k
            left join task_instance t on t.dag_run_id = $1 and t.task_index = k.task_index
            where k.dag_version_id = $2 and k.task_id = any($3)"#,
            run.dag_run_id.get(),
            run.dag_version_id.get(),
            task_ids
        )
        .fetch_all(self.pool())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| ExternalTask {
                task_id: row.task_id,
                verdict: row
                    .state
                    .and_then(|it| Verdict::from_letter(from_letter(it))),
            })
            .collect())
    }
}
