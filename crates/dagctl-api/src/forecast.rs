//! `GET /dags/{dag_id}/next` and `GET /simulate`: the runs to come.

use serde::{Deserialize, Serialize};

use crate::assets::AssetEvent;

/// The query of `GET /dags/{dag_id}/next`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextQuery {
    /// How many runs; 5 where it is not set, 500 at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<usize>,
}

/// The coming runs of a DAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRuns {
    /// The DAG.
    pub dag_id: String,
    /// When it runs, in words.
    pub schedule: String,
    /// The zone of its schedule.
    pub timezone: String,
    /// Whether its schedule is off, so that nothing of this happens.
    pub is_paused: bool,
    /// What decides when it runs, where that is not the clock.
    pub instead: Option<String>,
    /// News of tables that it waits for and has not run for, newest first.
    #[serde(default)]
    pub news: Vec<AssetEvent>,
    /// The runs, the next one first.
    pub runs: Vec<NextRun>,
}

/// A coming run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRun {
    /// The start of its data interval.
    pub logical_date: String,
    /// The start of the data it is about.
    pub data_interval_start: String,
    /// The end of the data it is about.
    pub data_interval_end: String,
    /// When it is made.
    pub run_after: String,
    /// What a change of the clocks does to it.
    pub clock: Option<String>,
}

/// The query of `GET /simulate`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulateQuery {
    /// The DAGs to show, with commas between; all where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dags: Option<String>,
    /// Where the virtual clock starts; now where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// Where it stops; a week later where it is not set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
}

/// The runs of many DAGs on a virtual clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// Where the clock starts.
    pub from: String,
    /// Where it stops.
    pub to: String,
    /// The DAGs shown.
    pub dags: Vec<SimulatedDag>,
    /// The runs that start in that time, by start; 1000 at most.
    pub runs: Vec<SimulatedRun>,
    /// Where there are more: the moment that the last of them starts at.
    pub cut_at: Option<String>,
    /// The most runs of all DAGs under way at once.
    pub busiest: Option<Busiest>,
}

/// A DAG of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedDag {
    /// Its name.
    pub dag_id: String,
    /// When it runs, in words.
    pub schedule: String,
    /// How long its runs usually take; absent: it has not succeeded yet, and its runs count as if they took no time.
    pub duration_ms: Option<i64>,
    /// Why it has no runs here, where that is not for its schedule.
    pub left_out: Option<String>,
}

/// A run of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedRun {
    /// Its DAG.
    pub dag_id: String,
    /// The moment it is for.
    pub logical_date: String,
    /// When it is made.
    pub made_at: String,
    /// When it starts.
    pub started_at: String,
    /// When it ends, where it is known how long it takes.
    pub ended_at: Option<String>,
    /// How long it waits for a place below `max_active_runs`.
    pub waits_ms: i64,
    /// Runs of its DAG that are under way when it starts.
    pub beside: u32,
    /// What a change of the clocks does to it.
    pub clock: Option<String>,
    /// The tables whose news it is made for.
    pub news: Vec<String>,
}

/// The most runs under way at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busiest {
    /// Since when.
    pub at: String,
    /// How many.
    pub runs: u32,
}
