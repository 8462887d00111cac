//! What a silent worker held goes to others, and the silent one stops.

use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_core::state::RunState;
use dagctl_store::workers::Heartbeat;

use crate::support::{BLOCKED, Bench, Working, read_sign, until_gone};

#[tokio::test]
async fn a_silent_workers_task_is_taken_over_as_a_new_attempt_that_costs_no_retry() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  only: {operator: empty, retries: 0}\n")
        .await;
    let run = bench.trigger("one").await;
    let silent = bench.worker().await;
    let claim = bench.claim(silent).await;
    bench.silence(silent).await;
    let _loops = bench.keep_time();
    bench
        .until("select exists (select from ready where worker_id is null and attempt = 2)")
        .await;
    let history = bench.history().await;
    assert_eq!(history.len(), 1);
    let says = "1 l lost_worker: worker played lost, its lease ended ";
    assert!(history[0].starts_with(says), "{history:?}");
    let started: bool = bench
        .value("select started_at is not null and worker_id is not null from attempt")
        .await;
    assert!(
        started,
        "the history of a lost attempt says when it began, and where"
    );

    // The worker wakes up: its lease is gone, and its result is refused.
    let heartbeat = bench
        .store
        .heartbeat(silent, Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(heartbeat, Heartbeat::Lost);
    bench.flush(silent, claim.key, Outcome::success()).await;
    assert!(
        bench
            .store
            .claim(silent, 1)
            .await
            .unwrap()
            .claims
            .is_empty(),
        "a lost worker gets no task"
    );
    let other = bench.worker().await;
    let again = bench.claim(other).await;
    bench.flush(other, again.key, Outcome::success()).await;
    assert_eq!(bench.states().await, "only=s2");
    assert_eq!(
        bench.count("select tries::bigint from task_instance").await,
        0
    );
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Success)
    );
}

#[tokio::test]
async fn a_task_that_loses_five_workers_fails_as_lost_worker_and_is_told_once() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  killer: {operator: empty, retries: 9, on_failure_callback: [slack]}\n  after: {operator: empty, depends_on: killer}\n")
        .await;
    bench.trigger("one").await;
    let _loops = bench.keep_time();
    for lost in 1..=5 {
        let silent = bench.worker().await;
        bench
            .until("select exists (select from ready where worker_id is null)")
            .await;
        let claim = bench.claim(silent).await;
        assert_eq!(claim.key.attempt.get(), lost);
        bench.silence(silent).await;
    }
    bench.until_all_ended().await;
    assert_eq!(bench.states().await, "killer=f6 after=u");
    let history = bench.history().await;
    assert_eq!(history.len(), 6, "{history:#?}");
    assert!(
        history[..5]
            .iter()
            .all(|it| it.contains(" l lost_worker: "))
    );
    assert_eq!(
        history[5],
        "6 f lost_worker: its worker vanished 5 times while it held this task"
    );
    let told = bench
        .texts("select news->>'attempt' from notice_item")
        .await;
    assert_eq!(told, ["6"]);
    assert_eq!(bench.count("select count(*) from ready").await, 0);
}

#[tokio::test]
async fn a_late_heartbeat_learns_that_the_lease_is_gone_and_everything_it_ran_is_dead() {
    let bench = Bench::new().await;
    let sign = bench.sign("pid");
    bench
        .dag(&format!(
            "dag_id: one\ntasks:\n  long:\n    operator: shell\n    command: \"echo $$ >> {}; sleep 600\"\n",
            sign.display()
        ))
        .await;
    bench.trigger("one").await;
    let worker = Working::on(&bench.engine);
    let first = read_sign(&sign).await;
    // As the reaper of another process would; the worker is still there and takes the task again under a new name.
    bench.execute("update worker set lost_at = now()").await;
    until_gone(&first).await;
    assert_eq!(
        bench
            .count("select count(*) from task_instance where state <> 'n'")
            .await,
        0
    );
    let _loops = bench.keep_time();
    bench
        .until("select exists (select from ready join worker using (worker_id) where attempt = 2 and lost_at is null)")
        .await;
    assert!(bench.history().await[0].starts_with("1 l lost_worker"));
    worker.hurry.cancel();
    worker.drain().await;
    assert_eq!(
        bench
            .count("select count(*) from ready where worker_id is not null")
            .await,
        0
    );
}

#[tokio::test]
async fn an_unreachable_database_stops_tasks_before_the_lease_ends() {
    let bench = Bench::new().await;
    let sign = bench.sign("pid");
    bench
        .dag(&format!(
            "dag_id: one\ntasks:\n  long:\n    operator: shell\n    command: \"echo $$ >> {}; sleep 600\"\n",
            sign.display()
        ))
        .await;
    bench.trigger("one").await;
    let worker = Working::on(&bench.engine);
    let pid = read_sign(&sign).await;
    // Heartbeats hang, as behind a cut network.
    let mut cut = bench
        .lock("lock table worker in access exclusive mode")
        .await;
    until_gone(&pid).await;
    let is_early: bool = sqlx::query_scalar("select clock_timestamp() < lease_until from worker")
        .fetch_one(&mut cut)
        .await
        .unwrap();
    assert!(is_early, "the task outlived the lease that it ran under");
    sqlx::raw_sql("rollback").execute(&mut cut).await.unwrap();
    worker.hurry.cancel();
    worker.drain().await;
}

/// The answer to a claim is lost on its way: what was claimed must neither stay with nobody nor run twice.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_run_by_the_worker_that_made_it() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  only: {operator: empty}\n")
        .await;
    let worker = Working::on(&bench.engine);
    let mut blocker = bench.lock("lock table pool in access exclusive mode").await;
    bench.until(BLOCKED).await;
    bench.trigger("one").await;
    // What a claim does before its answer is lost.
    let claimed = "update ready set worker_id = (select worker_id from worker), claimed_at = now()";
    assert_eq!(bench.execute(claimed).await, 1);
    let killed = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    assert_eq!(bench.count(killed).await, 1);
    sqlx::raw_sql("rollback")
        .execute(&mut blocker)
        .await
        .unwrap();
    bench.until_all_ended().await;
    assert_eq!(bench.states().await, "only=s");
    worker.drain().await;
}
