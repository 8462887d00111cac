//! Going again: what is cleared, retried or marked, in a run that goes on or that had ended.

use dagctl_core::again::Reach;
use dagctl_core::ids::{AttemptKey, DagRunId, TaskIndex, WorkerId};
use dagctl_core::outcome::Outcome;
use dagctl_core::state::{RunState, Verdict};
use dagctl_engine::again::{Again, AgainError, AgainRequest, What};
use dagctl_engine::reaper::Reaper;
use dagctl_engine::reconcile::Service as _;

use crate::support::{Bench, refused};

pub(crate) fn request(run: DagRunId, what: What) -> AgainRequest {
    AgainRequest {
        run,
        what,
        latest: false,
        dry_run: false,
        by: "lee".into(),
    }
}

fn clear(tasks: &[&str], reach: Reach) -> What {
    What::Clear {
        tasks: tasks.iter().map(ToString::to_string).collect(),
        reach,
    }
}

fn mark(task: &str, verdict: Verdict) -> What {
    What::Mark {
        task: task.into(),
        verdict,
    }
}

impl Bench {
    async fn again(&self, run: DagRunId, what: What) -> Result<Again, AgainError> {
        self.engine.go_again(request(run, what)).await
    }

    async fn state(&self, run: DagRunId) -> RunState {
        self.store.run_state(run).await.unwrap().unwrap()
    }

    /// Lets every task that can be claimed succeed, but for those of these numbers, until none is left.
    async fn finish(&self, worker: WorkerId, failing: &[i32]) {
        let fails = |it: &AttemptKey| failing.contains(&it.instance.task_index.get());
        self.finish_where(worker, fails).await;
    }

    async fn finish_where(&self, worker: WorkerId, fails: impl Fn(&AttemptKey) -> bool) {
        loop {
            let claims = self.store.claim(worker, 10).await.unwrap().claims;
            if claims.is_empty() {
                return;
            }
            for it in claims {
                let outcome = if fails(&it.key) {
                    refused("no route")
                } else {
                    Outcome::success()
                };
                self.flush(worker, it.key, outcome).await;
            }
        }
    }

    /// Whether every count that is kept agrees with what can be counted.
    async fn assert_counts_agree(&self) {
        let wrong = self
            .texts(
                "select r.run_id from dag_run r join task_instance t using (dag_run_id)
                group by r.dag_run_id
                having r.remaining <> count(*) filter (where t.state = 'n')
                    or r.n_failed <> count(*) filter (where t.state in ('f', 'u'))
                union all
                select t.dag_run_id || '/' || t.task_index from task_instance t
                join dag_run r using (dag_run_id)
                join dag_edge e on e.dag_version_id = r.dag_version_id and e.child = t.task_index
                join task_instance p on p.dag_run_id = t.dag_run_id and p.task_index = e.parent
                group by t.dag_run_id, t.task_index, t.pending, t.n_bad
                having t.pending <> count(*) filter (where p.state = 'n')
                    or t.n_bad <> count(*) filter (where p.state not in ('n', 's'))",
            )
            .await;
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

const CHAIN: &str = "
dag_id: chain
on_failure_callback: [slack]
tasks:
  extract: {operator: empty}
  load: {operator: empty, depends_on: extract}
  check: {operator: empty, depends_on: load}
  report: {operator: empty, depends_on: check}
  beside: {operator: empty}
";

#[tokio::test]
async fn a_failed_run_is_retried_from_what_failed_and_tells_anew_if_it_fails_again() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let run = bench.trigger("chain").await;
    let worker = bench.worker().await;
    let load = 1;
    bench.finish(worker, &[load]).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=f check=u report=u beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Failed);
    assert_eq!(bench.count("select count(*) from notice").await, 1);

    let again = bench.again(run, What::Retry).await.unwrap();
    assert_eq!(again.cleared, ["load", "check", "report"]);
    bench.until("select count(*) = 1 from ready").await;
    assert_eq!(bench.state(run).await, RunState::Running);
    bench.assert_counts_agree().await;
    let last: Option<i64> = bench.value("select last_dag_run_id from dag").await;
    assert_eq!(last, None, "no run of it has ended");

    bench.finish(worker, &[load]).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=f2 check=u report=u beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Failed);
    assert_eq!(
        bench.count("select count(*) from notice").await,
        2,
        "it failed anew"
    );
    bench.again(run, What::Retry).await.unwrap();
    bench.until("select count(*) = 1 from ready").await;
    bench.finish(worker, &[]).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=s3 check=s report=s beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Success);
    bench.assert_counts_agree().await;
    assert_eq!(
        bench.history().await,
        ["1 f connect: no route", "2 f connect: no route"]
    );
    assert_eq!(
        bench
            .texts("select action || ' ' || who || ' ' || (detail ->> 'tasks') from audit where action <> 'run.trigger'")
            .await,
        [r#"run.retry lee ["load", "check", "report"]"#; 2]
    );
    assert!(matches!(
        bench.again(run, What::Retry).await,
        Err(AgainError::Nothing(_))
    ));
}

#[tokio::test]
async fn a_cleared_success_runs_again_with_a_new_number_and_what_ran_after_it_stays() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let run = bench.trigger("chain").await;
    let worker = bench.worker().await;
    bench.finish(worker, &[]).await;
    assert_eq!(bench.state(run).await, RunState::Success);

    let dry = AgainRequest {
        dry_run: true,
        ..request(run, clear(&["load"], Reach::default()))
    };
    assert_eq!(bench.engine.go_again(dry).await.unwrap().cleared, ["load"]);
    assert_eq!(bench.state(run).await, RunState::Success, "a dry run");

    bench
        .again(run, clear(&["load"], Reach::default()))
        .await
        .unwrap();
    bench.until("select count(*) = 1 from ready").await;
    let claim = bench.claim(worker).await;
    assert_eq!((claim.key.attempt.get(), claim.epoch), (2, 1));
    bench.flush(worker, claim.key, Outcome::success()).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=s2 check=s report=s beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Success);
    assert_eq!(bench.history().await, ["1 s success: "], "kept as history");

    let downstream = Reach {
        downstream: true,
        ..Reach::default()
    };
    bench
        .again(run, clear(&["check"], downstream))
        .await
        .unwrap();
    bench.until("select count(*) = 1 from ready").await;
    bench.assert_counts_agree().await;
    bench.finish(worker, &[]).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=s2 check=s2 report=s2 beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Success);
}

#[tokio::test]
async fn tasks_of_a_run_under_way_are_cleared_but_none_that_a_worker_has() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let run = bench.trigger("chain").await;
    let worker = bench.worker().await;
    let claims = bench.store.claim(worker, 10).await.unwrap().claims;
    let [extract, beside] = claims.as_slice() else {
        panic!("{claims:?}");
    };
    assert!(matches!(
        bench.again(run, clear(&["beside"], Reach::default())).await,
        Err(AgainError::Running(tasks)) if tasks == ["beside"]
    ));
    assert!(matches!(
        bench.again(run, clear(&["laod"], Reach::default())).await,
        Err(AgainError::UnknownTask { near: Some(near), .. }) if near == "load"
    ));
    bench.flush(worker, extract.key, Outcome::success()).await;
    assert_eq!(bench.count("select count(*) from ready").await, 2);

    // `load` is in the queue, and goes back to wait for `extract`.
    let again = bench
        .again(run, clear(&["extract"], Reach::default()))
        .await
        .unwrap();
    assert_eq!(again.reconsidered, ["load"]);
    bench.assert_counts_agree().await;
    let queued =
        "select string_agg(task_index || '/' || attempt, ' ') from ready where worker_id is null";
    let queued: String = bench.value(queued).await;
    assert_eq!(queued, "0/2");
    bench.flush(worker, beside.key, Outcome::success()).await;
    bench.finish(worker, &[]).await;
    assert_eq!(
        bench.states().await,
        "extract=s2 load=s check=s report=s beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Success);
}

#[tokio::test]
async fn a_mark_settles_a_task_and_what_followed_from_it_is_decided_anew() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let run = bench.trigger("chain").await;
    let worker = bench.worker().await;
    bench.finish(worker, &[1]).await;
    assert_eq!(bench.state(run).await, RunState::Failed);

    bench
        .again(run, mark("load", Verdict::Success))
        .await
        .unwrap();
    bench.until("select count(*) = 1 from ready").await;
    bench.assert_counts_agree().await;
    bench.finish(worker, &[]).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=s check=s report=s beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Success);

    bench
        .again(run, mark("report", Verdict::Failed))
        .await
        .unwrap();
    bench.until("select state = 'f' from dag_run").await;
    assert_eq!(
        bench.count("select count(*) from notice").await,
        2,
        "that is told"
    );
    bench.assert_counts_agree().await;
    let audit = "select string_agg(detail ->> 'state', ' ' order by audit_id) from audit where action = 'task.mark'";
    assert_eq!(bench.value::<String>(audit).await, "success failed");
}

#[tokio::test]
async fn a_run_that_goes_on_waits_for_a_place_and_can_be_cancelled_meanwhile() {
    let bench = Bench::new().await;
    bench.dag(&format!("max_active_runs: 1{CHAIN}")).await;
    let worker = bench.worker().await;
    let first = bench.trigger("chain").await;
    bench.finish(worker, &[1]).await;
    let second = bench.trigger("chain").await;
    bench.again(first, What::Retry).await.unwrap();
    assert_eq!(bench.state(first).await, RunState::Queued);
    assert_eq!(bench.state(second).await, RunState::Running);
    // The first may start before the last claim of the second's, or after it.
    let fails =
        |it: &AttemptKey| it.instance.dag_run_id == first && it.instance.task_index == TaskIndex(1);
    bench.finish_where(worker, fails).await;
    assert_eq!(bench.state(second).await, RunState::Success);
    let has_started = "select exists (select from ready) or not exists (select from dag_run where state in ('q', 'r'))";
    bench.until(has_started).await;
    bench.finish_where(worker, fails).await;
    assert_eq!(bench.state(first).await, RunState::Failed);

    bench.trigger("chain").await;
    bench.again(first, What::Retry).await.unwrap();
    assert!(bench.engine.request_cancel(first, "lee").await.unwrap());
    assert_eq!(bench.state(first).await, RunState::Failed);
    let open = "select count(*) from task_instance t join dag_run r using (dag_run_id)
        where r.state = 'f' and t.state = 'n'";
    assert_eq!(bench.count(open).await, 0);
    // What the stop left out is taken up again, too.
    bench.finish(worker, &[]).await;
    let again = bench.again(first, What::Retry).await.unwrap();
    assert_eq!(again.cleared, ["load", "check", "report"]);
    bench.until("select count(*) = 1 from ready").await;
    bench.finish(worker, &[]).await;
    assert_eq!(bench.state(first).await, RunState::Success);
    bench.assert_counts_agree().await;
}

#[tokio::test]
async fn what_was_cleared_before_a_crash_is_decided_by_the_next_look() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let run = bench.trigger("chain").await;
    let worker = bench.worker().await;
    bench.finish(worker, &[1]).await;
    // As if the process had ended between the record and the look.
    let mut look = bench.store.look().await.unwrap();
    let past = look.past(run).await.unwrap().unwrap();
    let dag = bench.engine.dag(past.dag_version_id).await.unwrap();
    let changes =
        dagctl_core::again::changes(&dag, &past.tasks, &dagctl_core::again::Wish::Retry).unwrap();
    let audit = dagctl_store::again::AgainAudit {
        who: "lee",
        action: "run.retry",
        dag_id: "chain",
        detail: serde_json::json!({}),
    };
    let started = look.go_again(&past, &changes, &audit, None).await.unwrap();
    assert_eq!(started.to_look_at, [run]);
    look.commit().await.unwrap();
    assert_eq!(bench.count("select count(*) from ready").await, 0);

    Reaper::new(bench.engine.clone()).pass().await.unwrap();
    assert_eq!(bench.count("select count(*) from ready").await, 1);
    bench.finish(worker, &[]).await;
    assert_eq!(bench.state(run).await, RunState::Success);
}

#[tokio::test]
async fn a_run_moves_to_the_newest_version_after_the_difference_was_shown() {
    let bench = Bench::new().await;
    bench.dag(CHAIN).await;
    let run = bench.trigger("chain").await;
    let worker = bench.worker().await;
    bench.finish(worker, &[1]).await;
    assert_eq!(
        bench.states().await,
        "extract=s load=f check=u report=u beside=s"
    );
    bench
        .dag(
            "
dag_id: chain
tasks:
  prepare: {operator: empty}
  extract: {operator: empty}
  load: {operator: empty, depends_on: [extract, prepare]}
  report: {operator: empty, depends_on: load}
  beside: {operator: empty}
",
        )
        .await;
    let latest = AgainRequest {
        latest: true,
        ..request(run, What::Retry)
    };
    let dry = AgainRequest {
        dry_run: true,
        ..latest.clone()
    };
    let shown = bench.engine.go_again(dry).await.unwrap();
    let difference = shown.difference.clone().unwrap();
    assert_eq!(difference.added, ["prepare"]);
    assert_eq!(difference.removed, ["check"]);
    assert_eq!(difference.changed, ["load", "report"]);
    assert_eq!(
        bench.states().await,
        "extract=s load=f check=u report=u beside=s",
        "it was only shown"
    );
    assert_eq!(bench.engine.go_again(latest.clone()).await.unwrap(), shown);
    bench.until("select count(*) = 1 from ready").await;
    bench.assert_counts_agree().await;
    assert_eq!(
        bench.states().await,
        "prepare=n extract=s load=n report=n beside=s"
    );
    assert_eq!(bench.history().await, ["1 f connect: no route"]);
    bench.finish(worker, &[]).await;
    assert_eq!(
        bench.states().await,
        "prepare=s extract=s load=s2 report=s beside=s"
    );
    assert_eq!(bench.state(run).await, RunState::Success);
    assert!(matches!(
        bench.engine.go_again(latest).await,
        Err(AgainError::Nothing(_))
    ));
}

#[tokio::test]
async fn a_run_of_which_tasks_went_again_keeps_to_max_active_tasks_though_they_stood_in_a_row() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: row
max_active_tasks: 1
tasks:
  a: {operator: empty}
  b: {operator: empty, depends_on: a}
  c: {operator: empty, depends_on: b}
  d: {operator: empty, depends_on: c}
",
        )
        .await;
    assert!(
        !bench
            .value::<bool>("select is_limited from dag_version")
            .await,
        "one at a time, and no place need be counted"
    );
    let run = bench.trigger("row").await;
    let worker = bench.worker().await;
    let marked = mark("b", Verdict::Success);
    bench.again(run, marked).await.unwrap();
    bench.until("select count(*) = 1 from parked").await;
    assert_eq!(
        bench.count("select count(*) from ready").await,
        1,
        "a, while c may start as well"
    );
    bench.finish(worker, &[]).await;
    assert_eq!(bench.state(run).await, RunState::Success);

    let alone = Reach::default();
    bench.again(run, clear(&["a", "c"], alone)).await.unwrap();
    bench.until("select count(*) = 1 from parked").await;
    assert_eq!(bench.count("select count(*) from ready").await, 1);
    bench.finish(worker, &[]).await;
    assert_eq!(bench.states().await, "a=s2 b=s c=s2 d=s");
    assert_eq!(bench.state(run).await, RunState::Success);
    bench.assert_counts_agree().await;
}
