//! kill -9 of the worker in the middle of batches of a hundred tasks: what was recorded stays as it was, all else is
//! done once more, and the run ends.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

mod support;

use std::collections::BTreeMap;

use dagctl_postgres::Durability;
use dagctl_testkit::OwnServer;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row};

use crate::support::services::Installation;
use crate::support::{Place, eventually};

/// Runs at the same time: enough that none of the kills comes too late.
const RUNS: usize = 12;
/// Tasks of a run: rows of tasks that wait for one another, so that each batch counts down and queues the next.
const WIDTH: usize = 150;
const DEPTH: usize = 20;
/// How often the worker is killed; one that hits the run after its end does not count.
const KILLS: usize = 4;

/// What is recorded of a task: its attempt, when it ended, and who did it.
type Settled = BTreeMap<(i64, i32), (i16, String, i32)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_cut_by_kill_9_loses_and_repeats_nothing() {
    let place = Place::new();
    place.write("dags/wide.yaml", &wide());
    let server = OwnServer::start(Durability::Full).await;
    let url = server.database("dagctl");
    let mut installation = Installation::new(place, &url);
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_lazy(&url)
        .unwrap();
    let web = installation.open().await;
    let scheduler = installation.start(&["scheduler"]).await;
    eventually("the DAG", async || {
        let known = "select count(*) from dag where active_version_id is not null";
        (number(&pool, known).await == 1).then_some(())
    })
    .await;
    let mut worker = installation.start(&["worker", "--slots", "100"]).await;
    for _ in 0..RUNS {
        installation.trigger("wide", &[]).await;
    }

    let mut cut = 0;
    for kill in 1..=KILLS {
        let enough = i64::try_from(RUNS * WIDTH * DEPTH * kill / (KILLS + 2)).unwrap();
        eventually("some batches", async || {
            (number(
                &pool,
                "select count(*) from task_instance where state = 's'",
            )
            .await
                >= enough)
                .then_some(())
        })
        .await;
        worker.kill().await;
        let before = settled(&pool).await;
        cut += usize::from(before.len() < RUNS * WIDTH * DEPTH);
        worker = installation.start(&["worker", "--slots", "100"]).await;
        let after = settled(&pool).await;
        for (task, it) in &before {
            assert_eq!(
                after.get(task),
                Some(it),
                "task {task:?} was recorded, and changed"
            );
        }
    }
    let before = settled(&pool).await;
    eventually("the end of the runs", async || {
        (number(&pool, "select count(*) from dag_run where state = 's'").await
            == i64::try_from(RUNS).unwrap())
        .then_some(())
    })
    .await;

    assert!(cut >= 1, "only {cut} kills hit the run under way");
    let after = settled(&pool).await;
    for (task, it) in &before {
        assert_eq!(
            after.get(task),
            Some(it),
            "task {task:?} was recorded, and changed"
        );
    }
    for (what, sql) in [
        ("tasks that did not succeed", "select count(*) from task_instance where state <> 's'"),
        ("tasks that miscounted", "select count(*) from task_instance where pending <> 0 or n_bad <> 0"),
        ("tasks left to the run", "select sum(remaining) from dag_run"),
        (
            "work left over",
            "select (select count(*) from ready) + (select count(*) from parked) + (select count(*) from timer)
                + (select count(*) from live_run)",
        ),
        (
            "attempts that are neither the one that succeeded nor lost with its worker",
            "select sum(t.attempt) - count(*) - (select count(*) from attempt where state = 'l') from task_instance t",
        ),
        ("attempts that ended otherwise", "select count(*) from attempt where state <> 'l'"),
    ] {
        assert_eq!(number(&pool, sql).await, 0, "{what}");
    }
    for service in [worker, scheduler, web] {
        let ended = service.terminate().await;
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

/// Each task waits for two of the row above it.
fn wide() -> String {
    let mut text = format!("max_active_tasks: {}\ntasks:\n", WIDTH * DEPTH);
    for row in 0..DEPTH {
        for at in 0..WIDTH {
            text.push_str(&format!("  t{row}_{at}: {{operator: empty"));
            if let Some(above) = row.checked_sub(1) {
                text.push_str(&format!(
                    ", depends_on: [t{above}_{at}, t{above}_{}]",
                    (at + 7) % WIDTH
                ));
            }
            text.push_str("}\n");
        }
    }
    text
}

async fn settled(pool: &PgPool) -> Settled {
    sqlx::query(
        "select dag_run_id, task_index, attempt, finished_at::text, worker_id from task_instance where state = 's'",
    )
    .fetch_all(pool)
    .await
    .unwrap()
    .iter()
    .map(|it| ((it.get(0), it.get(1)), (it.get(2), it.get(3), it.get(4))))
    .collect()
}

async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select ({sql})::bigint")))
        .fetch_one(pool)
        .await
        .unwrap()
}
