//! Costs that must not grow: a task's, with the size of its DAG, with the history, with the number of worker processes.

use anyhow::Context;

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::history;
use crate::report::median;
use crate::row::{Row, Target, Unit};
use crate::standalone::Wanted;

/// Layers of every DAG here; what grows is their width.
const LAYERS: usize = 5;

pub(super) const WORKLOAD: Workload = Workload {
    key: "W11",
    name: "flat",
    about: "the cost of a task in DAGs of 10 to 10,000 tasks, behind 10 million rows, and with 1 to 8 worker processes",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = sizes(bench).await?;
    rows.extend(past(bench).await?);
    rows.extend(workers(bench).await?);
    Ok(rows)
}

/// The same work with nothing behind it, with a million task instances, with ten.
async fn past(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    const TASKS: usize = 100;
    let standalone = bench.standalone(Wanted::slots(1000)).await?;
    standalone
        .add_dag("old", &dag_file::layered(TASKS, TASKS / LAYERS))
        .await?;
    let (mut filled, mut costs) = (0, vec![]);
    for past in [0, bench.size(10_000, 100), bench.size(100_000, 200)] {
        let past = i32::try_from(past)?;
        if past > filled {
            history::fill(&standalone.db, filled + 1, past - filled).await?;
            filled = past;
        }
        let mut best = f64::MAX;
        for _ in 0..bench.size(3, 1) {
            let drained = standalone.drain("old", bench.size(200, 10), TASKS).await?;
            best = best.min(1e6 / drained.rate);
        }
        costs.push((i64::from(past) * TASKS as i64, best));
    }
    standalone.stop().await?;
    let mut rows: Vec<Row> = costs
        .iter()
        .map(|(behind, cost)| {
            let what = format!("a task with {behind} rows of history");
            Row::new(what, *cost, Unit::lower("µs"))
        })
        .collect();
    let growth = costs[costs.len() - 1].1 / costs[0].1;
    let what = format!(
        "a task's cost from 0 to {} rows of history",
        costs[costs.len() - 1].0
    );
    rows.push(Row::new(what, growth, Unit::TIMES).target(Target::Figure(1.1)));
    Ok(rows)
}

async fn sizes(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let all = bench.size(40_000, 1_000);
    let standalone = bench.standalone(Wanted::slots(1000)).await?;
    let sizes = match bench.is_quick() {
        true => vec![10, 100],
        false => vec![10, 100, 1_000, 10_000],
    };
    for tasks in &sizes {
        let text = dag_file::layered(*tasks, tasks / LAYERS);
        standalone.add_dag(&format!("size_{tasks}"), &text).await?;
    }
    let mut costs = vec![vec![]; sizes.len()];
    // There and back again, so that what the machine does meanwhile hits the first as it hits the last.
    let turns: Vec<usize> = (0..sizes.len()).chain((0..sizes.len()).rev()).collect();
    for at in turns {
        let drained = standalone
            .drain(&format!("size_{}", sizes[at]), all / sizes[at], sizes[at])
            .await?;
        costs[at].push(1e6 / drained.rate);
    }
    standalone.stop().await?;
    let costs: Vec<f64> = costs
        .into_iter()
        .map(|it| median(it).context("nothing ran"))
        .collect::<Result<_, _>>()?;
    let mut rows: Vec<Row> = sizes
        .iter()
        .zip(&costs)
        .map(|(tasks, cost)| {
            Row::new(
                format!("a task in runs of {tasks}"),
                *cost,
                Unit::lower("µs"),
            )
        })
        .collect();
    let (first, last) = (costs[0], costs[costs.len() - 1]);
    rows.push(
        Row::new(
            format!(
                "a task's cost from {} to {} tasks a run",
                sizes[0],
                sizes[sizes.len() - 1]
            ),
            last / first,
            Unit::TIMES,
        )
        .target(Target::Figure(1.2)),
    );
    Ok(rows)
}

async fn workers(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    const TASKS: usize = 100;
    let runs = bench.size(200, 10);
    // Its own worker is the first process.
    let standalone = bench.standalone(Wanted::slots(250)).await?;
    standalone
        .add_dag("shared", &dag_file::layered(TASKS, TASKS / LAYERS))
        .await?;
    let mut more = vec![];
    let mut rates = vec![];
    for processes in [1, 2, 4, 8] {
        while more.len() + 1 < processes {
            more.push(standalone.add_worker(&["--slots", "250"]).await?);
        }
        let mut best = 0.0_f64;
        for _ in 0..bench.size(2, 1) {
            best = best.max(standalone.drain("shared", runs, TASKS).await?.rate);
        }
        rates.push((processes, best));
        if bench.is_quick() && processes == 2 {
            break;
        }
    }
    for it in more {
        it.stop().await?;
    }
    standalone.stop().await?;
    let first = rates[0].1;
    let mut rows: Vec<Row> = rates
        .iter()
        .map(|(processes, rate)| {
            Row::new(
                format!("{processes} worker processes"),
                *rate,
                Unit::TASKS_PER_SECOND,
            )
        })
        .collect();
    let lowest = rates.iter().map(|it| it.1).fold(f64::MAX, f64::min);
    rows.push(
        Row::new(
            "the slowest number of worker processes against one",
            lowest / first,
            Unit::higher("×"),
        )
        .target(Target::Figure(0.9)),
    );
    Ok(rows)
}
