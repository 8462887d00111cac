//! W8: the example that builds three summary tables, against the same statements without dagctl.

use std::time::Instant;

use anyhow::Context;
use futures::future::try_join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::floors::beside;
use crate::report::median;
use crate::row::{Better, Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

pub(super) const WORKLOAD: Workload = Workload {
    key: "W8",
    name: "summary",
    about: "the example Build_Summary: three tables built, checked and swapped beside each other",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

const DEMO_DAG: &str = include_str!("../../../../dags/demo_warehouse.yaml");
const SUMMARY_DAG: &str = include_str!("../../../../dags/Build_Summary.yaml");
const DEMO_DATABASE: &str = "demo_warehouse";

/// A summary table: its name, its file, and the column that is its key.
const TABLES: [(&str, &str, Option<&str>); 3] = [
    (
        "channel_summary",
        include_str!("../../../../dags/config/channel_summary.yaml"),
        Some("userid"),
    ),
    (
        "mau_summary",
        include_str!("../../../../dags/config/mau_summary.yaml"),
        None,
    ),
    (
        "nps_summary",
        include_str!("../../../../dags/config/nps_summary.yaml"),
        Some("date"),
    ),
];

/// What must hold before anything is built.
const RAW_DATA: &str = "select exists (select 1 from raw_data.user_session_channel),
    exists (select 1 from raw_data.session_timestamp), exists (select 1 from raw_data.nps)";

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let runs = bench.size(7, 2);
    let place = bench.place()?;
    // All files are there from the start: one alone would be refused.
    let config = place.dags().join("config");
    std::fs::create_dir(&config)?;
    for (table, text, _) in TABLES {
        std::fs::write(config.join(format!("{table}.yaml")), text)?;
    }
    place.write_dag("demo_warehouse", DEMO_DAG)?;
    let by_hand = SUMMARY_DAG.replace("\"@daily\"", "null");
    place.write_dag("Build_Summary", &by_hand)?;
    let standalone = Standalone::start(bench.program(), place, Wanted::default()).await?;
    standalone.until_ended("demo_warehouse", 1).await?;
    // The first one publishes tables that are not there yet.
    standalone.rest.trigger("Build_Summary").await?;
    standalone.until_ended("Build_Summary", 1).await?;

    let warehouse = standalone
        .db
        .connect_options()
        .as_ref()
        .clone()
        .database(DEMO_DATABASE);
    let mut floor = Floor::prepare(&warehouse).await?;
    let (floor, time) = beside(
        Better::Lower,
        async || floor.measure(runs).await,
        async || build(&standalone, runs).await,
    )
    .await?;
    standalone.stop().await?;
    Ok(vec![
        Row::new("trigger → success, median", time, Unit::MILLISECONDS)
            .floor(floor)
            .target(Target::AboveFloor(15.0)),
    ])
}

/// Milliseconds from before the trigger to the end of the run.
async fn build(standalone: &Standalone, runs: usize) -> anyhow::Result<f64> {
    let mut times = vec![];
    for _ in 0..runs {
        let before = clock(&standalone.db).await?;
        standalone.rest.trigger("Build_Summary").await?;
        standalone
            .until_ended("Build_Summary", 2 + times.len())
            .await?;
        let ended: f64 = sqlx::query_scalar(
            "select extract(epoch from max(finished_at))::float8
             from dag_run join dag using (dag_key) where dag_id = 'Build_Summary'",
        )
        .fetch_one(&standalone.db)
        .await?;
        times.push((ended - before) * 1000.0);
    }
    median(times).context("no run")
}

async fn clock(db: &PgPool) -> anyhow::Result<f64> {
    let now = sqlx::query_scalar("select extract(epoch from clock_timestamp())::float8")
        .fetch_one(db)
        .await?;
    Ok(now)
}

/// The same builds by plain statements, over log-ins that are there already.
struct Floor {
    connections: Vec<PgConnection>,
}

impl Floor {
    async fn prepare(warehouse: &PgConnectOptions) -> anyhow::Result<Self> {
        let mut connections = vec![];
        for _ in TABLES {
            connections.push(warehouse.connect().await?);
        }
        let mut floor = Self { connections };
        send(
            &mut floor.connections[0],
            "create schema if not exists bench",
        )
        .await?;
        // The first build has nothing to replace.
        floor.measure(1).await?;
        Ok(floor)
    }

    /// The median in milliseconds.
    async fn measure(&mut self, builds: usize) -> anyhow::Result<f64> {
        let mut times = vec![];
        for _ in 0..builds {
            let begun = Instant::now();
            send(&mut self.connections[0], RAW_DATA).await?;
            let building = self.connections.iter_mut().zip(TABLES);
            try_join_all(building.map(|(connection, (table, file, key))| async move {
                for statement in statements(table, file, key) {
                    send(connection, &statement).await?;
                }
                anyhow::Ok(())
            }))
            .await?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        median(times).context("no build")
    }
}

async fn send(connection: &mut PgConnection, statement: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .with_context(|| format!("the floor's statement failed: {statement}"))?;
    Ok(())
}

/// What a person would type to build, check and swap a table.
fn statements(table: &str, file: &str, key: Option<&str>) -> Vec<String> {
    let staging = format!("bench.{table}_stg");
    let (input, output) = file.split_once("output_check:").unwrap_or((file, ""));
    let mut all = checks(input);
    all.push(format!("create table {staging} as {}", main_sql(file)));
    if let Some(key) = key {
        all.push(format!(
            "select count(*) from {staging} where {key} is null"
        ));
        all.push(format!(
            "select {key}, count(*) from {staging} group by {key} having count(*) > 1 limit 5"
        ));
    }
    all.extend(
        checks(output)
            .iter()
            .map(|it| it.replace("{{ staging }}", &staging)),
    );
    if let Some(key) = key {
        all.push(format!("alter table {staging} add primary key ({key})"));
    }
    all.push(format!("analyze {staging}"));
    all.push(format!(
        "begin; drop table if exists bench.{table}; alter table {staging} rename to {table}; commit"
    ));
    all
}

/// The queries of a list of checks.
fn checks(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("- sql: "))
        .map(str::to_owned)
        .collect()
}

/// The indented lines after `main_sql: |`.
fn main_sql(file: &str) -> String {
    let lines = file
        .lines()
        .skip_while(|line| *line != "main_sql: |")
        .skip(1);
    lines
        .take_while(|line| line.starts_with(' '))
        .collect::<Vec<_>>()
        .join("\n")
}
