//! Pages stay as fast as they are, however long the history: held by what their statements read, not by a clock.

#![expect(clippy::unwrap_used, reason = "what a test cannot set up ends it")]

use std::collections::BTreeSet;

use dagctl_store::database::MIGRATIONS;
use dagctl_testkit::TestDatabase;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

/// A statement of a page, and what it is asked with.
struct Asked {
    text: &'static str,
    with: String,
    /// Blocks that it may read.
    blocks: u64,
}

/// What a plan did.
#[derive(Debug, Default)]
struct Touched {
    partitions: BTreeSet<String>,
    blocks: u64,
}

impl Touched {
    fn by(plan: &Value) -> Self {
        let mut touched = Self::default();
        for blocks in ["Shared Hit Blocks", "Shared Read Blocks"] {
            touched.blocks += plan[0]["Plan"][blocks].as_u64().unwrap_or_default();
        }
        touched.add(&plan[0]["Plan"]);
        touched
    }

    fn add(&mut self, node: &Value) {
        let name = node["Relation Name"].as_str().unwrap_or_default();
        if name
            .rsplit_once("_20")
            .is_some_and(|(_, week)| week.len() == 6)
        {
            self.partitions.insert(name.to_owned());
        }
        for below in node["Plans"].as_array().into_iter().flatten() {
            self.add(below);
        }
    }

    /// Whether no table is read in more than one of its weeks.
    fn is_one_week(&self) -> bool {
        let tables: BTreeSet<&str> = self
            .partitions
            .iter()
            .filter_map(|it| it.rsplit_once('_'))
            .map(|(table, _)| table)
            .collect();
        tables.len() == self.partitions.len()
    }
}

async fn execute(connection: &mut PgConnection, text: String) {
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(connection)
        .await
        .unwrap();
}

async fn explain(connection: &mut PgConnection, it: &Asked, number: usize) -> Touched {
    let (text, with) = (it.text, &it.with);
    execute(connection, format!("prepare asked_{number} as {text}")).await;
    // As often as it takes until Postgres settles for one plan, as it does on a connection of the pool.
    for _ in 0..8 {
        execute(connection, format!("execute asked_{number} ({with})")).await;
    }
    let explain =
        format!("explain (analyze, buffers, format json) execute asked_{number} ({with})");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .fetch_one(connection)
        .await
        .unwrap();
    Touched::by(&plan)
}

#[tokio::test]
async fn no_page_reads_more_than_one_week_of_a_table_and_few_blocks() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    sqlx::raw_sql(include_str!("history.sql"))
        .execute(&database.pool)
        .await
        .unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    let runs: Vec<i64> = sqlx::query_scalar("select dag_run_id from dag_run order by dag_run_id")
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let keys: Vec<i32> = (1..=20).collect();
    let keys = format!("array{keys:?}");
    let now = i64::MAX;
    let mut asked = vec![];
    let mut ask = |text, with: String, blocks| asked.push(Asked { text, with, blocks });
    ask(
        include_str!("../src/views/dag_rows.sql"),
        "null, null, null, null, null, 101".into(),
        100,
    );
    ask(
        include_str!("../src/views/dag_row.sql"),
        "'dag_7'".into(),
        20,
    );
    ask(include_str!("../src/views/dag_reasons.sql"), "7".into(), 20);
    ask(
        include_str!("../src/views/last_runs.sql"),
        format!("{keys}, 14"),
        1500,
    );
    let run_rows = include_str!("../src/views/run_rows.sql");
    for state in ["null", "'r'", "'f'", "'s'"] {
        ask(run_rows, format!("1, {state}, {now}, 26"), 250);
        ask(run_rows, format!("1, {state}, {}, 26", runs[3000]), 250);
    }
    let run_called = include_str!("../src/views/run_called.sql");
    ask(run_called, "'dag_7', 'latest'".into(), 30);
    ask(run_called, "'dag_7', 'run_6'".into(), 30);
    for run in [runs[0], runs[2000], runs[4100]] {
        ask(
            include_str!("../src/views/run_row.sql"),
            format!("{run}"),
            20,
        );
        let task_rows = include_str!("../src/views/task_rows.sql");
        ask(
            task_rows,
            format!("{run}, -1, -1, null, null, 501, true, 500, null"),
            60,
        );
        ask(
            task_rows,
            format!(
                "{run}, -1, -1, '{{f,t}}', null, 3, false, {}, '{{f,n}}'",
                i32::MAX
            ),
            60,
        );
        ask(
            task_rows,
            format!(
                "{run}, -1, -1, null, 'task_1', 1, false, {}, null",
                i32::MAX
            ),
            60,
        );
        ask(
            include_str!("../src/views/task_counts.sql"),
            format!("{run}"),
            30,
        );
        ask(
            include_str!("../src/views/attempt_rows.sql"),
            format!("{run}, 1, -1"),
            30,
        );
        ask(
            include_str!("../src/views/log_lines.sql"),
            format!("{run}, 1, -1, 1, 0, 10000"),
            30,
        );
    }
    for (number, it) in asked.iter().enumerate() {
        let touched = explain(&mut connection, it, number).await;
        assert!(
            touched.is_one_week() && touched.blocks <= it.blocks,
            "({}) reads {touched:?}, {} blocks allowed:\n{}",
            it.with,
            it.blocks,
            it.text
        );
    }
}

/// The ways in which a plan reaches a table.
fn ways(node: &Value, table: &str, found: &mut BTreeSet<String>) {
    if node["Relation Name"] == table {
        found.extend(node["Node Type"].as_str().map(str::to_owned));
    }
    for below in node["Plans"].as_array().into_iter().flatten() {
        ways(below, table, found);
    }
}

#[tokio::test]
async fn a_run_that_starts_reads_no_tasks_but_those_of_its_version() {
    let database = TestDatabase::migrated(&MIGRATIONS).await;
    sqlx::raw_sql(include_str!("versions.sql"))
        .execute(&database.pool)
        .await
        .unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    let text = include_str!("../src/runs/start.sql");
    execute(
        &mut connection,
        format!("set plan_cache_mode = force_generic_plan; prepare start as {text}"),
    )
    .await;
    let dag_key: i32 = sqlx::query_scalar("select dag_key from dag")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let explain = format!("explain (analyze, format json) execute start(array[{dag_key}])");
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain))
        .persistent(false)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let mut found = BTreeSet::new();
    ways(&plan[0]["Plan"], "dag_task", &mut found);
    assert!(
        !found.is_empty() && !found.contains("Seq Scan"),
        "{found:?}"
    );
    let started: i64 = sqlx::query_scalar("select count(*) from task_instance")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert_eq!(started, 500, "the run was started");
}
