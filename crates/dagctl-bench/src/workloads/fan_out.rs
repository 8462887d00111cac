//! W1: many no-op tasks at once, in one run and in many.

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::floors::{beside, cycle::Cycle};
use crate::row::{Better, Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

/// So many tasks at once that a batch is as large as the floor's.
const SLOTS: usize = 1000;

pub(super) const WORKLOAD: Workload = Workload {
    key: "W1",
    name: "fan-out",
    about: "500 and 10,000 no-op tasks in one run, and 300 layered runs of 100",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let standalone = bench.standalone(Wanted::slots(SLOTS)).await?;
    let floor = Cycle::prepare(&standalone.floor_db, bench.is_quick()).await?;
    let mut rows = vec![];
    for tasks in [500, bench.size(10_000, 1_000)] {
        let dag_id = format!("fan_{tasks}");
        standalone
            .add_dag(&dag_id, &dag_file::fan_out(tasks))
            .await?;
        let (floor, rate) = beside(
            Better::Higher,
            async || floor.measure().await,
            async || one_run(&standalone, &dag_id, tasks).await,
        )
        .await?;
        rows.push(
            Row::new(
                format!("{tasks} tasks in one run"),
                rate,
                Unit::TASKS_PER_SECOND,
            )
            .floor(floor)
            .target(Target::Ratio(0.4)),
        );
    }
    rows.extend(layered(bench, &standalone, &floor).await?);
    standalone.stop().await?;
    Ok(rows)
}

async fn one_run(standalone: &Standalone, dag_id: &str, tasks: usize) -> anyhow::Result<f64> {
    standalone.rest.trigger(dag_id).await?;
    standalone.until_ended(dag_id, 1).await?;
    standalone.tasks_per_second(dag_id, tasks).await
}

async fn layered(
    bench: &Bench,
    standalone: &Standalone,
    floor: &Cycle,
) -> anyhow::Result<Vec<Row>> {
    const TASKS: usize = 100;
    let runs = bench.size(300, 10);
    standalone
        .add_dag("layered", &dag_file::layered(TASKS, 10))
        .await?;
    let (floor, (rate, spent)) = beside(
        Better::Higher,
        async || floor.measure().await,
        async || {
            let drained = standalone.drain("layered", runs, TASKS).await?;
            Ok((drained.rate, drained.before.since(&standalone.db).await?))
        },
    )
    .await?;
    let all = (runs * TASKS) as f64;
    let name = format!("{runs} layered runs of {TASKS}");
    Ok(vec![
        Row::new(&name, rate, Unit::TASKS_PER_SECOND)
            .floor(floor)
            .target(Target::Ratio(0.4)),
        Row::new(
            format!("{name}: transactions"),
            spent.commits / all,
            Unit::lower("per task"),
        ),
        Row::new(
            format!("{name}: write-ahead log"),
            spent.wal_bytes / all,
            Unit::lower("B per task"),
        ),
    ])
}
