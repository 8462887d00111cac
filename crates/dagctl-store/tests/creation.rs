//! Runs that are made together end as if they had been made one after the other.

#![expect(clippy::unwrap_used, reason = "what a test cannot set up ends it")]

use dagctl_core::ids::{DagKey, DagVersionId};
use dagctl_store::Store;
use dagctl_store::database::MIGRATIONS;
use dagctl_store::runs::{Created, Idempotency, NewRun, RunType};
use dagctl_testkit::TestDatabase;
use futures::future::join_all;
use serde_json::{Map, json};

struct Stage {
    database: TestDatabase,
    store: Store,
}

#[derive(Clone, Copy)]
struct Version {
    dag_key: DagKey,
    version: DagVersionId,
}

impl Stage {
    async fn new() -> Self {
        let database = TestDatabase::migrated(&MIGRATIONS).await;
        let store = Store::from_pool(database.pool.clone());
        Self { database, store }
    }

    /// A DAG with two tasks, one after the other.
    async fn dag(&self, dag_id: &str, max_active_runs: i32) -> Version {
        let (dag_key, version): (i32, i32) = sqlx::query_as(
            "with d as (
                insert into dag (dag_id, is_paused, file, watermark, max_active_runs)
                values ($1, false, 'a.yaml', now(), $2) returning dag_key
            ), v as (
                insert into dag_version (dag_key, hash, file, files, task_count, max_active_tasks, tells_success)
                select dag_key, 'a', 'a.yaml', '{}', 2, 16, false from d
                returning dag_version_id, dag_key
            ), p as (
                insert into pool (name) values ($1) returning pool_key
            ), t as (
                insert into dag_task (dag_version_id, task_index, task_id, operator, pool_key, queue_key, priority,
                    indegree, rule)
                select dag_version_id, at, 't' || at, 'empty', pool_key, 1, 0, at, 's'
                from v, p, generate_series(0, 1) at
            )
            select dag_key, dag_version_id from v",
        )
        .bind(dag_id)
        .bind(max_active_runs)
        .fetch_one(&self.database.pool)
        .await
        .unwrap();
        Version {
            dag_key: DagKey(dag_key),
            version: DagVersionId(version),
        }
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }
}

fn run(of: Version, run_id: &str) -> NewRun {
    let at = "2026-01-31T00:00:00Z".parse().unwrap();
    NewRun {
        dag_key: of.dag_key,
        dag_version_id: of.version,
        run_id: run_id.to_owned(),
        run_type: RunType::Manual,
        logical_at: at,
        interval_start: at,
        interval_end: at,
        params: Map::new(),
        note: None,
        triggered_by: Some("kim".to_owned()),
        deadline_at: None,
        backfill_id: None,
        idempotency: None,
    }
}

fn keyed(of: Version, run_id: &str, key: &str, body: &str) -> NewRun {
    NewRun {
        idempotency: Some(Idempotency {
            principal: "kim".to_owned(),
            key: key.to_owned(),
            body_hash: body.as_bytes().to_vec(),
        }),
        ..run(of, run_id)
    }
}

/// `new`, or what it is instead, and of which run.
fn word(created: &Created) -> String {
    match created {
        Created::New {
            started_at: Some(_),
            ..
        } => "started".to_owned(),
        Created::New {
            started_at: None, ..
        } => "waits".to_owned(),
        Created::Same { run_id, .. } => format!("same as {run_id}"),
        Created::KeyTaken => "key taken".to_owned(),
        Created::Exists { run_id, .. } => format!("{run_id} exists"),
    }
}

async fn words(store: &Store, new: &[NewRun]) -> Vec<String> {
    let (created, _) = store.create_runs(new).await;
    created
        .iter()
        .map(|it| match it {
            Ok(created) => word(created),
            Err(_) => "error".to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn a_batch_ends_as_its_requests_would_one_after_the_other() {
    let stage = Stage::new().await;
    let (one, two) = (stage.dag("one", 3).await, stage.dag("two", 16).await);
    stage.store.create_run(&run(one, "there")).await.unwrap();
    let batch = [
        keyed(one, "a", "k", "body"),
        keyed(one, "b", "k", "body"),
        run(one, "there"),
        keyed(one, "c", "k", "other body"),
        keyed(two, "d", "j", "body"),
        keyed(two, "d", "used for nothing", "body"),
        run(one, "e"),
        run(one, "f"),
        run(two, "there"),
        run(two, "there"),
    ];
    let together = words(&stage.store, &batch).await;
    assert_eq!(
        together,
        [
            "started",
            "same as a",
            "there exists",
            "key taken",
            "started",
            "d exists",
            "started",
            "waits",
            "started",
            "there exists"
        ]
    );
    let keys = "select count(*) from trigger_key";
    assert_eq!(stage.count(keys).await, 2);
    let queued = "select count(*) from ready join dag_run using (dag_run_id) where state = 'r'";
    assert_eq!(stage.count(queued).await, 5);
    let instances = "select count(*) from task_instance";
    assert_eq!(stage.count(instances).await, 10);
    let audited = "select count(*) from audit where action = 'run.trigger' and who = 'kim' and object in ('one', 'two')";
    assert_eq!(stage.count(audited).await, 6);

    // The same, one after the other.
    let stage = Stage::new().await;
    let (one_again, two_again) = (stage.dag("one", 3).await, stage.dag("two", 16).await);
    assert_eq!(
        (one_again.dag_key, two_again.dag_key),
        (one.dag_key, two.dag_key)
    );
    stage.store.create_run(&run(one, "there")).await.unwrap();
    let mut apart = vec![];
    for it in &batch {
        apart.push(word(&stage.store.create_run(it).await.unwrap()));
    }
    assert_eq!(apart, together);
    assert_eq!(stage.count(keys).await, 2);
    assert_eq!(stage.count(queued).await, 5);
}

#[tokio::test]
async fn a_run_that_the_database_refuses_fails_alone() {
    let stage = Stage::new().await;
    let dag = stage.dag("one", 16).await;
    let bad = NewRun {
        params: Map::from_iter([("text".to_owned(), json!("a\u{0}b"))]),
        ..keyed(dag, "bad", "k", "body")
    };
    let batch = [run(dag, "a"), bad, run(dag, "b")];
    assert_eq!(
        words(&stage.store, &batch).await,
        ["started", "error", "started"]
    );
    assert_eq!(stage.count("select count(*) from dag_run").await, 2);
    assert_eq!(stage.count("select count(*) from trigger_key").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_at_once_start_no_more_than_may_run_and_never_wait_for_each_other_for_ever() {
    let stage = Stage::new().await;
    let (one, two) = (stage.dag("one", 7).await, stage.dag("two", 5).await);
    let other = Store::from_pool(stage.database.connect().await);
    let batches = (0..20).map(|at| {
        let store = match at % 2 {
            0 => stage.store.clone(),
            _ => other.clone(),
        };
        // DAGs and keys in both orders.
        let mut batch = vec![
            keyed(one, &format!("a{at}"), "x", "x"),
            keyed(two, &format!("b{at}"), "y", "y"),
            run(one, &format!("c{at}")),
            run(two, &format!("d{at}")),
        ];
        if at % 3 == 0 {
            batch.reverse();
        }
        tokio::spawn(async move { words(&store, &batch).await })
    });
    let words: Vec<String> = join_all(batches)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    assert!(!words.contains(&"error".to_owned()), "{words:?}");
    let count = |word: &str| words.iter().filter(|it| *it == word).count();
    assert_eq!((count("started"), count("waits")), (12, 30), "{words:?}");
    for (dag, running) in [(one, 7_i64), (two, 5)] {
        let found: i64 =
            sqlx::query_scalar("select count(*) from dag_run where state = 'r' and dag_key = $1")
                .bind(dag.dag_key.get())
                .fetch_one(&stage.database.pool)
                .await
                .unwrap();
        assert_eq!(found, running);
    }
    assert_eq!(stage.count("select count(*) from trigger_key").await, 2);
}
