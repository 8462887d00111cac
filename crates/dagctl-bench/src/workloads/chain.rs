//! W2: no-op tasks in a row; what counts is the time of a hop from one task to the next.

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::floors::{chain, commit};
use crate::report::percentile;
use crate::row::{Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

pub(super) const WORKLOAD: Workload = Workload {
    key: "W2",
    name: "chain",
    about: "chains of 30 and 1,000 no-op tasks, hop by hop",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let standalone = bench.standalone(Wanted::default()).await?;
    let long = bench.size(1_000, 100);
    let mut rows = vec![];
    for (tasks, runs) in [(30, bench.size(20, 3)), (long, bench.size(3, 1))] {
        let dag_id = format!("chain_{tasks}");
        standalone.add_dag(&dag_id, &dag_file::chain(tasks)).await?;
        let before = chain::fused(&standalone.floor_url, long).await?;
        for run in 1..=runs {
            standalone.rest.trigger(&dag_id).await?;
            standalone.until_ended(&dag_id, run).await?;
        }
        let after = chain::fused(&standalone.floor_url, long).await?;
        let hops = hops(&standalone, &dag_id).await?;
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let of = |times: &[f64]| percentile(times.iter().copied(), share).unwrap_or_default();
            let row = Row::new(
                format!("chain of {tasks}: hop {name}"),
                of(&hops),
                Unit::MILLISECONDS,
            )
            .floor(of(&before).min(of(&after)));
            rows.push(match name {
                "p50" => row.target(Target::Ratio(1.7)),
                _ => row,
            });
        }
    }
    let commit = commit::measure(&standalone.floor_url, long).await?;
    rows.push(Row::new(
        "one commit of one row, plain SQL: p50",
        commit,
        Unit::MILLISECONDS,
    ));
    standalone.stop().await?;
    Ok(rows)
}

/// Milliseconds from the start of each task to that of the next one of its run, by the database's stamps.
async fn hops(standalone: &Standalone, dag_id: &str) -> anyhow::Result<Vec<f64>> {
    let hops: Vec<Option<f64>> = sqlx::query_scalar(
        "select extract(epoch from t.started_at - lag(t.started_at) over (partition by t.dag_run_id order by t.started_at))
            ::float8 * 1000
         from task_instance t join dag_run using (dag_run_id) join dag using (dag_key) where dag_id = $1",
    )
    .bind(dag_id)
    .fetch_all(&standalone.db)
    .await?;
    Ok(hops.into_iter().flatten().collect())
}
