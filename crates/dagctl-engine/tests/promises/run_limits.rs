//! What limits a run as a whole: its time, its tries, its deadline, and how often its DAG may fail.

use dagctl_core::ids::TaskIndex;
use dagctl_core::outcome::{Failure, FailureKind, Outcome};
use dagctl_core::state::RunState;
use dagctl_engine::reaper::Reaper;
use dagctl_engine::reconcile::Service as _;
use dagctl_engine::scheduler::Scheduler;
use dagctl_store::workers::Heartbeat;

use crate::support::{Bench, refused};

impl Bench {
    /// What two schedulers do, one after the other: the second finds nothing.
    async fn look_at_the_clock(&self) {
        for _ in 0..2 {
            Scheduler::new(self.engine.clone()).pass().await.unwrap();
        }
    }

    /// As if the moment that something in a run is due at had come.
    async fn time_passes(&self) {
        let rows = self
            .execute("update run_due set due_at = now() - interval '1 second'")
            .await;
        assert_eq!(rows, 1, "something is due");
    }

    async fn notices(&self) -> Vec<String> {
        self.texts(
            "select (payload ->> 'event') || ' ' || (payload ->> 'subject') from notice order by notice_id",
        )
        .await
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_stopped_and_told_as_failed() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: slow
dagrun_timeout: 1h
dagrun_retries: 3
on_failure_callback: [slack]
tasks:
  works: {operator: empty, retries: 5}
  queued: {operator: empty}
  after: {operator: empty, depends_on: works}
",
        )
        .await;
    let run = bench.trigger("slow").await;
    let due: bool = bench
        .value("select due_at - started_at = interval '1 hour' from run_due join dag_run using (dag_run_id)")
        .await;
    assert!(due);
    bench.look_at_the_clock().await;
    let worker = bench.worker().await;
    let claim = bench.store.claim(worker, 1).await.unwrap().claims.remove(0);

    bench.time_passes().await;
    bench.look_at_the_clock().await;
    assert_eq!(
        bench.states().await,
        "works=n queued=f after=k",
        "what has not begun ends at once"
    );
    let lease = std::time::Duration::from_secs(600);
    let beat = bench.store.heartbeat(worker, lease).await.unwrap();
    assert_eq!(
        beat,
        Heartbeat::Alive {
            cancelled: vec![(run, TaskIndex(0), "dagrun_timeout".into())]
        }
    );
    let killed = Failure::new(FailureKind::Cancelled, "cancelled by dagrun_timeout");
    bench.flush(worker, claim.key, killed.into()).await;
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(bench.states().await, "works=f queued=f after=k");
    let message = "1 f timeout: stopped: the run took longer than its `dagrun_timeout` of 1h";
    assert_eq!(bench.history().await, [message; 2]);
    assert_eq!(bench.notices().await, ["failure slow"]);
    let row = bench.store.run_row(run).await.unwrap().unwrap();
    assert_eq!(
        row.reason().as_deref(),
        Some("took longer than dagrun_timeout")
    );
    assert_eq!(bench.count("select count(*) from run_due").await, 0);
}

#[tokio::test]
async fn a_run_that_ends_in_time_is_left_alone_by_its_timeout_and_its_deadline() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: quick
dagrun_timeout: 1h
deadline: {reference: queued_at, interval: 45m, callback: [slack]}
tasks: {only: {operator: empty}}
",
        )
        .await;
    let run = bench.trigger("quick").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, Outcome::success()).await;
    bench
        .execute("update run_due set due_at = finished_at + interval '1 microsecond' from dag_run")
        .await;
    bench.look_at_the_clock().await;
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Success)
    );
    assert_eq!(bench.notices().await, [""; 0]);
    assert_eq!(bench.count("select count(*) from run_due").await, 0);
}

#[tokio::test]
async fn a_missed_deadline_is_told_once() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: late
deadline: {reference: queued_at, interval: 45m, callback: [slack]}
tasks: {only: {operator: empty}}
",
        )
        .await;
    bench.trigger("late").await;
    bench.time_passes().await;
    let (one, other) = (bench.engine.clone(), bench.another(|_| ()).await);
    let (mut one, mut other) = (Scheduler::new(one), Scheduler::new(other));
    let (a, b) = tokio::join!(one.pass(), other.pass());
    a.unwrap();
    b.unwrap();
    assert_eq!(bench.notices().await, ["deadline late"]);
    let remark: String = bench.value("select payload ->> 'remark' from notice").await;
    assert!(remark.contains("(45m after it was made)"), "{remark}");
    // Nor is it told again because the run ends afterwards.
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, Outcome::success()).await;
    bench.look_at_the_clock().await;
    assert_eq!(bench.count("select count(*) from notice").await, 1);
}

#[tokio::test]
async fn the_average_of_ten_runs_makes_a_deadline_and_fewer_make_none() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: usual
deadline: {reference: average_runtime, interval: 10m, callback: [slack]}
tasks: {only: {operator: empty}}
",
        )
        .await;
    let worker = bench.worker().await;
    for _ in 0..10 {
        bench.trigger("usual").await;
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, Outcome::success()).await;
    }
    assert_eq!(bench.count("select count(*) from run_due").await, 0);
    bench
        .execute("update dag_run set started_at = finished_at - interval '20 minutes'")
        .await;
    bench.trigger("usual").await;
    let half_an_hour: bool = bench
        .value(
            "select abs(extract(epoch from due_at - queued_at) - 1800) < 5
            from run_due join dag_run using (dag_run_id)",
        )
        .await;
    assert!(half_an_hour);
}

#[tokio::test]
async fn a_failed_run_goes_again_by_itself_and_only_its_last_failure_is_told() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: again
dagrun_retries: 1
dagrun_retry_delay: 1h
on_failure_callback: [slack]
tasks:
  fine: {operator: empty}
  bad: {operator: empty, depends_on: fine, on_failure_callback: [slack]}
  after: {operator: empty, depends_on: bad}
",
        )
        .await;
    let run = bench.trigger("again").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, Outcome::success()).await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, refused("no route")).await;
    let running = Some(RunState::Running);
    assert_eq!(bench.store.run_state(run).await.unwrap(), running);
    assert_eq!(bench.states().await, "fine=s bad=f after=u");
    // Looks before the time has come change nothing.
    bench.engine.advance(run).await.unwrap();
    Reaper::new(bench.engine.clone()).pass().await.unwrap();
    bench.look_at_the_clock().await;
    assert_eq!(bench.states().await, "fine=s bad=f after=u");
    assert_eq!(bench.notices().await, [""; 0]);

    // As if the process had ended after the record and before the look.
    bench.time_passes().await;
    let mut look = bench.store.look().await.unwrap();
    let due = look.take_due(run).await.unwrap().unwrap();
    assert_eq!(due.due, [dagctl_store::limits::Due::Retry]);
    let past = look.past(run).await.unwrap().unwrap();
    let dag = bench.engine.dag(past.dag_version_id).await.unwrap();
    let wish = dagctl_core::again::Wish::Retry;
    let changes = dagctl_core::again::changes(&dag, &past.tasks, &wish).unwrap();
    look.retry_run(&past, &changes).await.unwrap();
    look.commit().await.unwrap();
    assert_eq!(bench.states().await, "fine=s bad=n after=n");
    Reaper::new(bench.engine.clone()).pass().await.unwrap();

    let claim = bench.claim(worker).await;
    assert_eq!(claim.key.attempt.get(), 2);
    bench
        .flush(worker, claim.key, refused("still no route"))
        .await;
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(
        bench.notices().await,
        ["failure again.bad", "failure again"]
    );
    assert_eq!(bench.count("select count(*) from run_due").await, 0);
}

#[tokio::test]
async fn the_scheduler_has_a_failed_run_go_again_when_its_pause_is_over() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ndagrun_retries: 2\ntasks: {only: {operator: empty}}\n")
        .await;
    let run = bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, refused("no route")).await;
    bench.time_passes().await;
    bench.look_at_the_clock().await;
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, refused("no route")).await;
    assert_eq!(
        bench.count("select count(*) from run_due").await,
        1,
        "the second of two"
    );
    assert!(bench.engine.request_cancel(run, "lee").await.unwrap());
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed),
        "who cancels a run that waits for its next try ends it"
    );
    assert_eq!(bench.count("select count(*) from run_due").await, 0);
}

#[tokio::test]
async fn failures_in_a_row_pause_a_dag_and_say_so() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: flaky
schedule: '@daily'
max_consecutive_failed_dag_runs: 2
on_failure_callback: [slack]
tasks: {only: {operator: empty}}
",
        )
        .await;
    let worker = bench.worker().await;
    for outcome in [
        refused("no"),
        Outcome::success(),
        refused("no"),
        refused("no"),
    ] {
        let paused: bool = bench.value("select is_paused from dag").await;
        assert!(!paused);
        bench.trigger("flaky").await;
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, outcome).await;
    }
    let reason: String = bench
        .value("select pause_reason from dag where is_paused")
        .await;
    assert_eq!(
        reason,
        "paused by max_consecutive_failed_dag_runs: its last 2 runs failed"
    );
    assert_eq!(
        bench
            .texts("select who || ' ' || object from audit where action = 'dag.pause'")
            .await,
        ["dagctl flaky"]
    );
    assert_eq!(
        bench.notices().await,
        [
            "failure flaky",
            "failure flaky",
            "failure flaky",
            "paused flaky"
        ]
    );
    let flaky = "flaky".parse().unwrap();
    bench
        .engine
        .set_paused(&flaky, dagctl_store::dags::Paused::No)
        .await
        .unwrap();
    let reasons = "select count(*) from dag where pause_reason is not null";
    assert_eq!(bench.count(reasons).await, 0);
}
