//! The workloads, one file each.
//!
//! A new one is a file with a `WORKLOAD` and a line in [`all`].

use anyhow::bail;
use futures::future::LocalBoxFuture;
use serde::Serialize;

use crate::bench::Bench;
use crate::row::Row;

mod chain;
mod fan_out;
mod files;
mod flat;
mod floors;
mod http;
mod idle;
mod many_runs;
mod pages;
mod shell;
mod summary;
mod triggers;

/// What a workload gives: its lines, the same words in every round.
pub(crate) type Measured<'a> = LocalBoxFuture<'a, anyhow::Result<Vec<Row>>>;

/// Something that users wait for, at a size that shows its limit.
#[derive(Debug, Serialize)]
pub struct Workload {
    /// Its short name, such as `W1`.
    pub key: &'static str,
    /// Its name in words, such as `fan-out`.
    pub name: &'static str,
    /// What it does, in a sentence without a full stop.
    pub about: &'static str,
    /// Carries it out.
    #[serde(skip)]
    pub(crate) run: fn(&mut Bench) -> Measured<'_>,
}

/// Every workload, in the order of their numbers.
#[must_use]
pub fn all() -> &'static [&'static Workload] {
    &[
        &fan_out::WORKLOAD,
        &chain::WORKLOAD,
        &many_runs::WORKLOAD,
        &triggers::WORKLOAD,
        &idle::WORKLOAD,
        &files::WORKLOAD,
        &pages::WORKLOAD,
        &summary::WORKLOAD,
        &http::WORKLOAD,
        &shell::WORKLOAD,
        &flat::WORKLOAD,
        &floors::WORKLOAD,
    ]
}

/// The workload of a key, a number or a name: `W1`, `w1`, `1` and `fan-out` are the same.
///
/// # Errors
///
/// Says which there are.
pub fn find(name: &str) -> anyhow::Result<&'static Workload> {
    let wanted = name.to_lowercase().replace('_', "-");
    let found = all().iter().find(|it| {
        let key = it.key.to_lowercase();
        wanted == it.name || wanted == key || format!("w{wanted}") == key
    });
    match found {
        Some(workload) => Ok(workload),
        None => {
            let names: Vec<String> = all()
                .iter()
                .map(|it| format!("{} {}", it.key, it.name))
                .collect();
            bail!(
                "no workload is called `{name}`: there are {}; `dagctl bench --list` says what each does",
                names.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_found_by_key_number_and_name() {
        for name in ["W1", "w1", "1", "fan-out", "FAN_OUT"] {
            assert_eq!(find(name).unwrap().key, "W1", "{name}");
        }
        let message = find("W99").unwrap_err().to_string();
        assert!(message.contains("W1 fan-out") && message.contains("--list"));
    }

    #[test]
    fn no_two_workloads_share_a_name() {
        for (at, one) in all().iter().enumerate() {
            for other in &all()[at + 1..] {
                assert!(one.key != other.key && one.name != other.name);
            }
        }
    }
}
