//! The floors alone: what plain SQL reaches on this machine, to compare machines, and floors with other programs' figures.

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::floors::{chain, commit, create, cycle::Cycle};
use crate::report::percentile;
use crate::row::{Row, Unit};
use crate::standalone::Wanted;

pub(super) const WORKLOAD: Workload = Workload {
    key: "FLOORS",
    name: "floors",
    about: "the floors alone: what plain SQL reaches on this machine",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let standalone = bench.standalone(Wanted::default()).await?;
    let url = &standalone.floor_url;
    let times = bench.size(1_000, 100);
    let commit = commit::measure(url, times).await?;
    let cycle = Cycle::prepare(&standalone.floor_db, bench.is_quick())
        .await?
        .measure()
        .await?;
    let made = create::one_run(url, 10_000, bench.size(50, 2)).await?;
    let mut rows = vec![
        Row::new("commit of one row: p50", commit, Unit::MILLISECONDS),
        Row::new("cycle", cycle, Unit::TASKS_PER_SECOND),
        Row::new("10,000 task rows made", made, Unit::MILLISECONDS),
    ];
    for (name, hops) in [
        ("hop, same worker", chain::fused(url, times).await?),
        ("hop, other worker", chain::listen(url, times).await?),
    ] {
        for (share_name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let time = percentile(hops.iter().copied(), share).unwrap_or_default();
            rows.push(Row::new(
                format!("{name}: {share_name}"),
                time,
                Unit::MILLISECONDS,
            ));
        }
    }
    standalone.stop().await?;
    Ok(rows)
}
