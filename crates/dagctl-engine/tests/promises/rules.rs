//! What a task is subject to besides the success of its upstream tasks, on a real database.

use dagctl_core::ids::WorkerId;
use dagctl_core::outcome::Outcome;
use dagctl_core::state::RunState;
use dagctl_engine::TriggerRequest;
use dagctl_engine::flush::{OnSuccess, Report};

use crate::support::{Bench, Working, read_sign, refused, request, until_gone};

/// Ends the attempts of tasks, which this worker has claimed or claims now.
async fn end(bench: &Bench, worker: WorkerId, task: &'static str, outcome: Outcome) {
    bench.store.claim(worker, 10).await.unwrap();
    let held = bench.store.held(worker).await.unwrap();
    let tasks = bench
        .texts("select task_id from dag_task order by task_index")
        .await;
    for claim in held {
        let index = usize::try_from(claim.key.instance.task_index.get()).unwrap();
        if tasks[index] == task {
            let report = Report {
                key: claim.key,
                outcome: outcome.clone(),
                on_success: OnSuccess::Look,
            };
            bench.engine.flush(worker, vec![report]).await.unwrap();
            return;
        }
    }
    panic!("{task} cannot be claimed: {}", bench.states().await);
}

#[tokio::test]
async fn eager_rules_start_their_task_while_other_upstream_tasks_run() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: eager
tasks:
  quick: {operator: empty}
  slow: {operator: shell, command: [sh, -c, 'until [ -e go ]; do sleep 0.02; done'], cwd: '{{ run_dir }}'}
  first: {operator: empty, depends_on: [quick, slow], trigger_rule: one_success}
  any: {operator: empty, depends_on: [quick, slow], trigger_rule: one_done}
  now: {operator: empty, depends_on: slow, trigger_rule: always}
  none: {operator: empty, depends_on: [quick, slow], trigger_rule: all_failed}
  late: {operator: empty, depends_on: [quick, slow], trigger_rule: none_failed}
",
        )
        .await;
    let run = bench.trigger("eager").await;
    let working = Working::on(&bench.engine);
    bench
        .until(
            "select count(*) = 5 from task_instance t join dag_task k using (task_index)
            where (k.task_id, t.state::text) in
                (('quick', 's'), ('first', 's'), ('any', 's'), ('now', 's'), ('none', 'k'))",
        )
        .await;
    let folder = bench.engine.config().runs_folder.join(run.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("go"), "").unwrap();
    bench.until_all_ended().await;
    assert_eq!(
        bench.states().await,
        "quick=s slow=s first=s any=s now=s none=k late=s"
    );
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Success)
    );
    working.drain().await;
}

#[tokio::test]
async fn a_branch_s_decision_is_kept_and_seen_by_a_task_that_is_cleared_later() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: fork
params: {way: left}
tasks:
  other: {operator: empty}
  choose:
    operator: branch
    branches: [{when: params.way == 'left', follow: left}, {follow: right}]
  left: {operator: empty, depends_on: choose}
  right: {operator: empty, depends_on: [choose, other], trigger_rule: all_done}
  join: {operator: empty, depends_on: [left, right], trigger_rule: none_failed_min_one_success}
  strict: {operator: empty, depends_on: right}
",
        )
        .await;
    let run = bench.trigger("fork").await;
    let working = Working::on(&bench.engine);
    bench.until_all_ended().await;
    let ended = "other=s choose=s left=s right=k join=s strict=k";
    assert_eq!(bench.states().await, ended);
    assert_eq!(
        bench
            .texts("select value::text from output where task_index = 1")
            .await,
        [r#"{"followed": ["left"]}"#]
    );
    assert_eq!(
        bench
            .texts("select reason from task_instance where state = 'k' order by task_index")
            .await,
        ["not_followed", "upstream_skipped"]
    );
    // As a clear leaves it: the task waits again, and a look decides what of it.
    bench
        .execute("update task_instance set state = 'n', reason = null where task_index in (3, 5)")
        .await;
    bench
        .execute("update task_instance set pending = 1 where task_index in (4, 5)")
        .await;
    bench
        .execute("update dag_run set state = 'r', remaining = 2, finished_at = null")
        .await;
    bench.engine.advance(run).await.unwrap();
    assert_eq!(bench.states().await, ended);
    working.drain().await;
}

#[tokio::test]
async fn only_the_newest_interval_goes_past_latest_only() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: newest
schedule: '@daily'
tasks:
  gate: {operator: latest_only}
  after: {operator: empty, depends_on: gate, trigger_rule: all_done}
  beside: {operator: empty}
",
        )
        .await;
    let manual = bench.trigger("newest").await;
    let working = Working::on(&bench.engine);
    bench.until_all_ended().await;
    assert_eq!(bench.states().await, "gate=s after=s beside=s");
    // The same run, as if the scheduler had made it for an interval of long ago.
    bench
        .execute(
            "update dag_run set run_type = 's', interval_start = '2020-01-01Z', interval_end = '2020-01-02Z',
                state = 'r', remaining = 2, finished_at = null",
        )
        .await;
    bench
        .execute("update task_instance set state = 'n', pending = task_index where task_index < 2")
        .await;
    let again = bench.another(|_| ()).await;
    working.drain().await;
    let working = Working::on(&again);
    again.advance(manual).await.unwrap();
    bench.until_all_ended().await;
    assert_eq!(bench.states().await, "gate=s2 after=k beside=s");
    working.drain().await;
}

#[tokio::test]
async fn a_cancel_kills_the_work_and_lets_the_teardown_run_to_its_end() {
    let bench = Bench::new().await;
    let (work, gone) = (bench.sign("work"), bench.sign("gone"));
    bench
        .dag(&format!(
            "
dag_id: scratch
max_active_tasks: 2
tasks:
  make: {{operator: empty}}
  work: {{operator: shell, depends_on: make, command: [sh, -c, 'echo $$ > {}; exec sleep 600']}}
  more: {{operator: empty, depends_on: work}}
  clean:
    operator: shell
    depends_on: more
    teardown: {{setups: [make]}}
    command: [sh, -c, 'sleep 0.3; echo done > {}']
",
            work.display(),
            gone.display()
        ))
        .await;
    let run = bench.trigger("scratch").await;
    let working = Working::on(&bench.engine);
    let pid = read_sign(&work).await;
    bench.engine.request_cancel(run, "lee").await.unwrap();
    let _keeping = bench.keep_time();
    bench.until_all_ended().await;
    until_gone(&pid).await;
    assert_eq!(read_sign(&gone).await, "done");
    assert_eq!(bench.states().await, "make=s work=f more=k clean=s");
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed)
    );
    working.drain().await;
}

/// A run of a day in January.
fn on_day(day: u8) -> TriggerRequest {
    TriggerRequest {
        logical_date: Some(format!("2026-01-{day:02}T00:00:00Z").parse().unwrap()),
        ..request("chain")
    }
}

const CHAIN: &str = "
dag_id: chain
tasks:
  load: {operator: empty, wait_for_downstream: true}
  after: {operator: empty, depends_on: load}
  sum: {operator: empty, depends_on: after, depends_on_past: true}
";

async fn queued(bench: &Bench) -> String {
    let all = bench.texts(
        "select extract(day from logical_at)::text || k.task_id
        from ready q join dag_run r using (dag_run_id)
        join dag_task k on (k.dag_version_id, k.task_index) = (r.dag_version_id, q.task_index) order by 1",
    );
    all.await.join(" ")
}

#[tokio::test]
async fn a_task_waits_for_itself_in_the_run_before_and_is_looked_at_when_that_settles() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let worker = bench.worker().await;
    // The later one is there first; it is the first of all then.
    bench.ask(on_day(3)).await;
    let _keeping = bench.keep_time();
    let is_queued = "select exists (select from ready)";
    bench.until(is_queued).await;
    assert_eq!(queued(&bench).await, "3load");
    for task in ["load", "after", "sum"] {
        bench.until(is_queued).await;
        end(&bench, worker, task, Outcome::success()).await;
    }

    let second = bench.ask(on_day(5)).await.dag_run_id;
    bench.until(is_queued).await;
    assert_eq!(queued(&bench).await, "5load");
    let third = bench.ask(on_day(6)).await.dag_run_id;
    bench.engine.advance(third).await.unwrap();
    assert_eq!(queued(&bench).await, "5load", "the run before has not");
    end(&bench, worker, "load", Outcome::success()).await;
    assert_eq!(
        queued(&bench).await,
        "5after",
        "nor the task after it there"
    );
    end(&bench, worker, "after", Outcome::success()).await;
    bench.until("select count(*) = 2 from ready").await;
    assert_eq!(queued(&bench).await, "5sum 6load");
    end(&bench, worker, "load", Outcome::success()).await;
    end(&bench, worker, "after", Outcome::success()).await;
    assert_eq!(queued(&bench).await, "5sum", "the last one waits as well");
    end(
        &bench,
        worker,
        "sum",
        Outcome::Skipped {
            reason: "no data".into(),
        },
    )
    .await;
    bench.until(is_queued).await;
    assert_eq!(queued(&bench).await, "6sum", "skipped is as good");
    end(&bench, worker, "sum", Outcome::success()).await;
    for run in [second, third] {
        assert_eq!(
            bench.store.run_state(run).await.unwrap(),
            Some(RunState::Success)
        );
    }
    bench
        .until("select not exists (select from past_news)")
        .await;
}

#[tokio::test]
async fn a_failure_in_the_run_before_holds_a_task_up_and_its_news_survive_a_crash() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let worker = bench.worker().await;
    let first = bench.ask(on_day(1)).await.dag_run_id;
    let second = bench.ask(on_day(2)).await.dag_run_id;
    bench.engine.advance(first).await.unwrap();
    end(&bench, worker, "load", refused("no")).await;
    assert_eq!(
        bench.store.run_state(first).await.unwrap(),
        Some(RunState::Failed)
    );
    bench.engine.advance(second).await.unwrap();
    assert_eq!(queued(&bench).await, "");
    assert_eq!(
        bench.store.run_state(second).await.unwrap(),
        Some(RunState::Running)
    );
    // Somebody put the first run right, and the process died before it told the second one.
    bench
        .execute("update task_instance t set state = 's' from dag_run r where r.dag_run_id = t.dag_run_id
            and r.state = 'f'")
        .await;
    bench
        .execute("insert into past_news (dag_key) select dag_key from dag")
        .await;
    let _keeping = bench.keep_time();
    bench.until("select exists (select from ready)").await;
    assert_eq!(queued(&bench).await, "2load");
}
