//! What happens between us and the database when somebody goes away.

use std::time::Duration;

use dagctl_engine::{Engine, EngineConfig};
use dagctl_store::Store;
use dagctl_store::dags::Paused;
use dagctl_store::database::StoreOptions;
use tokio::time::timeout;

use crate::support::{Bench, request};

/// An engine on a small pool as the daemon makes it.
fn engine_on(bench: &Bench, connections: u32) -> Engine {
    let store = Store::connect(&StoreOptions {
        url: bench.database.url.clone(),
        max_connections: connections,
        application_name: "small pool".into(),
    })
    .unwrap();
    let config = EngineConfig::new("dags".into(), "runs".into(), [7; 32]);
    Engine::new(store.clone(), store, config)
}

/// Requests are dropped at every point of their way, as a web server drops those of browsers that went away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_request_never_leaves_an_open_transaction_in_the_pool() {
    for connections in [1, 4] {
        let bench = Bench::new().await;
        bench
            .dag("dag_id: one\ntasks:\n  only: {operator: empty}\n")
            .await;
        let engine = engine_on(&bench, connections);
        let dag_id = "one".parse().unwrap();
        for step in 0..60 {
            let patience = Duration::from_micros(40 * step);
            let _ = timeout(patience, engine.trigger(request("one"))).await;
            let _ = timeout(
                patience,
                engine.store().claim(dagctl_core::ids::WorkerId(1), 1),
            )
            .await;
            let _ = timeout(patience, engine.store().look()).await;
            let _ = timeout(patience, engine.set_paused(&dag_id, Paused::No)).await;
        }
        // Every connection has been given back when all of them can be had at once.
        let mut all = vec![];
        for _ in 0..connections {
            all.push(
                timeout(Duration::from_secs(10), engine.store().pool().acquire())
                    .await
                    .unwrap()
                    .unwrap(),
            );
        }
        for connection in &mut all {
            // Within a transaction the time stands still.
            let mut times: Vec<String> = vec![];
            for _ in 0..2 {
                let time = sqlx::query_scalar("select now()::text")
                    .fetch_one(&mut **connection)
                    .await
                    .unwrap();
                times.push(time);
            }
            assert_ne!(
                times[0], times[1],
                "a pool of {connections} holds an open transaction"
            );
        }
        drop(all);
        // Whoever borrows one next is heard by everybody.
        let made = engine.trigger(request("one")).await.unwrap();
        assert!(
            bench
                .store
                .run_state(made.dag_run_id)
                .await
                .unwrap()
                .is_some()
        );
        bench.until("select not exists (select from pg_stat_activity where application_name = 'small pool' and state <> 'idle' and datname = current_database())").await;
    }
}

#[tokio::test]
async fn a_trigger_whose_asker_went_away_is_whole_or_not_there() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  only: {operator: empty}\n")
        .await;
    let engine = engine_on(&bench, 2);
    for step in 0..40 {
        let _ = timeout(
            Duration::from_micros(50 * step),
            engine.trigger(request("one")),
        )
        .await;
    }
    // What was begun is finished by then: the last one is behind them in the DAG's lock.
    engine.trigger(request("one")).await.unwrap();
    bench.until("select not exists (select from pg_stat_activity where application_name = 'small pool' and state <> 'idle' and datname = current_database())").await;
    let halves = "select count(*) from run_key k full join dag_run r using (dag_run_id)
        where k.dag_run_id is null or r.dag_run_id is null
            or (r.state = 'r') <> exists (select from ready q where q.dag_run_id = r.dag_run_id)";
    assert_eq!(bench.count(halves).await, 0);
}
