//! How long a worker takes to claim a batch. `cargo bench -p dagctl-engine`; it starts a Postgres as the tests do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dagctl_core::ids::WorkerId;
use dagctl_store::Store;
use dagctl_store::dags::NewVersion;
use dagctl_store::database::MIGRATIONS;
use dagctl_store::runs::{NewRun, RunType};
use dagctl_store::workers::NewWorker;
use dagctl_testkit::TestDatabase;
use serde_json::Map;
use tokio::runtime::Runtime;

/// Queued tasks, ten times the largest batch.
const TASKS: usize = 5_000;

async fn queue(store: &Store) -> anyhow::Result<WorkerId> {
    let mut text = "max_active_tasks: 100000\ntasks:\n".to_owned();
    for at in 0..TASKS {
        text.push_str(&format!("  t{at}: {{operator: empty}}\n"));
    }
    let files = BTreeMap::from([("wide.yaml".to_owned(), text)]);
    let (dag, _) = dagctl_dagfile::parse_version(&files, "wide.yaml");
    let new = NewVersion {
        dag: &dag.expect("a good file"),
        hash: b"wide",
        commit: None,
        files: &files,
    };
    let (dag_key, dag_version_id) = store.activate_version(&new).await?;
    let now = store.now().await?;
    let run = NewRun {
        dag_key,
        dag_version_id,
        run_id: "one".to_owned(),
        run_type: RunType::Manual,
        logical_at: now,
        interval_start: now,
        interval_end: now,
        params: Map::new(),
        note: None,
        triggered_by: None,
        deadline_at: None,
        backfill_id: None,
        idempotency: None,
    };
    store.create_run(&run).await?;
    let worker = NewWorker {
        name: "bench".to_owned(),
        version: "0".to_owned(),
        slots: 500,
        lease: Duration::from_secs(3600),
        queues: vec!["default".into()],
    };
    Ok(store.register_worker(&worker).await?)
}

/// Claims so many tasks, and hands them back beside the clock.
async fn claim(store: &Store, worker: WorkerId, batch: usize) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let claims = store.claim(worker, batch).await?.claims;
    let time = begun.elapsed();
    assert_eq!(claims.len(), batch);
    sqlx::query("update ready set worker_id = null, claimed_at = null where worker_id is not null")
        .execute(store.pool())
        .await?;
    Ok(time)
}

fn claims(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (database, store, worker) = runtime.block_on(async {
        let database = TestDatabase::migrated(&MIGRATIONS).await;
        let store = Store::from_pool(database.pool.clone());
        let worker = queue(&store).await.expect("queued tasks");
        (database, store, worker)
    });
    let mut group = criterion.benchmark_group("claim");
    for batch in [1, 100, 500] {
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let mut total = Duration::ZERO;
                    for _ in 0..times {
                        total += claim(&store, worker, batch).await.expect("a claim");
                    }
                    total
                })
            });
        });
    }
    group.finish();
    let _guard = runtime.enter();
    drop(database);
}

criterion_group!(benches, claims);
criterion_main!(benches);
