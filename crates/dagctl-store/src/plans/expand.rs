//! Mapped tasks: their instances made, and counted as they settle.

use std::collections::BTreeSet;

use dagctl_core::ids::WorkerId;
use dagctl_core::run::{Action, Move};
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use super::{LockedRun, Look, Orders};
use crate::StoreError;

impl Look {
    /// Makes the instances of mapped tasks that were expanded in this look. Seldom more than one, so one by one.
    pub(super) async fn expand(
        &mut self,
        run: &LockedRun,
        orders: &Orders<'_>,
        moves: &[&Move],
    ) -> Result<(), StoreError> {
        for it in moves {
            let (Action::Expand { items }, Some(ended)) =
                (&it.action, orders.ended.get(&it.instance()))
            else {
                continue;
            };
            let items: Vec<Value> = items.iter().cloned().map(Value::Object).collect();
            sqlx::query_file!(
                "src/plans/expand.sql",
                run.dag_run_id.get(),
                run.dag_version_id.get(),
                it.task.get(),
                ended.row.key.attempt.get(),
                ended.row.lost,
                orders.worker.map(WorkerId::get),
                &items,
                ended.row.queued_at.to_sqlx() as _,
                ended.row.claimed_at.map(|it| it.to_sqlx()) as _
            )
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Counts anew how many instances have not settled, of the mapped tasks of which this look settled some.
    pub(super) async fn count_instances(
        &mut self,
        run: &LockedRun,
        moves: &[&Move],
    ) -> Result<(), StoreError> {
        let settled = moves
            .iter()
            .filter(|it| it.map_index.get() >= 0 && matches!(it.action, Action::Settle { .. }));
        let tasks: BTreeSet<i32> = settled.map(|it| it.task.get()).collect();
        if tasks.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "update task_instance t set open_instances = (
                select count(*) from task_instance i
                where i.dag_run_id = $1 and i.task_index = t.task_index and i.map_index >= 0 and i.state = 'n'
            )
            where t.dag_run_id = $1 and t.task_index = any($2) and t.map_index = -1 and t.open_instances is not null",
            run.dag_run_id.get(),
            &Vec::from_iter(tasks)
        )
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
