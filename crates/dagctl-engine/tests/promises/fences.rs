//! A result is recorded once, by who holds the attempt, and never goes backwards.

use std::collections::BTreeMap;
use std::time::Duration;

use dagctl_core::ids::{InstanceIndex, TaskIndex};
use dagctl_core::outcome::Outcome;
use dagctl_core::run::{Action, Move, Why};
use dagctl_core::state::Verdict;
use dagctl_engine::flush::{OnSuccess, Report};
use dagctl_store::plans::Orders;
use sqlx::Connection as _;

use crate::support::{BLOCKED, Bench, Working, read_sign, refused, report};

const TWO_TASKS: &str = "
dag_id: two
tasks:
  first: {operator: empty}
  second: {operator: empty, depends_on: first}
";

/// Everything that a report can change, as one text.
const ALL_STATE: &str = "
select string_agg(line, E'\\n' order by line) from (
    select 'run ' || to_jsonb(r)::text as line from dag_run r
    union all select 'task ' || to_jsonb(t)::text from task_instance t
    union all select 'ready ' || to_jsonb(q)::text from ready q
    union all select 'timer ' || to_jsonb(q)::text from timer q
    union all select 'attempt ' || to_jsonb(a)::text from attempt a
    union all select 'output ' || to_jsonb(o)::text from output o
    union all select 'notice ' || to_jsonb(n)::text from notice n
) as everything";

#[tokio::test]
async fn a_report_of_an_attempt_that_another_worker_took_over_changes_nothing() {
    let bench = Bench::new().await;
    bench.dag(TWO_TASKS).await;
    bench.trigger("two").await;
    let (slow, quick) = (bench.worker().await, bench.worker().await);
    let old = bench.claim(slow).await;
    bench
        .execute(
            "update worker set lost_at = now() where worker_id = (select worker_id from ready)",
        )
        .await;
    assert_eq!(bench.store.release_lost().await.unwrap(), 1);
    let new = bench.claim(quick).await;
    assert_eq!(new.key.instance, old.key.instance);
    assert_eq!(new.key.attempt.get(), 2);

    let before: String = bench.value(ALL_STATE).await;
    for outcome in [
        Outcome::success(),
        refused("late"),
        Outcome::HandedBack,
        Outcome::Skipped {
            reason: "late".into(),
        },
    ] {
        for on_success in [OnSuccess::Plain, OnSuccess::Look] {
            // The old attempt by the worker that lost it, the new one by a worker that never had it, and the old one
            // under the new worker's name.
            for (worker, key) in [(slow, old.key), (slow, new.key), (quick, old.key)] {
                let late = Report {
                    key,
                    outcome: outcome.clone(),
                    on_success,
                };
                bench.engine.flush(worker, vec![late]).await.unwrap();
                assert_eq!(bench.value::<String>(ALL_STATE).await, before);
            }
        }
    }
    bench.flush(quick, new.key, Outcome::success()).await;
    assert_eq!(bench.states().await, "first=s2 second=n");
}

#[tokio::test]
async fn a_flush_repeated_after_an_unknown_commit_changes_nothing() {
    let bench = Bench::new().await;
    bench
        .dag("
dag_id: many
default_args: {retries: 1, retry_delay: 1h, on_failure_callback: [slack], on_success_callback: [slack]}
on_failure_callback: [slack]
tasks:
  good: {operator: empty}
  told: {operator: empty}
  bad: {operator: empty, retries: 0}
  again: {operator: empty}
  back: {operator: empty}
  after: {operator: empty, depends_on: [good, told]}
")
        .await;
    bench.trigger("many").await;
    let worker = bench.worker().await;
    let mut claims = bench.store.claim(worker, 10).await.unwrap().claims;
    claims.sort_by_key(|it| it.key);
    let outcomes = [
        Outcome::Success {
            outputs: serde_json::Map::from_iter([("n".to_owned(), 1.into())]),
        },
        Outcome::success(),
        refused("no"),
        refused("later"),
        Outcome::HandedBack,
    ];
    assert_eq!(claims.len(), outcomes.len());
    let reports: Vec<Report> = claims
        .iter()
        .zip(outcomes)
        .enumerate()
        .map(|(at, (claim, outcome))| Report {
            on_success: if at == 1 {
                OnSuccess::Look
            } else {
                OnSuccess::Plain
            },
            ..report(claim.key, outcome)
        })
        .collect();
    bench.engine.flush(worker, reports.clone()).await.unwrap();
    let after: String = bench.value(ALL_STATE).await;
    assert_eq!(
        bench.count("select count(*) from notice").await,
        2,
        "{after}"
    );
    for report in &reports {
        bench
            .engine
            .flush(worker, vec![report.clone()])
            .await
            .unwrap();
    }
    bench.engine.flush(worker, reports).await.unwrap();
    assert_eq!(bench.value::<String>(ALL_STATE).await, after);
}

/// The backend of a flush is killed in the middle of it, at each of its statements in turn.
#[tokio::test]
async fn a_flush_whose_backend_is_killed_loses_and_repeats_nothing() {
    let bench = Bench::new().await;
    bench.dag(TWO_TASKS).await;
    let worker = bench.worker().await;
    let mut blocker = sqlx::PgConnection::connect(&bench.database.url)
        .await
        .unwrap();
    // Where the flush waits for us: before its first write, between its writes, before its last.
    for table in ["dag_run", "ready", "task_instance", "output"] {
        let run = bench.trigger("two").await;
        let claim = bench.claim(worker).await;
        let before: String = bench.value(ALL_STATE).await;
        let mut tx = blocker.begin().await.unwrap();
        let lock = format!("lock table {table} in share mode");
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock))
            .execute(&mut *tx)
            .await
            .unwrap();
        let engine = bench.engine.clone();
        let outputs = serde_json::Map::from_iter([("n".to_owned(), 1.into())]);
        let reports = vec![report(claim.key, Outcome::Success { outputs })];
        let sent = reports.clone();
        let flush = tokio::spawn(async move { engine.flush(worker, sent).await });
        bench
            .until("select exists (select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database()))")
            .await;
        let killed = bench
            .count("select count(pg_terminate_backend(pid)) from (select distinct pid from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())) it")
            .await;
        assert_eq!(killed, 1);
        flush.await.unwrap().expect_err("its connection was killed");
        tx.rollback().await.unwrap();
        assert_eq!(bench.value::<String>(ALL_STATE).await, before, "{table}");

        bench.engine.flush(worker, reports.clone()).await.unwrap();
        let second = bench.claim(worker).await;
        bench.flush(worker, second.key, Outcome::success()).await;
        bench.engine.flush(worker, reports).await.unwrap();
        let state = bench.store.run_state(run).await.unwrap().unwrap();
        assert_eq!(state, dagctl_core::state::RunState::Success, "{table}");
    }
    assert_eq!(bench.count("select count(*) from ready").await, 0);
    assert_eq!(bench.count("select count(*) from output").await, 4);
}

/// A look counts down a task that runs (`one_failed` starts before its other upstream tasks end) while a flush
/// settles it: both lock the run first, so neither waits for the other in a circle.
#[tokio::test]
async fn a_flush_takes_nothing_before_the_lock_of_its_run() {
    let bench = Bench::new().await;
    bench.dag(TWO_TASKS).await;
    bench.trigger("two").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    let mut look = bench.lock("select from dag_run for update").await;
    let engine = bench.engine.clone();
    let flush = tokio::spawn(async move {
        engine
            .flush(worker, vec![report(claim.key, Outcome::success())])
            .await
    });
    bench.until(BLOCKED).await;
    sqlx::raw_sql("set local lock_timeout = '1ms'; update task_instance set pending = pending; update ready set lost = lost")
        .execute(&mut look)
        .await
        .expect("the flush holds rows of a run that it has not locked");
    sqlx::raw_sql("commit").execute(&mut look).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), flush)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(bench.states().await, "first=s second=n");
}

/// `last` starts when `bad` has failed, and ends in one batch with `slow`, for which it did not wait.
#[tokio::test]
async fn a_task_that_ends_in_one_batch_with_its_upstream_task_is_counted_down() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: early
tasks:
  bad: {operator: empty}
  slow: {operator: empty}
  last: {operator: empty, depends_on: [bad, slow], trigger_rule: one_failed}
",
        )
        .await;
    bench.trigger("early").await;
    let worker = bench.worker().await;
    let mut claims = bench.store.claim(worker, 10).await.unwrap().claims;
    claims.sort_by_key(|it| it.key);
    bench.flush(worker, claims[0].key, refused("no")).await;
    let last = bench.claim(worker).await;
    let both = [claims[1].key, last.key].map(|it| report(it, Outcome::success()));
    bench.engine.flush(worker, both.to_vec()).await.unwrap();
    assert_eq!(bench.states().await, "bad=f slow=s last=s");
    let pending = bench
        .count("select sum(pending)::bigint from task_instance")
        .await;
    assert_eq!(pending, 0);
    bench.until_all_ended().await;
}

#[tokio::test]
async fn a_plan_that_is_carried_out_twice_settles_each_task_once() {
    let bench = Bench::new().await;
    bench.dag(TWO_TASKS).await;
    let run = bench.trigger("two").await;
    let mut look = bench.store.look().await.unwrap();
    let locked = look.run(run).await.unwrap().unwrap();
    let skip = Action::Settle {
        verdict: Verdict::Skipped,
        why: Why::Reason("cancelled"),
    };
    let moves = [Move::of(InstanceIndex::whole(TaskIndex(1)), skip)];
    let orders = Orders {
        goes_again_after: None,
        moves: &moves,
        ends: None,
        ended: &BTreeMap::new(),
        worker: None,
    };
    for _ in 0..2 {
        look.apply(&locked, &orders).await.unwrap();
    }
    look.commit().await.unwrap();
    assert_eq!(bench.states().await, "first=n second=k");
    assert_eq!(
        bench.count("select remaining::bigint from dag_run").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_waits_for_a_lock_keeps_no_other_run_from_starting() {
    let bench = Bench::with(|it| it.slots = 2).await;
    let waits = |name: &str| {
        let (sign, go) = (bench.sign(name), bench.sign(&format!("go_{name}")));
        format!(
            "{name}: {{operator: shell, command: \"echo here > {}; while ! test -e {}; do sleep 0.02; done\"}}",
            sign.display(),
            go.display()
        )
    };
    let tasks = [waits("first"), waits("second")].join("\n  ");
    bench
        .dag(&format!("dag_id: two\ntasks:\n  {tasks}\n"))
        .await;
    bench
        .dag("dag_id: one\nmax_active_runs: 100\ntasks:\n  only: {operator: empty}\n")
        .await;
    let held = bench.trigger("two").await;
    let worker = Working::on(&bench.engine);
    for name in ["first", "second"] {
        read_sign(&bench.sign(name)).await;
    }
    let mut look = bench.lock("select from dag_run for update").await;
    // One report waits, with a free slot that it asks for; then the other slot is free.
    std::fs::write(bench.sign("go_first"), "").unwrap();
    bench.until(BLOCKED).await;
    std::fs::write(bench.sign("go_second"), "").unwrap();
    // The exchange that waits has all runs of one parity.
    while bench.trigger("one").await.get() % 2 == held.get() % 2 {}
    bench
        .until("select exists (select from dag_run where state = 's')")
        .await;
    sqlx::raw_sql("rollback").execute(&mut look).await.unwrap();
    bench.until_all_ended().await;
    worker.drain().await;
}
