//! W5: what dagctl costs while it has nothing to do, and how long it takes to be there.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::row::{Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

/// How long a dagctl that has just started is left alone first.
const SETTLE: Duration = Duration::from_secs(3);
/// Starts on existing data; the fastest counts, as nothing makes a start faster than it is.
const STARTS: usize = 3;
const STATEMENTS: Unit = Unit::lower("per minute");
const CORE: Unit = Unit::lower("% of a core");

pub(super) const WORKLOAD: Workload = Workload {
    key: "W5",
    name: "idle",
    about: "start on nothing and on existing data, then memory, time and statements of an idle dagctl",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut standalone = bench.standalone(Wanted::default()).await?;
    let fresh = standalone.start_time;
    standalone
        .add_dag(
            "daily",
            "dag_id: daily\nschedule: '@daily'\ntasks:\n  only: {operator: empty}\n",
        )
        .await?;
    let mut again = Duration::MAX;
    for _ in 0..bench.size(STARTS, 1) {
        let place = standalone.stop_and_keep().await?;
        standalone = Standalone::start(bench.program(), place, Wanted::default()).await?;
        again = again.min(standalone.start_time);
    }
    let mut rows = vec![
        Row::new("start on nothing", fresh.as_secs_f64(), Unit::SECONDS)
            .target(Target::Figure(2.5)),
        Row::new("start on existing data", again.as_secs_f64(), Unit::SECONDS)
            .target(Target::Figure(0.4)),
    ];
    let window = Duration::from_secs(bench.size(30, 2).try_into()?);
    rows.extend(idle(&standalone, window).await?);
    standalone.stop().await?;
    Ok(rows)
}

async fn idle(standalone: &Standalone, window: Duration) -> anyhow::Result<Vec<Row>> {
    for statement in [
        "alter system set log_min_duration_statement = 0",
        "select pg_reload_conf()",
    ] {
        sqlx::query(statement).execute(&standalone.db).await?;
    }
    tokio::time::sleep(SETTLE).await;
    let log = standalone.place.data().join("cluster/server.log");
    let before = std::fs::metadata(&log)
        .with_context(|| format!("no log of Postgres in `{}`", log.display()))?
        .len();
    let process = Process(standalone.pid());
    let ticks = process.ticks();
    tokio::time::sleep(window).await;
    let (ticks_after, resident) = (process.ticks(), process.resident());
    let statements = statements(&log, before)?;
    let mut rows = vec![
        Row::new(
            "statements of an idle dagctl",
            statements * 60.0 / window.as_secs_f64(),
            STATEMENTS,
        )
        .target(Target::Figure(60.0)),
    ];
    // Only Linux tells these.
    if let (Some(ticks), Some(after), Some(resident)) = (ticks, ticks_after, resident) {
        let seconds = (after - ticks) / TICKS_A_SECOND;
        let percent = 100.0 * seconds / window.as_secs_f64();
        rows.push(Row::new("time of an idle dagctl", percent, CORE).target(Target::Figure(0.2)));
        rows.push(
            Row::new("resident memory beside Postgres", resident, Unit::MEBIBYTES)
                .target(Target::Figure(40.0)),
        );
    }
    Ok(rows)
}

/// Statements in the log from that byte on, with the `commit` of transactions.
fn statements(log: &Path, from: u64) -> anyhow::Result<f64> {
    let text = std::fs::read(log)?;
    let new = text.get(usize::try_from(from)?..).unwrap_or_default();
    let count = String::from_utf8_lossy(new)
        .lines()
        .filter(|it| is_statement(it))
        .count();
    Ok(f64::from(u32::try_from(count)?))
}

/// The log tells of parsing and binding too; they belong to the execution that follows.
fn is_statement(line: &str) -> bool {
    line.split_once(" duration: ").is_some_and(|(_, it)| {
        it.split_once(" ms  ")
            .is_some_and(|(_, it)| it.starts_with("statement: ") || it.starts_with("execute "))
    })
}

/// What `/proc` counts processor time in, on every Linux that dagctl runs on.
const TICKS_A_SECOND: f64 = 100.0;

struct Process(u32);

impl Process {
    /// Processor time used so far.
    fn ticks(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(number(11)? + number(12)?)
    }

    /// Memory that it keeps, in MiB.
    fn resident(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_counted_once_however_many_lines_it_has() {
        let log = "\
2026-01-31 10:00:00.000 UTC [7] LOG:  duration: 0.100 ms  parse sqlx_s_1: select 1
2026-01-31 10:00:00.000 UTC [7] LOG:  duration: 0.100 ms  bind sqlx_s_1: select 1
2026-01-31 10:00:00.000 UTC [7] LOG:  duration: 0.100 ms  execute sqlx_s_1: select 1
\twhere true
2026-01-31 10:00:00.000 UTC [7] LOG:  duration: 0.100 ms  statement: rollback
2026-01-31 10:00:00.000 UTC [7] LOG:  checkpoint starting: time
";
        assert_eq!(log.lines().filter(|it| is_statement(it)).count(), 2);
    }
}
