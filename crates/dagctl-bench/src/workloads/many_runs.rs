//! W3: a thousand small runs asked for at once, and one large one; their creation counts.

use std::time::Instant;

use anyhow::Context;

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::floors::{beside, create, cycle::Cycle, one_after_the_other};
use crate::report::median;
use crate::row::{Better, Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

/// Requests under way at the same time.
const AT_ONCE: usize = 250;
/// How often all of it is repeated: one takes half a second, and a machine is not always equally fast.
const TURNS: usize = 5;
/// Tasks of a diamond.
const DIAMOND: usize = 6;

pub(super) const WORKLOAD: Workload = Workload {
    key: "W3",
    name: "many-runs",
    about: "1,000 runs of a 6-task diamond triggered at once, and a run of 10,000 tasks created",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let standalone = bench.standalone(Wanted::slots(500)).await?;
    let mut rows = diamonds(bench, &standalone).await?;
    rows.extend(large(bench, &standalone).await?);
    standalone.stop().await?;
    Ok(rows)
}

async fn diamonds(bench: &Bench, standalone: &Standalone) -> anyhow::Result<Vec<Row>> {
    let runs = bench.size(1_000, 20);
    let cycle = Cycle::prepare(&standalone.floor_db, bench.is_quick()).await?;
    standalone.add_dag("diamond", &dag_file::diamond()).await?;
    let (floor, (rate, asked)) = beside(
        Better::Higher,
        async || {
            let made = create::many_runs(&standalone.floor_url, runs, DIAMOND).await?;
            Ok(one_after_the_other(made, cycle.measure().await?))
        },
        async || {
            let (mut rates, mut asked) = (vec![], vec![]);
            for turn in 1..=TURNS {
                let begun: f64 = now(standalone).await?;
                let clock = Instant::now();
                standalone
                    .rest
                    .trigger_many("diamond", runs, AT_ONCE)
                    .await?;
                asked.push(runs as f64 / clock.elapsed().as_secs_f64());
                standalone.until_ended("diamond", turn * runs).await?;
                let ended: f64 = sqlx::query_scalar(
                    "select extract(epoch from max(finished_at))::float8 from dag_run join dag using (dag_key)
                     where dag_id = 'diamond'",
                )
                .fetch_one(&standalone.db)
                .await?;
                rates.push((runs * DIAMOND) as f64 / (ended - begun));
            }
            Ok((
                median(rates).context("no run was made")?,
                median(asked).context("no run was made")?,
            ))
        },
    )
    .await?;
    Ok(vec![
        Row::new(
            format!("{runs} diamonds, creation included"),
            rate,
            Unit::TASKS_PER_SECOND,
        )
        .floor(floor)
        .target(Target::Ratio(0.35)),
        Row::new(
            format!("{runs} diamonds: triggers answered"),
            asked,
            Unit::higher("runs/s"),
        ),
    ])
}

async fn large(bench: &Bench, standalone: &Standalone) -> anyhow::Result<Vec<Row>> {
    let (tasks, times) = (bench.size(10_000, 1_000), bench.size(7, 2));
    standalone
        .add_dag("large", &dag_file::layered(tasks, tasks / 5))
        .await?;
    let (floor, (answered, started)) = beside(
        Better::Lower,
        async || create::one_run(&standalone.floor_url, tasks, times).await,
        async || {
            let (mut answered, mut started) = (vec![], vec![]);
            for run in 1..=times {
                let begun = now(standalone).await?;
                let clock = Instant::now();
                let made = standalone.rest.trigger("large").await?;
                answered.push(clock.elapsed().as_secs_f64() * 1e3);
                standalone.until_ended("large", run).await?;
                let first: f64 = sqlx::query_scalar(
                    "select extract(epoch from min(started_at))::float8 from task_instance where dag_run_id = $1",
                )
                .bind(made.dag_run_id.parse::<i64>()?)
                .fetch_one(&standalone.db)
                .await?;
                started.push((first - begun) * 1e3);
            }
            Ok((
                median(answered).context("no run was made")?,
                median(started).context("no run was made")?,
            ))
        },
    )
    .await?;
    Ok(vec![
        Row::new(
            format!("run of {tasks} tasks: created"),
            answered,
            Unit::MILLISECONDS,
        )
        .floor(floor)
        .target(Target::Ratio(2.0)),
        Row::new(
            format!("run of {tasks} tasks: first task started"),
            started,
            Unit::MILLISECONDS,
        )
        .floor(floor),
    ])
}

/// Seconds since 1970 by the database's clock.
async fn now(standalone: &Standalone) -> anyhow::Result<f64> {
    Ok(
        sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8")
            .fetch_one(&standalone.db)
            .await?,
    )
}
