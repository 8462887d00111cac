//! Measures how close a dagctl comes to the limit of its Postgres, on whatever machine it runs.
//!
//! Everything goes through the front door: the bench spawns `dagctl standalone` on a throwaway folder, writes DAG files,
//! speaks REST, and reads the results from the database. Floors are plain SQL in a database of their own on the same
//! cluster, measured directly before and after what they are compared with; the better of the two counts.

mod bench;
mod counters;
mod dag_file;
mod drain;
mod flood;
mod floors;
mod history;
mod place;
mod process;
mod report;
mod rest;
mod row;
mod standalone;
mod workloads;

use anyhow::Context;

pub use crate::bench::Settings;
pub use crate::report::{Machine, Report};
pub use crate::row::{Better, Row, Target, Unit};
pub use crate::workloads::{Workload, all, find};

use crate::bench::Bench;

/// Runs the workloads one after the other, as often as `settings` say. Nothing is left behind, not even when this is dropped.
///
/// # Errors
///
/// A workload that fails ends the bench: a table with holes would be taken for a whole one.
pub async fn run(
    settings: Settings,
    workloads: &[&Workload],
    say: &dyn Fn(&str),
) -> anyhow::Result<Report> {
    let mut rounds = vec![];
    let repeat = settings.repeat.max(1);
    let quick = settings.quick;
    let mut bench = Bench::new(settings);
    for round in 1..=repeat {
        for workload in workloads {
            say(&match repeat {
                1 => format!("{} {}: {} …", workload.key, workload.name, workload.about),
                _ => format!(
                    "{} {}, round {round} of {repeat} …",
                    workload.key, workload.name
                ),
            });
            let rows = (workload.run)(&mut bench)
                .await
                .with_context(|| format!("{} {} failed", workload.key, workload.name))?;
            rounds.extend(rows.into_iter().map(|row| (workload.key, row)));
        }
    }
    Ok(Report::new(bench.machine(), quick, repeat, rounds))
}
