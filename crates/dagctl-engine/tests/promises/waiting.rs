//! Tasks that wait without a worker: what they cost meanwhile, and what ends their waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dagctl_core::ids::{AttemptKey, DagRunId, MapIndex, TaskIndex, TaskInstanceKey};
use dagctl_core::operator::Answer;
use dagctl_core::outcome::{Outcome, Wait};
use dagctl_core::state::{RunState, TaskState};
use dagctl_engine::flush::Report;
use dagctl_engine::reaper::Timekeeper;
use dagctl_engine::reconcile::Service as _;
use dagctl_store::views::tasks::TaskFilter;

use crate::approvals::{APPROVAL, answer, asks};
use crate::support::{Bench, Working, refused, report, request};

const SENSOR: &str = "
dag_id: one
tasks:
  wait: {operator: file_sensor, filepath: /nowhere/at/all, retries: 1, retry_delay: 0s, timeout: 1h}
  then: {operator: empty, depends_on: wait}
";

fn not_yet() -> Outcome {
    Outcome::Waits(Wait::Poke)
}

pub(crate) async fn seen(bench: &Bench, run: DagRunId) -> TaskState {
    let rows = bench.store.task_rows(run, &TaskFilter::default()).await;
    rows.unwrap()[0].state
}

#[tokio::test]
async fn a_sensor_between_two_pokes_is_one_timer_and_leaves_no_history() {
    let bench = Bench::new().await;
    bench.dag(SENSOR).await;
    let run = bench.trigger("one").await;
    let worker = bench.worker().await;
    for attempt in 1..=3 {
        let claim = bench.claim(worker).await;
        assert_eq!(
            claim.key.attempt.get(),
            attempt,
            "each poke has a fence of its own"
        );
        bench.flush(worker, claim.key, not_yet()).await;
        assert_eq!(seen(&bench, run).await, TaskState::UpForReschedule);
        assert_eq!(bench.count("select count(*) from ready").await, 0);
        let pause: f64 = bench
            .value("select extract(epoch from due_at - now())::float8 from timer where kind = 'p'")
            .await;
        assert!(pause > 55.0 && pause <= 61.0, "{pause}");
        assert_eq!(
            bench.store.queue_due_timers().await.unwrap(),
            0,
            "not before its time"
        );
        bench.execute("update timer set due_at = now()").await;
        assert_eq!(bench.store.queue_due_timers().await.unwrap(), 1);
    }
    assert_eq!(bench.history().await, [""; 0]);
    assert_eq!(
        bench
            .texts("select tries || ' ' || pokes from task_instance where task_index = 0")
            .await,
        ["0 3"]
    );
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, Outcome::success()).await;
    assert_eq!(bench.states().await, "wait=s4 then=n");
}

#[tokio::test]
async fn a_sensor_whose_time_is_up_fails_without_retry_and_a_soft_one_is_skipped() {
    for (soft, states, history) in [
        ("false", "wait=f2 then=u", "2 f timeout"),
        ("true", "wait=k2 then=k", "2 k skipped"),
    ] {
        let bench = Bench::new().await;
        let yaml = SENSOR.replace("timeout: 1h", &format!("timeout: 1h, soft_fail: {soft}"));
        bench.dag(&yaml).await;
        bench.trigger("one").await;
        let worker = bench.worker().await;
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, not_yet()).await;
        bench.execute("update timer set due_at = now()").await;
        bench
            .execute("update task_instance set first_poke_at = now() - interval '1 hour' where pokes = 1")
            .await;
        bench.store.queue_due_timers().await.unwrap();
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, not_yet()).await;
        assert_eq!(bench.states().await, states);
        let message = "found nothing in 1h, the sensor's `timeout`, in 2 looks";
        assert_eq!(bench.history().await, [format!("{history}: {message}")]);
    }
}

#[tokio::test]
async fn an_error_in_a_poke_is_tried_again_and_does_not_begin_the_timeout_anew() {
    let bench = Bench::new().await;
    bench.dag(SENSOR).await;
    bench.trigger("one").await;
    let worker = bench.worker().await;
    let since = "select first_poke_at::text from task_instance where task_index = 0";
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, not_yet()).await;
    let first: String = bench.value(since).await;
    for outcome in [refused("no route"), not_yet()] {
        bench.execute("update timer set due_at = now()").await;
        bench.store.queue_due_timers().await.unwrap();
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, outcome).await;
    }
    assert_eq!(bench.value::<String>(since).await, first);
    assert_eq!(bench.history().await, ["2 f connect: no route"]);
    assert_eq!(bench.states().await, "wait=n3 then=n");
}

#[tokio::test]
async fn a_poke_whose_worker_was_lost_is_nobodys_and_the_next_one_counts() {
    let bench = Bench::new().await;
    bench.dag(SENSOR).await;
    bench.trigger("one").await;
    let (lost, worker) = (bench.worker().await, bench.worker().await);
    let claim = bench.claim(lost).await;
    bench.silence(lost).await;
    bench
        .store
        .mark_lost_workers(std::time::Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(bench.store.release_lost().await.unwrap(), 1);
    bench.flush(lost, claim.key, not_yet()).await;
    assert_eq!(bench.count("select count(*) from timer").await, 0);
    let claim = bench.claim(worker).await;
    bench.flush(worker, claim.key, not_yet()).await;
    bench.flush(worker, claim.key, not_yet()).await;
    assert_eq!(bench.count("select count(*) from timer").await, 1);
    assert_eq!(
        bench
            .count("select pokes::bigint from task_instance where task_index = 0")
            .await,
        1
    );
}

/// Counts the statements that reach the database from this thread.
#[derive(Clone, Default)]
struct Statements(Arc<AtomicUsize>);

impl tracing::Subscriber for Statements {
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

#[tokio::test]
async fn waiting_sensors_cost_no_more_than_their_pokes_and_those_share_their_statements() {
    const SENSORS: usize = 400;
    let bench = Bench::new().await;
    let yaml = SENSOR.replace("dag_id: one", "dag_id: one\nmax_active_runs: 1000");
    bench.dag(&yaml).await;
    for _ in 0..SENSORS {
        bench.trigger("one").await;
    }
    let worker = bench.worker().await;
    let counted = Statements::default();
    let _guard = tracing::subscriber::set_default(counted.clone());
    let count = || counted.0.swap(0, Ordering::Relaxed);
    let mut timekeeper = Timekeeper::new(bench.engine.clone());
    for round in 1..=2 {
        let claims = bench.store.claim(worker, SENSORS).await.unwrap().claims;
        assert_eq!(claims.len(), SENSORS);
        // The DAG's text is read once.
        bench.engine.dag(claims[0].dag_version_id).await.unwrap();
        count();
        let reports: Vec<Report> = claims.iter().map(|it| report(it.key, not_yet())).collect();
        bench.engine.flush(worker, reports).await.unwrap();
        let settled = count();
        assert!(
            (1..=8).contains(&settled),
            "{SENSORS} pokes took {settled} statements"
        );

        for _ in 0..5 {
            timekeeper.pass().await.unwrap();
        }
        let looked = count();
        // And the hint that told of the timers, which is sent by the way.
        assert!(
            (5..=6).contains(&looked),
            "5 looks at {SENSORS} timers took {looked} statements"
        );

        bench.execute("update timer set due_at = now()").await;
        count();
        timekeeper.pass().await.unwrap();
        let queued = count();
        assert!(
            (1..=8).contains(&queued),
            "queueing {SENSORS} pokes took {queued} statements"
        );
        let pokes = "select count(*) from task_instance where pokes = ";
        let pokes: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("{pokes}{round}")))
            .fetch_one(&bench.database.pool)
            .await
            .unwrap();
        assert_eq!(usize::try_from(pokes).unwrap(), SENSORS);
    }
    assert_eq!(bench.count("select count(*) from attempt").await, 0);
    assert_eq!(bench.count("select count(*) from log_chunk").await, 0);
}

#[tokio::test]
async fn a_sensor_finds_its_file_and_what_waits_for_it_starts() {
    let bench = Bench::new().await;
    let folder = bench.folder.path().display().to_string();
    bench
        .dag(&format!(
            "
dag_id: one
max_active_tasks: 1
tasks:
  wait: {{operator: file_sensor, filepath: '{folder}/in/*.csv', poke_interval: 1s, timeout: 1h}}
  then: {{operator: shell, depends_on: wait, command: \"echo '{{{{ outputs.wait.file }}}}' > {folder}/found\"}}
  other: {{operator: empty}}
"
        ))
        .await;
    bench.trigger("one").await;
    let _loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    // While it waits, the one place is free for another.
    bench
        .until("select exists (select from task_instance where pokes > 0) and exists (select from task_instance where state = 's')")
        .await;
    std::fs::create_dir(bench.sign("in")).unwrap();
    std::fs::write(bench.sign("in").join("a.csv"), "x").unwrap();
    bench.until_all_ended().await;
    worker.drain().await;
    let found = std::fs::read_to_string(bench.sign("found")).unwrap();
    assert_eq!(found.trim(), format!("{folder}/in/a.csv"));
    // Only the first look and the one that found something told anything.
    assert_eq!(bench.count("select count(distinct attempt) from log_chunk where task_index = (select task_index from dag_task where task_id = 'wait')").await, 2);
}

#[tokio::test]
async fn a_sensor_waits_for_another_dags_tasks_of_its_logical_date_and_fails_with_those_it_is_told_of()
 {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: up\ntasks:\n  a: {operator: shell, command: ['false']}\n  b: {operator: empty}\n")
        .await;
    bench
        .dag(
            "
dag_id: down
default_args: {external_dag_id: up, poke_interval: 1s, timeout: 1h}
tasks:
  b: {operator: external_task_sensor, external_task_id: b, execution_delta: 1d}
  run: {operator: external_task_sensor, allowed_states: [success, failed], execution_delta: 1d}
  a: {operator: external_task_sensor, external_task_id: [b, a], failed_states: [failed], execution_delta: 1d}
  nobody: {operator: external_task_sensor, external_dag_id: nobody, check_existence: true}
",
        )
        .await;
    let at = |text: &str| Some(text.parse().unwrap());
    let mut down = request("down");
    down.logical_date = at("2026-03-02T00:00:00Z");
    let down = bench.ask(down).await.dag_run_id;
    let _loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    bench
        .until("select (select count(*) from task_instance where pokes > 0) = 3")
        .await;
    let mut up = request("up");
    up.logical_date = at("2026-03-01T00:00:00Z");
    bench.ask(up).await;
    bench.until_all_ended().await;
    worker.drain().await;
    let states: Vec<(String, TaskState, Option<String>)> = bench
        .store
        .task_rows(down, &TaskFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|it| (it.task_id, it.state, it.error))
        .collect();
    let of = |name: &str| states.iter().find(|it| it.0 == name).unwrap();
    assert_eq!(of("b").1, TaskState::Success);
    assert_eq!(of("run").1, TaskState::Success);
    assert_eq!(of("a").1, TaskState::Failed);
    let error = of("a").2.clone().unwrap();
    assert!(
        error.starts_with("`up.a` in run manual__2026-03-01"),
        "{error}"
    );
    let error = of("nobody").2.clone().unwrap();
    assert!(error.starts_with("no DAG is called `nobody`"), "{error}");
}

#[tokio::test]
async fn a_time_sensor_is_one_timer_at_the_right_moment() {
    let bench = Bench::new().await;
    let now = bench.store.now().await.unwrap();
    let soon = now + jiff::SignedDuration::from_millis(1500);
    let long_ago = "2020-01-01T00:00:00Z";
    bench
        .dag(&format!(
            "dag_id: one\ntasks:\n  soon: {{operator: time_sensor, target_time: '{soon}'}}\n  ago: {{operator: time_sensor, target_time: '{long_ago}'}}\n"
        ))
        .await;
    bench.trigger("one").await;
    let _loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(bench.states().await, "soon=s2 ago=s");
    assert_eq!(
        bench
            .count("select pokes::bigint from task_instance where task_index = 0")
            .await,
        1
    );
    assert!(bench.store.now().await.unwrap() >= soon);
}

#[tokio::test]
async fn a_task_that_made_a_run_ends_with_it_and_makes_no_second_one() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: child\nparams: {n: {type: integer, default: 1}}\ntasks:\n  only: {operator: shell, command: 'exit {{ params.n }}'}\n")
        .await;
    bench
        .dag(
            "
dag_id: parent
params: {n: 0}
tasks:
  call: {operator: trigger_dagrun, trigger_dag_id: child, wait_for_completion: true, conf: {n: '{{ params.n }}'}}
",
        )
        .await;
    for (n, expected) in [(0, RunState::Success), (3, RunState::Failed)] {
        let mut asked = request("parent");
        asked.params.insert("n".into(), n.into());
        let parent = bench.ask(asked).await.dag_run_id;
        // The first worker makes the run and leaves; nothing but the run itself is left to wake the task.
        let caller = Working::on(&bench.engine);
        bench.until_all_ended_but_waiting().await;
        caller.drain().await;
        let _loops = bench.keep_time();
        let worker = Working::on(&bench.engine);
        bench.until_all_ended().await;
        worker.drain().await;
        assert_eq!(bench.store.run_state(parent).await.unwrap(), Some(expected));
        let call = TaskInstanceKey {
            dag_run_id: parent,
            task_index: TaskIndex(0),
            map_index: MapIndex::UNMAPPED,
        };
        let made = bench.store.triggered_runs(call).await.unwrap();
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].state, expected);
        let by = bench
            .store
            .trigger_of(made[0].dag_run_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (by.dag_id.as_str(), by.task_id.as_str()),
            ("parent", "call")
        );
        assert_eq!(bench.count("select count(*) from timer").await, 0);
    }
    let history = bench.history().await.join("\n");
    assert!(history.contains("of `child` ended as failed"), "{history}");
}

#[tokio::test]
async fn conf_that_does_not_suit_the_other_dag_fails_the_task_with_what_is_wrong() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: child\nparams: {n: 1}\ntasks:\n  only: {operator: empty}\n")
        .await;
    bench
        .dag("dag_id: parent\ntasks:\n  call: {operator: trigger_dagrun, trigger_dag_id: child, conf: {n: many}}\n")
        .await;
    bench.trigger("parent").await;
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    let error = bench.history().await.pop().unwrap();
    assert!(
        error.starts_with("1 f definition: `conf` does not suit `child`: "),
        "{error}"
    );
    assert_eq!(bench.count("select count(*) from dag_run").await, 1);
}

#[tokio::test]
async fn a_run_that_ends_before_anybody_waits_for_it_still_wakes_who_does() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: child\nmax_active_runs: 1\ntasks:\n  only: {operator: empty}\n")
        .await;
    bench.dag(SENSOR).await;
    let worker = bench.worker().await;
    let child = bench.trigger("child").await;
    let claim = bench.claim(worker).await;
    bench.trigger("one").await;
    let parent = bench.claim(worker).await;
    let waits = |run| Outcome::Waits(Wait::Run(run));
    bench.flush(worker, claim.key, Outcome::success()).await;
    assert_eq!(
        bench.store.run_state(child).await.unwrap(),
        Some(RunState::Success)
    );
    bench.flush(worker, parent.key, waits(child)).await;
    assert_eq!(bench.store.queue_due_timers().await.unwrap(), 1, "at once");

    let running = bench.trigger("child").await;
    let queued = bench.trigger("child").await;
    assert_eq!(
        bench.store.run_state(running).await.unwrap(),
        Some(RunState::Running)
    );
    assert_eq!(
        bench.store.run_state(queued).await.unwrap(),
        Some(RunState::Queued)
    );
    let parent = bench.claim_of(worker, parent.key).await;
    bench.flush(worker, parent, waits(queued)).await;
    assert_eq!(bench.store.queue_due_timers().await.unwrap(), 0);
    assert!(bench.engine.request_cancel(queued, "kim").await.unwrap());
    assert_eq!(
        bench.store.queue_due_timers().await.unwrap(),
        1,
        "with the end of the run"
    );
}

#[tokio::test]
async fn a_cancel_ends_whatever_waits_and_nothing_of_it_goes_on() {
    for (yaml, outcome, states) in [
        (SENSOR, not_yet(), "wait=f2 then=k"),
        (APPROVAL, asks(), "review=f send=k after=k"),
        (
            SENSOR,
            Outcome::Waits(Wait::Run(DagRunId(1))),
            "wait=f2 then=k",
        ),
    ] {
        let bench = Bench::new().await;
        bench.dag(yaml).await;
        let run = bench.trigger("one").await;
        let worker = bench.worker().await;
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, outcome).await;
        assert!(bench.engine.request_cancel(run, "lee").await.unwrap());
        assert_eq!(
            bench.store.run_state(run).await.unwrap(),
            Some(RunState::Failed)
        );
        assert_eq!(bench.states().await, states);
        assert_eq!(bench.count("select count(*) from timer").await, 0);
        assert_eq!(bench.store.open_approvals(10).await.unwrap(), []);
        let late = bench
            .engine
            .answer(answer(run, Answer::Approve, "kim"))
            .await;
        assert!(late.is_err());
        let reason = bench.history().await.pop().unwrap();
        assert!(
            reason.ends_with("f cancelled: cancelled by lee"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_poke_under_way_when_its_run_is_cancelled_waits_for_nothing() {
    let bench = Bench::new().await;
    bench.dag(SENSOR).await;
    let run = bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    assert!(bench.engine.request_cancel(run, "lee").await.unwrap());
    bench.flush(worker, claim.key, not_yet()).await;
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(bench.states().await, "wait=f then=k");
    assert_eq!(bench.history().await, ["1 f cancelled: cancelled by lee"]);
}

impl Bench {
    /// Waits until every run that has not ended waits for another.
    async fn until_all_ended_but_waiting(&self) {
        self.until("select exists (select from timer where kind = 'w')")
            .await;
    }

    /// The attempt that goes on with a task, among others that may be claimed.
    async fn claim_of(&self, worker: dagctl_core::ids::WorkerId, before: AttemptKey) -> AttemptKey {
        let claims = self.store.claim(worker, 10).await.unwrap().claims;
        let of_task = claims.iter().find(|it| it.key.instance == before.instance);
        of_task.unwrap().key
    }
}
