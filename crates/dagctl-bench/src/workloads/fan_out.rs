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
    let turns = bench.size(5, 1);
    let mut rows = vec![];
    for tasks in [500, bench.size(10_000, 1_000)] {
        let dag_id = format!("fan_{tasks}");
        standalone
            .add_dag(&dag_id, &dag_file::fan_out(tasks))
            .await?;
        let (floor, times) = beside(
            Better::Higher,
            async || floor.measure().await,
            async || standalone.run_times(&dag_id, turns).await,
        )
        .await?;
        let (name, tasks) = (format!("{tasks} tasks in one run"), tasks as f64);
        rows.push(
            Row::new(&name, tasks / times.work, Unit::TASKS_PER_SECOND)
                .floor(floor)
                .target(Target::Ratio(0.4)),
        );
        rows.push(Row::new(
            format!("{name}: with its creation"),
            tasks / times.whole,
            Unit::TASKS_PER_SECOND,
        ));
    }
    rows.extend(layered(bench, &standalone, &floor).await?);
    standalone.stop().await?;
    Ok(rows)
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
