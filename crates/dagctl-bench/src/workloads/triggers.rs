//! W4: from asking for a run to the start of its first task, on an idle system.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use anyhow::ensure;

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::report::percentile;
use crate::row::{Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

pub(super) const WORKLOAD: Workload = Workload {
    key: "W4",
    name: "triggers",
    about: "from a trigger to the first start on an idle system, through REST and through the command line",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

/// Long enough for everything that the last trigger set off to end.
const PAUSE: Duration = Duration::from_millis(50);

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let standalone = bench.standalone(Wanted::default()).await?;
    let mut rows = vec![];
    standalone.add_dag("one", &dag_file::chain(1)).await?;
    let times = bench.size(200, 20);
    rows.extend(by_rest(&standalone, times).await?);
    rows.push(by_command(bench, &standalone, bench.size(50, 5)).await?);
    standalone.stop().await?;
    Ok(rows)
}

async fn by_rest(standalone: &Standalone, times: usize) -> anyhow::Result<Vec<Row>> {
    const WARM_UP: usize = 10;
    let (mut asked, mut answers) = (vec![], vec![]);
    for at in 0..WARM_UP + times {
        tokio::time::sleep(PAUSE).await;
        let begun = (SystemTime::now(), Instant::now());
        standalone.rest.trigger("one").await?;
        if at >= WARM_UP {
            asked.push(
                begun
                    .0
                    .duration_since(SystemTime::UNIX_EPOCH)?
                    .as_secs_f64(),
            );
            answers.push(milliseconds(begun.1.elapsed()));
        }
    }
    standalone.until_ended("one", WARM_UP + times).await?;
    // The database is on this machine: its clock is ours.
    let stamps: Vec<(f64, f64)> = sqlx::query_as(
        "select extract(epoch from r.queued_at)::float8, extract(epoch from t.started_at)::float8
         from dag_run r join dag using (dag_key) join task_instance t using (dag_run_id)
         where dag_id = 'one' order by r.dag_run_id offset $1",
    )
    .bind(i64::try_from(WARM_UP)?)
    .fetch_all(&standalone.db)
    .await?;
    let since = |from: &dyn Fn(usize) -> f64| -> Vec<f64> {
        let starts = stamps.iter().enumerate();
        starts
            .map(|(at, (_, start))| (start - from(at)) * 1000.0)
            .collect()
    };
    let (from_asked, from_queued) = (since(&|at| asked[at]), since(&|at| stamps[at].0));
    let row =
        |what: &str, times: &[f64], part| Row::new(what, share(times, part), Unit::MILLISECONDS);
    Ok(vec![
        row("REST: asked → first start, p50", &from_asked, 0.5).target(Target::Figure(4.0)),
        row("REST: asked → first start, p99", &from_asked, 0.99),
        row("REST: run queued → first start, p50", &from_queued, 0.5),
        row("REST: asked → answered, p50", &answers, 0.5),
        row("REST: asked → answered, p99", &answers, 0.99),
    ])
}

/// The whole process of `dagctl trigger`, from its start to its end.
async fn by_command(bench: &Bench, standalone: &Standalone, times: usize) -> anyhow::Result<Row> {
    let mut walls = vec![];
    for _ in 0..times {
        tokio::time::sleep(PAUSE).await;
        let mut command = standalone
            .place
            .command(bench.program(), &["trigger", "one"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let status = command.spawn()?.wait().await?;
        walls.push(milliseconds(begun.elapsed()));
        ensure!(status.success(), "`dagctl trigger one` failed");
    }
    Ok(Row::new(
        "dagctl trigger, the whole process, p50",
        share(&walls, 0.5),
        Unit::MILLISECONDS,
    )
    .target(Target::Figure(20.0)))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn share(times: &[f64], share: f64) -> f64 {
    percentile(times.iter().copied(), share).unwrap_or_default()
}
