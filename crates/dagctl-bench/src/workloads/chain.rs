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
        let hops = hops(&standalone, &dag_id, runs).await?;
        let after = chain::fused(&standalone.floor_url, long).await?;
        rows.extend(lines(&format!("chain of {tasks}"), &hops, &before, &after));
    }
    rows.extend(to_and_fro(bench, &standalone).await?);
    let commit = commit::measure(&standalone.floor_url, long).await?;
    rows.push(Row::new(
        "one commit of one row, plain SQL: p50",
        commit,
        Unit::MILLISECONDS,
    ));
    standalone.stop().await?;
    Ok(rows)
}

/// Two more processes, each with the tasks of its own queue, so that every hop is one to the other process.
async fn to_and_fro(bench: &Bench, standalone: &Standalone) -> anyhow::Result<Vec<Row>> {
    let (tasks, runs) = (bench.size(300, 30), bench.size(3, 1));
    let text = dag_file::alternating(tasks, ["left", "right"]);
    standalone.add_dag("to_and_fro", &text).await?;
    let left = standalone.add_worker(&["--queues", "left"]).await?;
    let right = standalone.add_worker(&["--queues", "right"]).await?;
    let before = chain::listen(&standalone.floor_url, tasks).await?;
    let hops = hops(standalone, "to_and_fro", runs).await?;
    let after = chain::listen(&standalone.floor_url, tasks).await?;
    left.stop().await?;
    right.stop().await?;
    let name = format!("chain of {tasks} between two processes");
    Ok(lines(&name, &hops, &before, &after))
}

/// The middle and the end of the hops, against the better of the two floors.
fn lines(name: &str, hops: &[f64], before: &[f64], after: &[f64]) -> Vec<Row> {
    let line = |name: &str, share| {
        let of = |times: &[f64]| percentile(times.iter().copied(), share).unwrap_or_default();
        Row::new(name, of(hops), Unit::MILLISECONDS).floor(of(before).min(of(after)))
    };
    vec![
        line(&format!("{name}: hop p50"), 0.5).target(Target::Ratio(1.7)),
        line(&format!("{name}: hop p99"), 0.99),
    ]
}

/// Runs a chain so many times, one run after the other. Gives the milliseconds from the start of each task to that of the
/// next one of its run, by the database's stamps.
async fn hops(standalone: &Standalone, dag_id: &str, runs: usize) -> anyhow::Result<Vec<f64>> {
    for run in 1..=runs {
        standalone.rest.trigger(dag_id).await?;
        standalone.until_ended(dag_id, run).await?;
    }
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
