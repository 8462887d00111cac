//! Limits hold in every snapshot of the database, whoever claims and triggers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_store::Store;
use dagctl_store::attempts::{PlainSuccess, Wish};
use dagctl_store::workers::NewWorker;
use serde_json::Map;
use sqlx::Connection as _;

use crate::support::{Bench, refused, report, request};

const DAG: &str = "
dag_id: crowd
max_active_runs: 2
max_active_tasks: 5
default_args: {retries: 3, retry_delay: 0s, weight_rule: absolute}
tasks:
  t0: {operator: empty, pool: narrow}
  t1: {operator: empty, pool: narrow}
  t2: {operator: empty, pool: narrow}
  t3: {operator: empty, pool: narrow}
  t4: {operator: empty, pool: narrow}
  t5: {operator: empty}
  t6: {operator: empty}
  t7: {operator: empty}
  t8: {operator: empty, depends_on: [t0, t5]}
  t9: {operator: empty, depends_on: [t1, t6], pool: narrow}
  t10: {operator: empty, depends_on: t5}
  t11: {operator: empty, depends_on: t5}
  t12: {operator: empty, depends_on: t5}
  t13: {operator: empty, depends_on: t5}
";

const SAMPLE: &str = "
select coalesce((select max(n) from (select count(*) as n from dag_run where state = 'r' group by dag_key) it), 0),
    coalesce((select max(n) from (select count(*) as n from ready group by dag_run_id) it), 0),
    (select count(*) from ready join pool using (pool_key) where name = 'narrow' and worker_id is not null)";

/// Works until everything has ended; every third attempt fails.
async fn work(store: Store, engine: dagctl_engine::Engine, worker: dagctl_core::ids::WorkerId) {
    for round in 0_usize.. {
        store.queue_due_timers().await.unwrap();
        let claims = store.claim(worker, 1 + round % 4).await.unwrap().claims;
        let live: i64 =
            sqlx::query_scalar("select count(*) from dag_run where state in ('q', 'r')")
                .fetch_one(store.pool())
                .await
                .unwrap();
        if live == 0 {
            return;
        }
        let reports = claims
            .iter()
            .enumerate()
            .map(|(at, it)| {
                let is_bad = (round + at) % 3 == 0 && it.key.attempt.get() < 3;
                report(
                    it.key,
                    if is_bad {
                        refused("no")
                    } else {
                        Outcome::success()
                    },
                )
            })
            .collect();
        // A deadlock would show here.
        engine.flush(worker, reports).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_tasks_and_pool_slots_never_exceed_their_limits_under_concurrent_claimers() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    bench
        .store
        .set_pool(&"narrow".parse().unwrap(), Some(3))
        .await
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut watcher = sqlx::PgConnection::connect(&bench.database.url)
        .await
        .unwrap();
    let seen_over = is_over.clone();
    let sampler = tokio::spawn(async move {
        let mut most = (0_i64, 0_i64, 0_i64);
        let mut samples = 0;
        while !seen_over.load(Ordering::Relaxed) {
            let now: (i64, i64, i64) = sqlx::query_as(SAMPLE)
                .fetch_one(&mut watcher)
                .await
                .unwrap();
            most = (most.0.max(now.0), most.1.max(now.1), most.2.max(now.2));
            samples += 1;
        }
        (most, samples)
    });
    let triggers: Vec<_> = (0..8)
        .map(|_| {
            let engine = bench.engine.clone();
            tokio::spawn(async move { engine.trigger(request("crowd")).await.unwrap() })
        })
        .collect();
    let mut workers = vec![];
    for _ in 0..4 {
        let engine = bench.another(|_| ()).await;
        let worker = bench.worker().await;
        workers.push(tokio::spawn(work(engine.store().clone(), engine, worker)));
    }
    for it in triggers {
        it.await.unwrap();
    }
    for it in workers {
        it.await.unwrap();
    }
    // Runs that were triggered after the workers saw none are worked off as well.
    let worker = bench.worker().await;
    work(bench.store.clone(), bench.engine.clone(), worker).await;
    is_over.store(true, Ordering::Relaxed);
    let (most, samples) = sampler.await.unwrap();
    assert_eq!(
        most,
        (2, 5, 3),
        "reached, and never exceeded, in {samples} samples"
    );
    assert_eq!(
        bench
            .count("select count(*) from dag_run where state = 's'")
            .await,
        8
    );
    assert_eq!(bench.count("select count(*) from ready").await, 0);
}

#[tokio::test]
async fn a_pool_that_shrinks_takes_no_more_until_it_has_room() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let narrow = "narrow".parse().unwrap();
    bench.store.set_pool(&narrow, Some(3)).await.unwrap();
    bench.trigger("crowd").await;
    let worker = bench.worker().await;
    let claims = bench.store.claim(worker, 3).await.unwrap().claims;
    assert_eq!(claims.len(), 3);
    bench.store.set_pool(&narrow, Some(1)).await.unwrap();
    assert_eq!(
        bench.store.claim(worker, 10).await.unwrap().claims.len(),
        0,
        "t3 and t4 wait for the pool"
    );
    bench.store.set_pool(&narrow, Some(0)).await.unwrap();
    for claim in claims {
        bench.flush(worker, claim.key, Outcome::success()).await;
    }
    let others = bench.store.claim(worker, 10).await.unwrap().claims;
    assert_eq!(others.len(), 3, "t5, t6 and t7 are in no pool with a limit");
    bench.store.set_pool(&narrow, None).await.unwrap();
    assert_eq!(bench.store.claim(worker, 10).await.unwrap().claims.len(), 2);
}

#[tokio::test]
async fn a_worker_takes_tasks_of_its_queues_only() {
    let bench = Bench::new().await;
    let dag = "
dag_id: mixed
tasks:
  light: {operator: empty}
  heavy: {operator: empty, queue: gpu}
  after: {operator: empty, queue: gpu, depends_on: light}
";
    bench.dag(dag).await;
    bench.trigger("mixed").await;
    let gpu = NewWorker {
        name: "gpu".into(),
        version: "0".into(),
        slots: 4,
        lease: Duration::from_secs(600),
        queues: vec!["gpu".into()],
    };
    let gpu = bench.store.register_worker(&gpu).await.unwrap();
    let light = bench.worker().await;
    let heavy = bench.store.claim(gpu, 10).await.unwrap();
    assert_eq!(heavy.claims.len(), 1);
    let claimed = bench.store.claim(light, 10).await.unwrap();
    assert_eq!(claimed.claims.len(), 1);
    assert_ne!(claimed.lane, heavy.lane);

    let success = PlainSuccess {
        key: claimed.claims[0].key,
        outputs: Map::new(),
    };
    let wish = Wish {
        slots: 10,
        lane: claimed.lane.unwrap(),
        only_children: false,
    };
    let mut hot = bench.store.hot_path();
    let finished = hot.finish(light, &[success], wish).await.unwrap();
    assert_eq!(finished.claims, [], "the child is for another queue");
    assert_eq!(
        finished.others_wait,
        Some(false),
        "and so nothing waits for this worker"
    );
    hot.close().await;
    assert_eq!(bench.store.claim(gpu, 10).await.unwrap().claims.len(), 1);
}

#[tokio::test]
async fn the_hot_path_takes_nothing_of_a_pool_that_has_a_limit_by_now() {
    let bench = Bench::new().await;
    bench.dag(DAG).await;
    let narrow = "narrow".parse().unwrap();
    bench.store.set_pool(&narrow, None).await.unwrap();
    bench.trigger("crowd").await;
    let worker = bench.worker().await;
    let lane = bench.store.claim(worker, 1).await.unwrap().lane.unwrap();
    let wish = Wish {
        slots: 10,
        lane,
        only_children: false,
    };
    bench.store.set_pool(&narrow, Some(2)).await.unwrap();
    let mut hot = bench.store.hot_path();
    let finished = hot.finish(worker, &[], wish).await.unwrap();
    assert_eq!(finished.claims, []);
    assert_eq!(
        finished.others_wait,
        Some(true),
        "they are left to the claim that counts"
    );
    hot.close().await;
    assert_eq!(bench.store.claim(worker, 1).await.unwrap().claims.len(), 1);
}
