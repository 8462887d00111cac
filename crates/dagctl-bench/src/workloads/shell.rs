//! W10: many short processes, against the rate at which this machine starts them at all.

use std::fmt::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file::HEAD;
use crate::floors::beside;
use crate::row::{Better, Row, Target, Unit};
use crate::standalone::Wanted;

/// Enough that a core never waits for the next process.
const SLOTS: usize = 32;
/// The floor starts processes from so many threads.
const THREADS: usize = 2;

pub(super) const WORKLOAD: Workload = Workload {
    key: "W10",
    name: "shell",
    about: "500 shell tasks of `true` in one run",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let (tasks, turns) = (bench.size(500, 50), bench.size(5, 1));
    let standalone = bench.standalone(Wanted::slots(SLOTS)).await?;
    let mut text = HEAD.to_owned();
    for at in 0..tasks {
        let _ = writeln!(text, "  t{at}: {{operator: shell, command: [/bin/true]}}");
    }
    standalone.add_dag("shell", &text).await?;
    let (floor, rate) = beside(
        Better::Higher,
        async || tokio::task::spawn_blocking(move || spawn_floor(tasks)).await?,
        async || {
            #[expect(clippy::cast_precision_loss, reason = "a count of tasks")]
            Ok(tasks as f64 / standalone.run_times("shell", turns).await?.whole)
        },
    )
    .await?;
    standalone.stop().await?;
    let what = format!("{tasks} shell tasks of `true`");
    Ok(vec![
        Row::new(what, rate, Unit::TASKS_PER_SECOND)
            .floor(floor)
            .target(Target::Ratio(0.6)),
    ])
}

/// Processes a second that plain threads start and wait for.
fn spawn_floor(processes: usize) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let starting: Vec<_> = (0..THREADS)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..processes / THREADS {
                    start_one()?;
                }
                Ok::<_, std::io::Error>(())
            })
        })
        .collect();
    for it in starting {
        it.join()
            .map_err(|_| anyhow::anyhow!("a thread that starts processes panicked"))??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of processes")]
    Ok(processes as f64 / begun.elapsed().as_secs_f64())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the floor is the bare start of a process"
)]
fn start_one() -> std::io::Result<()> {
    std::process::Command::new("/bin/true")
        .stdin(Stdio::null())
        .status()
        .map(drop)
}
