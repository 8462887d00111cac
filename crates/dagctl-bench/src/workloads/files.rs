//! W6: DAG files that become DAGs: many from nothing, one more among many, and one that is huge.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Measured, Workload};
use crate::bench::Bench;
use crate::dag_file;
use crate::place::Place;
use crate::process::PATIENCE;
use crate::row::{Row, Target, Unit};
use crate::standalone::{Standalone, Wanted};

/// How many files are changed, and how many added, one after the other.
const EDITS: usize = 20;
const TASKS_A_FILE: usize = 5;

pub(super) const WORKLOAD: Workload = Workload {
    key: "W6",
    name: "files",
    about: "500 and 10,000 DAG files from nothing, one changed and one new file among them, `validate`, one huge DAG",
    run: |bench| -> Measured<'_> { Box::pin(run(bench)) },
};

async fn run(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![];
    for (files, target) in [(500, 0.15), (bench.size(10_000, 1_000), 2.0)] {
        let standalone = bench.standalone(Wanted::default()).await?;
        let floor = floor(&standalone, files).await?;
        let seconds = from_nothing(&standalone, files).await?;
        rows.push(
            Row::new(
                format!("{files} files from nothing"),
                seconds,
                Unit::SECONDS,
            )
            .floor(floor)
            .target(Target::Figure(target)),
        );
        if files != 500 {
            rows.extend(among_many(bench, &standalone, files).await?);
        }
        standalone.stop().await?;
    }
    Ok(rows)
}

/// Seconds from the moment that a folder of files is there to the moment that all their DAGs can be triggered.
async fn from_nothing(standalone: &Standalone, files: usize) -> anyhow::Result<f64> {
    let staged = standalone.place.dags().with_file_name("staged");
    write_files(&staged, files)?;
    let begun = Instant::now();
    std::fs::rename(&staged, standalone.place.dags().join("many"))?;
    until(standalone, Duration::from_millis(5), &active(files)).await?;
    Ok(begun.elapsed().as_secs_f64())
}

async fn among_many(
    bench: &Bench,
    standalone: &Standalone,
    files: usize,
) -> anyhow::Result<Vec<Row>> {
    let pause = Duration::from_millis(1);
    let (mut changed, mut new) = (vec![], vec![]);
    for edit in 0..EDITS {
        // Apart, as people save files.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let name = format!("new_{edit}");
        let begun = Instant::now();
        standalone.place.write_dag(&name, &text(&name, 0))?;
        until(standalone, pause, &is_active(&name, 0)).await?;
        new.push(begun.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let before: i32 = sqlx::query_scalar("select max(dag_version_id) from dag_version")
            .fetch_one(&standalone.db)
            .await?;
        let begun = Instant::now();
        standalone.place.write_dag(&name, &text(&name, 1))?;
        until(standalone, pause, &is_active(&name, before)).await?;
        changed.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    standalone.rest.trigger("new_0").await?;
    let target = Target::Figure(50.0);
    let among = |what: &str, mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        Row::new(
            format!("{what} among {files}, p50"),
            median,
            Unit::MILLISECONDS,
        )
        .target(target)
    };
    let tasks = bench.size(10_000, 1_000);
    let begun = Instant::now();
    standalone
        .add_dag("huge", &dag_file::layered(tasks, 100))
        .await?;
    let huge = begun.elapsed().as_secs_f64();
    Ok(vec![
        among("one new file", new),
        among("one changed file", changed),
        Row::new(
            format!("one new file of {tasks} tasks among {files}"),
            huge,
            Unit::SECONDS,
        ),
        Row::new(
            format!("`dagctl validate` of {files} files"),
            validate(bench, &standalone.place).await?,
            Unit::SECONDS,
        ),
    ])
}

async fn validate(bench: &Bench, place: &Place) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let output = place
        .command(bench.program(), &["validate", "dags"])
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "`validate` complains: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(begun.elapsed().as_secs_f64())
}

/// Seconds for reading the files and inserting as many rows by plain SQL.
async fn floor(standalone: &Standalone, files: usize) -> anyhow::Result<f64> {
    sqlx::raw_sql(include_str!("files/tables.sql"))
        .execute(&standalone.floor_db)
        .await?;
    let folder = standalone.place.dags().with_file_name("read");
    write_files(&folder, files)?;
    let begun = Instant::now();
    let mut texts = vec![];
    for folder in std::fs::read_dir(&folder)? {
        for file in std::fs::read_dir(folder?.path())? {
            texts.push(std::fs::read_to_string(file?.path())?);
        }
    }
    let mut tx = standalone.floor_db.begin().await?;
    sqlx::query("insert into dag (dag_id) select md5(text) from unnest($1::text[]) as it (text)")
        .bind(&texts)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "insert into dag_version (dag_key, files) select dag_key, jsonb_build_object('file', text)
         from unnest($1::text[]) as it (text) join dag on dag_id = md5(text)",
    )
    .bind(&texts)
    .execute(&mut *tx)
    .await?;
    let tasks = i32::try_from(TASKS_A_FILE)?;
    for statement in [
        "insert into dag_task select dag_version_id, at, 'task_' || at, 'empty'
         from dag_version, generate_series(1, $1) at",
        "insert into dag_edge select dag_version_id, at, at + 1 from dag_version, generate_series(1, $1) at",
    ] {
        sqlx::query(statement).bind(tasks).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_dir_all(&folder)?;
    Ok(seconds)
}

fn active(dags: usize) -> String {
    format!("select count(*) >= {dags} from dag where active_version_id is not null")
}

/// By the DAG's own name: counting all of them every millisecond would keep a core busy.
fn is_active(dag_id: &str, newer_than: i32) -> String {
    format!(
        "select exists (select from dag where dag_id = '{dag_id}' and active_version_id > {newer_than})"
    )
}

async fn until(standalone: &Standalone, pause: Duration, statement: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let is_so: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_owned()))
            .fetch_one(&standalone.db)
            .await?;
        if is_so {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "never true: {statement}");
        tokio::time::sleep(pause).await;
    }
}

fn write_files(folder: &Path, files: usize) -> anyhow::Result<()> {
    for at in 0..files {
        let folder = folder.join(format!("team_{}", at % 20));
        std::fs::create_dir_all(&folder)?;
        let name = format!("report_{at}");
        std::fs::write(folder.join(format!("{name}.yaml")), text(&name, at))
            .with_context(|| format!("could not write `{name}`"))?;
    }
    Ok(())
}

/// A DAG as people write it: five tasks, two of them SQL, with templates.
fn text(name: &str, number: usize) -> String {
    format!(
        r#"dag_id: {name}
description: Daily figures, number {number}
schedule: "{minute} 3 * * *"
start_date: 2026-01-01
tags: [reports, daily]
default_args: {{retries: 2, retry_delay: 30s, conn_id: warehouse}}
tasks:
  wait:
    operator: empty
  load:
    operator: sql
    depends_on: wait
    sql: |
      INSERT INTO {name} (day, customer, total)
      SELECT o.day, o.customer_id, sum(o.amount)
      FROM orders o JOIN customers c ON c.id = o.customer_id
      WHERE o.day = '{{{{ ds }}}}' AND c.team = {number}
      GROUP BY 1, 2
  export:
    operator: shell
    depends_on: load
    command: echo "{name} of {{{{ ds }}}}"
  check:
    operator: sql
    depends_on: load
    sql: SELECT count(*) > 0 FROM {name} WHERE day = '{{{{ ds }}}}'
  done:
    operator: empty
    depends_on: [export, check]
"#,
        minute = number % 60,
    )
}
