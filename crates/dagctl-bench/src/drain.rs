//! Runs that are all made before their first task may start: what follows is the hot path alone.

use crate::counters::Counters;
use crate::standalone::Standalone;

/// How fast they went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drained {
    /// Tasks a second from the first claim to the end of the last run, by the database's stamps.
    pub(crate) rate: f64,
    /// Where the server's counters stood when the tasks were let go.
    pub(crate) before: Counters,
}

impl Standalone {
    /// Makes `runs` of a DAG with so many `tasks` while its pool is shut, opens the pool, and waits for the end.
    pub(crate) async fn drain(
        &self,
        dag_id: &str,
        runs: usize,
        tasks: usize,
    ) -> anyhow::Result<Drained> {
        let newest: i64 = sqlx::query_scalar(
            "select coalesce(max(dag_run_id), 0) from dag_run join dag using (dag_key) where dag_id = $1",
        )
        .bind(dag_id)
        .fetch_one(&self.db)
        .await?;
        self.rest.set_pool("default_pool", Some(0)).await?;
        self.rest.trigger_many(dag_id, runs, 8).await?;
        let before = Counters::read(&self.db).await?;
        self.rest.set_pool("default_pool", None).await?;
        self.until_ended_after(newest, dag_id, runs).await?;
        let seconds: f64 = sqlx::query_scalar(
            "select extract(epoch from max(r.finished_at) - min(t.started_at))::float8
             from dag_run r join task_instance t using (dag_run_id)
             where dag_run_id > $1 and dag_key = (select dag_key from dag where dag_id = $2)",
        )
        .bind(newest)
        .bind(dag_id)
        .fetch_one(&self.db)
        .await?;
        Ok(Drained {
            rate: (runs * tasks) as f64 / seconds,
            before,
        })
    }
}
