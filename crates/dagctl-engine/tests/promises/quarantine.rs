//! One run that cannot be looked at does not stop the others.

use dagctl_core::outcome::Outcome;
use dagctl_core::state::RunState;
use dagctl_engine::reaper::Reaper;
use dagctl_engine::reconcile::Service as _;

use crate::support::{Bench, Working, refused, report};

const BAD: &str =
    "dag_id: bad\ntasks:\n  a: {operator: empty}\n  b: {operator: empty, depends_on: a}\n";
const GOOD: &str =
    "dag_id: good\ntasks:\n  a: {operator: empty}\n  b: {operator: empty, depends_on: a}\n";

const BREAK: &str = "update dag_version set files = '{\"dag.yaml\": \"tasks: 7\"}'
    where dag_key = (select dag_key from dag where dag_id = 'bad')";

#[tokio::test]
async fn a_run_whose_version_became_unreadable_is_set_aside_and_the_others_end() {
    let bench = Bench::new().await;
    bench.dag(BAD).await;
    bench.dag(GOOD).await;
    let bad = bench.trigger("bad").await;
    bench.execute(BREAK).await;
    // A process that has not read that version before.
    let fresh = bench.another(|_| ()).await;
    let worker = Working::on(&fresh);
    let mut good = vec![];
    for _ in 0..3 {
        good.push(bench.trigger("good").await);
    }
    bench
        .until("select count(*) = 3 from dag_run where state = 's'")
        .await;
    for run in good {
        assert_eq!(
            bench.store.run_state(run).await.unwrap(),
            Some(RunState::Success)
        );
    }
    bench
        .until("select exists (select from dag_run where look_error is not null)")
        .await;
    bench.until("select not exists (select from ready)").await;
    assert_eq!(
        bench.store.run_state(bad).await.unwrap(),
        Some(RunState::Running)
    );
    let why: String = bench
        .value("select look_error from dag_run where look_error is not null")
        .await;
    assert!(why.contains("is no longer understood"), "{why}");
    let history = bench.history().await;
    assert!(
        history.last().unwrap().contains(" f set_aside: failed: "),
        "{history:?}"
    );
    // Passes go on without it.
    Reaper::new(fresh.clone()).pass().await.unwrap();
    worker.drain().await;

    // Once its version can be read again, the next look takes it up where it stopped.
    bench
        .execute("update dag_version set files = jsonb_build_object('dag.yaml', E'dag_id: bad\\ntasks:\\n  a: {operator: empty}\\n  b: {operator: empty, depends_on: a}\\n') where file = 'dag.yaml' and files->>'dag.yaml' = 'tasks: 7'")
        .await;
    let fresh = bench.another(|_| ()).await;
    fresh.advance(bad).await.unwrap();
    let worker = Working::on(&fresh);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(
        bench.store.run_state(bad).await.unwrap(),
        Some(RunState::Success)
    );
    assert_eq!(
        bench
            .count("select count(*) from dag_run where look_failures > 0 or look_error is not null")
            .await,
        0
    );
}

#[tokio::test]
async fn a_run_that_was_set_aside_can_still_be_cancelled() {
    let bench = Bench::new().await;
    bench.dag(BAD).await;
    let bad = bench.trigger("bad").await;
    bench.execute(BREAK).await;
    let fresh = bench.another(|_| ()).await;
    for _ in 0..3 {
        fresh.advance(bad).await.unwrap_err();
    }
    assert_eq!(bench.count("select count(*) from ready").await, 0);
    let mut reaper = Reaper::new(fresh.clone());
    reaper.pass().await.unwrap();
    assert_eq!(
        bench.store.run_state(bad).await.unwrap(),
        Some(RunState::Running)
    );
    assert!(fresh.request_cancel(bad, "lee").await.unwrap());
    reaper.pass().await.unwrap();
    assert_eq!(
        bench.store.run_state(bad).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(bench.states().await, "a=k b=k");
}

#[tokio::test]
async fn an_outage_is_not_held_against_a_run() {
    let bench = Bench::new().await;
    bench.dag(GOOD).await;
    let run = bench.trigger("good").await;
    let lost = dagctl_store::Store::connect(&dagctl_store::database::StoreOptions {
        url: bench.database.url.clone(),
        max_connections: 1,
        application_name: "test".into(),
    })
    .unwrap();
    // Looks that run into a lock time-out, as they do beside somebody's long transaction.
    let config = dagctl_engine::EngineConfig::new("dags".into(), "runs".into(), [7; 32]);
    let engine = dagctl_engine::Engine::new(lost.clone(), lost, config);
    let mut tx = bench.database.pool.begin().await.unwrap();
    sqlx::raw_sql("select from dag_run for update")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::raw_sql("set lock_timeout = '1ms'")
        .execute(engine.store().pool())
        .await
        .unwrap();
    for _ in 0..4 {
        engine.advance(run).await.unwrap_err();
    }
    tx.rollback().await.unwrap();
    assert_eq!(
        bench
            .count("select look_failures::bigint from dag_run")
            .await,
        0
    );
}

#[tokio::test]
async fn a_poisoned_report_in_a_batch_does_not_block_the_reports_beside_it() {
    let bench = Bench::new().await;
    bench.dag(BAD).await;
    bench.dag(GOOD).await;
    bench.trigger("bad").await;
    let good = bench.trigger("good").await;
    let worker = bench.worker().await;
    let claims = bench.store.claim(worker, 10).await.unwrap().claims;
    bench.execute(BREAK).await;
    let fresh = bench.another(|_| ()).await;
    let reports = claims
        .iter()
        .map(|it| report(it.key, refused("no")))
        .collect();
    fresh.flush(worker, reports).await.unwrap_err();
    // Nothing of the batch was recorded, so each can be sent alone.
    assert_eq!(bench.count("select count(*) from ready").await, 2);
    for claim in claims {
        let alone = fresh
            .flush(worker, vec![report(claim.key, Outcome::HandedBack)])
            .await;
        assert_eq!(alone.is_ok(), claim.key.instance.dag_run_id == good);
    }
}
