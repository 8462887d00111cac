//! Nobody polls: services sleep until something is due or somebody tells them. Sweeps come once a minute, and no test
//! here has that much patience, so what it waits for came by a hint or by the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_engine::notifier::Notifier;
use dagctl_engine::reaper::{Reaper, Timekeeper};
use dagctl_engine::reconcile::Service;
use dagctl_engine::scheduler::Scheduler;
use dagctl_engine::services::keep_schedules;
use dagctl_engine::syncer::Syncer;
use dagctl_engine::wake::pass_hints_on;
use dagctl_store::dags::Paused;
use dagctl_store::workers::NewWorker;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{Bench, refused};

/// A scheduler process that knows this DAG and has nothing to do.
async fn asleep(bench: &Bench, yaml: &str) -> DropGuard {
    std::fs::write(bench.folder.path().join("dags/dag.yaml"), yaml).unwrap();
    let engine = bench.another(|_| ()).await;
    let mut syncer = Syncer::new(engine.clone());
    syncer.sync().await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(keep_schedules(engine.clone(), syncer, stop.clone()));
    tokio::spawn(pass_hints_on(engine, stop.clone()));
    bench
        .until("select exists (select from pg_stat_activity where datname = current_database() and query like 'LISTEN%')")
        .await;
    // What woke it when it began to listen is over.
    bench
        .until("select bool_and(next_due_at is null or next_due_at > now() or is_paused) from dag")
        .await;
    stop.drop_guard()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_that_another_process_put_off_is_queued_when_it_is_due() {
    let bench = Bench::new().await;
    let _scheduler = asleep(
        &bench,
        "dag_id: one\ntasks:\n  only: {operator: empty, retries: 1, retry_delay: 1s}\n",
    )
    .await;
    bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, refused("no route")).await;
    bench
        .until("select exists (select from ready where attempt = 2)")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dag_that_another_process_resumes_runs_at_once() {
    let bench = Bench::new().await;
    let _scheduler = asleep(
        &bench,
        "dag_id: one\nschedule: '@once'\nis_paused_upon_creation: true\ntasks:\n  only: {operator: empty}\n",
    )
    .await;
    let dag = "one".parse().unwrap();
    bench.engine.set_paused(&dag, Paused::No).await.unwrap();
    bench.until("select exists (select from dag_run)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_continuous_dags_run_in_another_process_begins_the_next() {
    let bench = Bench::new().await;
    let _scheduler = asleep(
        &bench,
        "dag_id: ever\nschedule: '@continuous'\ntasks:\n  only: {operator: empty}\n",
    )
    .await;
    let worker = bench.worker().await;
    for _ in 0..3 {
        bench
            .until("select exists (select from ready where worker_id is null)")
            .await;
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, Outcome::success()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_was_cut_off_looks_at_what_it_may_have_missed() {
    let bench = Bench::new().await;
    let _scheduler = asleep(
        &bench,
        "dag_id: one\nschedule: '@once'\nis_paused_upon_creation: true\ntasks:\n  only: {operator: empty}\n",
    )
    .await;
    // Nobody tells of this.
    bench
        .execute("update dag set is_paused = false, next_due_at = now()")
        .await;
    assert_eq!(bench.count("select count(*) from dag_run").await, 0);
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and query like 'LISTEN%'";
    assert_eq!(bench.count(cut).await, 1);
    bench.until("select exists (select from dag_run)").await;
}

#[tokio::test]
async fn the_reaper_sleeps_until_the_first_lease_ends() {
    let bench = Bench::new().await;
    let mut reaper = Reaper::new(bench.engine.clone());
    assert_eq!(reaper.pass().await.unwrap(), None);
    let lease = |seconds| NewWorker {
        name: "played".into(),
        version: "0".into(),
        slots: 4,
        lease: Duration::from_secs(seconds),
        queues: vec!["default".into()],
    };
    bench.store.register_worker(&lease(900)).await.unwrap();
    let first = bench.store.register_worker(&lease(600)).await.unwrap();
    let due = reaper.pass().await.unwrap().unwrap();
    assert!(
        due > Duration::from_secs(570) && due <= Duration::from_secs(600),
        "{due:?}"
    );
    bench.silence(first).await;
    let due = reaper.pass().await.unwrap().unwrap();
    assert!(due > Duration::from_secs(870), "{due:?}");
    assert_eq!(
        bench
            .count("select count(*) from worker where lost_at is not null")
            .await,
        1
    );
}

#[tokio::test]
async fn a_service_with_nothing_to_do_asks_one_question_a_pass() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: daily\nschedule: '@daily'\ntasks:\n  only: {operator: empty}\n")
        .await;
    bench.worker().await;
    let engine = &bench.engine;
    let mut scheduler = Scheduler::new(engine.clone());
    let mut timekeeper = Timekeeper::new(engine.clone());
    let mut reaper = Reaper::new(engine.clone());
    let mut notifier = Notifier::new(engine.clone());
    let mut pass = async || {
        scheduler.pass().await.unwrap();
        timekeeper.pass().await.unwrap();
        reaper.pass().await.unwrap();
        notifier.pass().await.unwrap();
    };
    // The first ones find work.
    pass().await;
    pass().await;
    let counter = Counter::default();
    let count = counter.0.clone();
    let counting = tracing::subscriber::set_default(counter);
    for _ in 0..10 {
        pass().await;
    }
    drop(counting);
    assert_eq!(count.load(Ordering::Relaxed), 40);
}

/// Counts the statements of this thread.
#[derive(Default)]
struct Counter(Arc<AtomicUsize>);

impl tracing::Subscriber for Counter {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
