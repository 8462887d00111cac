//! W7: pages and their REST calls with 1,000,000 and 10,000,000 task instances of history.

use std::time::Instant;

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection, Row as _};

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::floors::beside;
use crate::history;
use crate::process::PATIENCE;
use crate::report::median;
use crate::row::{Better, Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

pub(super) const WORKLOAD: Workload = Workload {
    key: "W7",
    name: "pages",
    about: "list, DAG, run and task pages and their REST calls, 500 DAGs, 1,000,000 and 10,000,000 task instances",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

/// Tasks of every DAG but the wide one.
const TASKS: usize = 100;
/// The DAG with the most runs, a fifth of all.
const BUSY: &str = "dag_000";
/// The most tasks that a page reads, to know whether there are more than it shows.
const PAGE: i64 = 501;
/// The DAG with the most tasks.
const WIDE: &str = "wide";

/// The rows that pages are made of.
#[derive(Debug, Clone, Copy)]
enum Rows {
    Dags,
    Dag,
    Runs,
    Run,
    RunTasks,
    Task,
    Attempts,
    Log,
    WideRun,
}

/// What is asked for, where, and the rows that it takes.
const ASKED: [(&str, &str, Rows); 10] = [
    ("list page", "/", Rows::Dags),
    ("list, REST", "/api/v1/dags?limit=100", Rows::Dags),
    ("DAG page", "/dags/dag_000", Rows::Dag),
    (
        "runs, REST",
        "/api/v1/dags/dag_000/runs?limit=25",
        Rows::Runs,
    ),
    ("run page", "/dags/dag_000/runs/latest", Rows::Run),
    (
        "tasks, REST",
        "/api/v1/dags/dag_000/runs/latest/tasks",
        Rows::RunTasks,
    ),
    (
        "task page",
        "/dags/dag_000/runs/latest/tasks/t0",
        Rows::Task,
    ),
    (
        "attempts, REST",
        "/api/v1/dags/dag_000/runs/latest/tasks/t0/attempts",
        Rows::Attempts,
    ),
    (
        "log, REST",
        "/api/v1/dags/dag_000/runs/latest/tasks/t0/logs",
        Rows::Log,
    ),
    (
        "run page of 10,000 tasks",
        "/dags/wide/runs/latest",
        Rows::WideRun,
    ),
];

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let standalone = bench.standalone(Wanted::slots(1000)).await?;
    let dags = bench.size(500, 20);
    let text = dag_file::layered(TASKS, 10);
    for at in 0..dags {
        standalone.place.write_dag(&format!("dag_{at:03}"), &text)?;
    }
    until_active(&standalone, dags).await?;
    standalone
        .add_dag(WIDE, &dag_file::fan_out(bench.size(10_000, 600)))
        .await?;
    standalone.rest.trigger(WIDE).await?;
    standalone.until_ended(WIDE, 1).await?;

    let mut rows = vec![];
    let mut filled = 0;
    for runs in [bench.size(10_000, 200), bench.size(100_000, 400)] {
        let runs = i32::try_from(runs)?;
        history::fill(&standalone.db, filled + 1, runs - filled).await?;
        filled = runs;
        for (what, path, wanted) in ASKED {
            rows.push(measure(bench, &standalone, (what, path, wanted), filled).await?);
        }
    }
    standalone.stop().await?;
    Ok(rows)
}

async fn until_active(standalone: &Standalone, dags: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let active: i64 =
            sqlx::query_scalar("select count(*) from dag where active_version_id is not null")
                .fetch_one(&standalone.db)
                .await?;
        if active >= i64::try_from(dags)? {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "{active} of {dags} DAGs became active"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// How long the server takes, beside the same statements on a plain connection.
async fn measure(
    bench: &Bench,
    standalone: &Standalone,
    (what, path, rows): (&str, &str, Rows),
    runs: i32,
) -> anyhow::Result<Row> {
    let turns = bench.size(150, 10);
    let mut plain = PgConnection::connect(&standalone.database_url).await?;
    let (floor, figure) = beside(
        Better::Lower,
        async || {
            let mut times = vec![];
            for _ in 0..turns {
                let begun = Instant::now();
                fetch(&mut plain, rows).await?;
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
            median(times).context("no turns")
        },
        async || {
            let mut times = vec![];
            for _ in 0..turns {
                let begun = Instant::now();
                let body = standalone.rest.send(standalone.rest.page(path)).await?;
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
                ensure!(!body.is_empty(), "`{path}` is empty");
            }
            median(times).context("no turns")
        },
    )
    .await?;
    plain.close().await?;
    let instances = i64::from(runs) * i64::try_from(TASKS)?;
    Ok(Row::new(
        format!("{what}, {instances} rows"),
        figure,
        Unit::MILLISECONDS,
    )
    .floor(floor)
    .target(Target::Ratio(2.0)))
}

const DAG_ROWS: &str = include_str!("../../../dagctl-store/src/views/dag_rows.sql");
const DAG_ROW: &str = include_str!("../../../dagctl-store/src/views/dag_row.sql");
const DAG_KEY: &str = "select dag_key from dag
    where dag_id = $1 and (missing_since is null or last_dag_run_id is not null)";
const LAST_RUNS: &str = include_str!("../../../dagctl-store/src/views/last_runs.sql");
const RUN_ROWS: &str = include_str!("../../../dagctl-store/src/views/run_rows.sql");
const RUN_CALLED: &str = include_str!("../../../dagctl-store/src/views/run_called.sql");
const VERSION_TASKS: &str = include_str!("../../../dagctl-store/src/views/version_tasks.sql");
const TASK_ROWS: &str = include_str!("../../../dagctl-store/src/views/task_rows.sql");
const TASK_COUNTS: &str = include_str!("../../../dagctl-store/src/views/task_counts.sql");
const ATTEMPT_ROWS: &str = include_str!("../../../dagctl-store/src/views/attempt_rows.sql");
const LOG_LINES: &str = include_str!("../../../dagctl-store/src/views/log_lines.sql");

/// Fetches the rows of a page by its own statements, and does nothing with them.
async fn fetch(plain: &mut PgConnection, rows: Rows) -> anyhow::Result<()> {
    match rows {
        Rows::Dags => {
            let keys = dags(plain).await?;
            sqlx::query(LAST_RUNS)
                .bind(keys)
                .bind(14_i64)
                .fetch_all(plain)
                .await?;
        }
        Rows::Dag => {
            let dag = sqlx::query(DAG_ROW)
                .bind(BUSY)
                .fetch_one(&mut *plain)
                .await?;
            runs(plain, dag.try_get("dag_key")?).await?;
            sqlx::query(VERSION_TASKS)
                .bind(dag.try_get::<i32, _>("active_version_id")?)
                .bind(500_i64)
                .fetch_all(plain)
                .await?;
        }
        Rows::Runs => {
            let dag_key = sqlx::query_scalar(DAG_KEY)
                .bind(BUSY)
                .fetch_one(&mut *plain)
                .await?;
            runs(plain, dag_key).await?;
        }
        Rows::Run => {
            let run = latest(plain, BUSY).await?;
            tasks(plain, run, None, PAGE).await?;
        }
        Rows::RunTasks => {
            let run = latest(plain, BUSY).await?;
            tasks(plain, run, None, i64::MAX).await?;
        }
        Rows::Task => {
            let run = latest(plain, BUSY).await?;
            tasks(plain, run, Some("t0"), i64::MAX).await?;
            attempts(plain, run).await?;
            log(plain, run).await?;
        }
        Rows::Attempts => {
            let run = latest(plain, BUSY).await?;
            tasks(plain, run, Some("t0"), i64::MAX).await?;
            attempts(plain, run).await?;
        }
        Rows::Log => {
            let run = latest(plain, BUSY).await?;
            tasks(plain, run, Some("t0"), i64::MAX).await?;
            log(plain, run).await?;
        }
        Rows::WideRun => {
            let run = latest(plain, WIDE).await?;
            tasks(plain, run, None, PAGE).await?;
            sqlx::query(TASK_COUNTS).bind(run).fetch_all(plain).await?;
        }
    }
    Ok(())
}

/// The keys of the DAGs on the first page.
async fn dags(plain: &mut PgConnection) -> anyhow::Result<Vec<i32>> {
    let rows = sqlx::query(DAG_ROWS)
        .bind(None::<String>)
        .bind(None::<String>)
        .bind(None::<i8>)
        .bind(None::<bool>)
        .bind(None::<String>)
        .bind(101_i64)
        .fetch_all(plain)
        .await?;
    rows.iter().map(|it| Ok(it.try_get("dag_key")?)).collect()
}

async fn runs(plain: &mut PgConnection, dag_key: i32) -> anyhow::Result<()> {
    sqlx::query(RUN_ROWS)
        .bind(dag_key)
        .bind(None::<i8>)
        .bind(i64::MAX)
        .bind(26_i64)
        .fetch_all(plain)
        .await?;
    Ok(())
}

async fn latest(plain: &mut PgConnection, dag_id: &str) -> anyhow::Result<i64> {
    let row = sqlx::query(RUN_CALLED)
        .bind(dag_id)
        .bind("latest")
        .fetch_one(plain)
        .await?;
    Ok(row.try_get("dag_run_id")?)
}

async fn tasks(
    plain: &mut PgConnection,
    run: i64,
    task_id: Option<&str>,
    limit: i64,
) -> anyhow::Result<()> {
    sqlx::query(TASK_ROWS)
        .bind(run)
        .bind(-1)
        .bind(-1)
        .bind(None::<Vec<i8>>)
        .bind(task_id)
        .bind(limit)
        .bind(limit == PAGE)
        .bind(if limit == PAGE { 500 } else { i32::MAX })
        .bind(None::<Vec<i8>>)
        .fetch_all(plain)
        .await?;
    Ok(())
}

async fn attempts(plain: &mut PgConnection, run: i64) -> anyhow::Result<()> {
    sqlx::query(ATTEMPT_ROWS)
        .bind(run)
        .bind(0)
        .bind(-1)
        .fetch_all(&mut *plain)
        .await?;
    sqlx::query(
        "select value from output where dag_run_id = $1 and task_index = 0 and map_index = -1",
    )
    .bind(run)
    .fetch_all(plain)
    .await?;
    Ok(())
}

async fn log(plain: &mut PgConnection, run: i64) -> anyhow::Result<()> {
    sqlx::query(LOG_LINES)
        .bind(run)
        .bind(0)
        .bind(-1)
        .bind(1_i16)
        .bind(0_i64)
        .bind(10_000_i64)
        .fetch_all(plain)
        .await?;
    Ok(())
}
