//! A run moves to another version of its DAG: what it is made of keeps its task, wherever that stands now.

use dagctl_core::again::Moved;
use dagctl_core::ids::{DagVersionId, TaskIndex};

use super::PastRun;
use crate::StoreError;
use crate::plans::Look;

impl Look {
    /// Moves a run, which this look has locked and of which no worker has a task, to another version. What it knows of
    /// tasks that are not there any more goes, tasks that are new have not begun, and what waits in the queue is
    /// reconsidered.
    pub async fn move_run(
        &mut self,
        run: &PastRun,
        version: DagVersionId,
        moved: &Moved,
    ) -> Result<(), StoreError> {
        let id = run.dag_run_id.get();
        let indexes = |tasks: &[TaskIndex]| tasks.iter().map(|it| it.get()).collect::<Vec<_>>();
        let removed = indexes(&moved.removed);
        let (old, new): (Vec<i32>, Vec<i32>) =
            (moved.kept.iter().map(|(old, new)| (old.get(), new.get()))).unzip();
        sqlx::query_file!("src/again/unqueue.sql", id)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query_file!("src/again/remove.sql", id, &removed)
            .execute(&mut *self.tx)
            .await?;
        // By way of numbers that no task has, so that none meets another on its way.
        sqlx::query_file!("src/again/move_away.sql", id, &old, &new)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query_file!("src/again/move_in.sql", id)
            .execute(&mut *self.tx)
            .await?;
        sqlx::query!(
            "insert into task_instance (dag_run_id, task_index, pending)
            select $1, task_index, 0 from unnest($2::int[]) as it (task_index)",
            id,
            &indexes(&moved.added)
        )
        .execute(&mut *self.tx)
        .await?;
        sqlx::query!(
            "update dag_run set dag_version_id = $2 where dag_run_id = $1",
            id,
            version.get()
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
