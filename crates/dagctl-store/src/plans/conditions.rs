//! What else a look needs to know where a DAG has branches, or tasks that wait for the run before.

use dagctl_core::ids::{DagKey, DagRunId, TaskIndex};
use serde_json::{Map, Value};

use super::Look;
use crate::{Store, StoreError};

/// A task that waits for the run before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastAsked<'a> {
    /// Its place in this run's version.
    pub task: TaskIndex,
    /// Its name: the version of the run before may have it elsewhere.
    pub task_id: &'a str,
    /// Whether the tasks directly downstream of it in the run before are waited for as well.
    pub with_downstream: bool,
}

impl Look {
    /// The outputs of tasks of a locked run that have any.
    pub async fn outputs_of(
        &mut self,
        run: DagRunId,
        tasks: &[TaskIndex],
    ) -> Result<Vec<(TaskIndex, Map<String, Value>)>, StoreError> {
        let rows = sqlx::query!(
            "select task_index, value from output
            where dag_run_id = $1 and task_index = any($2) and map_index = -1",
            run.get(),
            &tasks.iter().map(|it| it.get()).collect::<Vec<_>>()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let outputs = rows.into_iter().filter_map(|row| match row.value {
            Value::Object(it) => Some((TaskIndex(row.task_index), it)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        });
        Ok(outputs.collect())
    }

    /// Which of these tasks of a locked run are held up by the run before: it has not started, or the task, or one of
    /// those directly downstream that are asked for, neither succeeded nor was skipped there.
    pub async fn held_by_past(
        &mut self,
        run: DagRunId,
        asked: &[PastAsked<'_>],
    ) -> Result<Vec<TaskIndex>, StoreError> {
        let held = sqlx::query_file_scalar!(
            "src/plans/held_by_past.sql",
            run.get(),
            &asked.iter().map(|it| it.task.get()).collect::<Vec<_>>(),
            &asked.iter().map(|it| it.task_id).collect::<Vec<_>>() as _,
            &asked
                .iter()
                .map(|it| it.with_downstream)
                .collect::<Vec<_>>()
        )
        .fetch_all(&mut *self.tx)
        .await?;
        Ok(held.into_iter().map(TaskIndex).collect())
    }

    /// Notes that something happened which later runs of the DAG may wait for.
    pub async fn note_for_later_runs(&mut self, dag: DagKey) -> Result<(), StoreError> {
        sqlx::query!("insert into past_news (dag_key) values ($1)", dag.get())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

/// What runs of a DAG have not been told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PastNews {
    /// What is to be forgotten once they have been looked at.
    pub news: Vec<i64>,
    /// The runs under way.
    pub runs: Vec<DagRunId>,
}

impl Store {
    /// What was noted for later runs of a DAG, and its runs under way.
    pub async fn past_news(&self, dag: DagKey) -> Result<PastNews, StoreError> {
        let row = sqlx::query!(
            r#"select array(select news_id from past_news where dag_key = $1) as "news!",
                array(select dag_run_id from live_run where dag_key = $1 and is_running order by dag_run_id) as "runs!""#,
            dag.get()
        )
        .fetch_one(self.pool())
        .await?;
        Ok(PastNews {
            news: row.news,
            runs: row.runs.into_iter().map(DagRunId).collect(),
        })
    }

    /// Forgets news that every run under way has been looked at for.
    pub async fn forget_past_news(&self, news: &[i64]) -> Result<(), StoreError> {
        sqlx::query!("delete from past_news where news_id = any($1)", news)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}
