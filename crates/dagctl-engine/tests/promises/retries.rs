//! Tries: how many, when, and what is kept of those that failed.

use dagctl_core::outcome::{Failure, FailureKind};

use crate::support::{BLOCKED, Bench, Working, refused};

#[tokio::test]
async fn the_pauses_between_tries_double_and_are_timers_in_the_database() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: one
tasks:
  only:
    operator: empty
    retries: 3
    retry_delay: 100s
    retry_exponential_backoff: true
    max_retry_delay: 300s
",
        )
        .await;
    bench.trigger("one").await;
    let worker = bench.worker().await;
    for (attempt, most) in [(1, 100.0), (2, 200.0), (3, 300.0)] {
        let claim = bench.claim(worker).await;
        assert_eq!(claim.key.attempt.get(), attempt);
        bench.flush(worker, claim.key, refused("no route")).await;
        assert_eq!(bench.count("select count(*) from ready").await, 0);
        let pause: f64 = bench
            .value("select extract(epoch from due_at - now())::float8 from timer where kind = 'r'")
            .await;
        assert!(
            pause > most / 2.0 - 5.0 && pause <= most,
            "pause {attempt} is {pause}"
        );
        // Not before its time.
        assert_eq!(bench.store.queue_due_timers().await.unwrap(), 0);
        bench.execute("update timer set due_at = now()").await;
        assert_eq!(bench.store.queue_due_timers().await.unwrap(), 1);
        assert_eq!(bench.store.queue_due_timers().await.unwrap(), 0);
    }
    let claim = bench.claim(worker).await;
    bench
        .flush(worker, claim.key, refused("still no route"))
        .await;
    assert_eq!(bench.states().await, "only=f4");
    assert_eq!(
        bench.history().await,
        [
            "1 f connect: no route",
            "2 f connect: no route",
            "3 f connect: no route",
            "4 f connect: still no route"
        ]
    );
    assert_eq!(
        bench.count("select tries::bigint from task_instance").await,
        4
    );
}

#[tokio::test]
async fn the_wait_that_the_other_side_asks_for_is_kept() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  only: {operator: empty, retries: 1, retry_delay: 1s}\n")
        .await;
    bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    let failure = Failure {
        retry_after: Some(std::time::Duration::from_secs(900)),
        ..Failure::new(FailureKind::Http(429), "too many requests")
    };
    bench.flush(worker, claim.key, failure.into()).await;
    let pause: f64 = bench
        .value("select extract(epoch from due_at - now())::float8 from timer")
        .await;
    assert!(pause > 890.0, "{pause}");
}

#[tokio::test]
async fn only_failures_that_retry_on_names_are_tried_again() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: three
default_args: {retries: 1, retry_delay: 0s}
tasks:
  transient: {operator: empty}
  named: {operator: empty, retry_on: [http_404, sqlstate_40]}
  any: {operator: empty, retry_on: [any]}
",
        )
        .await;
    for (kind, again) in [
        (FailureKind::Timeout, "yes no yes"),
        (FailureKind::Http(404), "no yes yes"),
        (FailureKind::Http(503), "yes no yes"),
        (FailureKind::SqlState("40P01".into()), "yes yes yes"),
        (FailureKind::SqlState("42601".into()), "no no yes"),
    ] {
        let run = bench.trigger("three").await;
        let worker = bench.worker().await;
        for claim in bench.store.claim(worker, 10).await.unwrap().claims {
            bench
                .flush(worker, claim.key, Failure::new(kind.clone(), "no").into())
                .await;
        }
        let found: Vec<String> = sqlx::query_scalar(
            "select case when state = 'n' then 'yes' else 'no' end from task_instance where dag_run_id = $1 order by task_index",
        )
        .bind(run.get())
        .fetch_all(bench.store.pool())
        .await
        .unwrap();
        assert_eq!(found.join(" "), again, "{kind:?}");
        bench.engine.request_cancel(run, "kim").await.unwrap();
    }
}

#[tokio::test]
async fn a_task_that_takes_too_long_fails_as_timeout_and_may_be_tried_again() {
    let bench = Bench::new().await;
    bench
        .dag("
dag_id: one
tasks:
  slow: {operator: shell, command: [sleep, '600'], execution_timeout: 1s, retries: 1, retry_delay: 0s}
")
        .await;
    bench.trigger("one").await;
    let _loops = bench.keep_time();
    let worker = Working::on(&bench.engine);
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(bench.states().await, "slow=f2");
    let message = "f timeout: stopped after 1s, the task's `execution_timeout`";
    assert_eq!(
        bench.history().await,
        [format!("1 {message}"), format!("2 {message}")]
    );
}

#[tokio::test]
async fn an_attempt_whose_variables_cannot_be_read_right_now_waits_for_the_database() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  only: {operator: shell, command: ['true']}\n")
        .await;
    let mut tx = bench.database.pool.begin().await.unwrap();
    sqlx::raw_sql("lock table variable in access exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    bench.trigger("one").await;
    let worker = Working::on(&bench.engine);
    for _ in 0..3 {
        bench.until(BLOCKED).await;
        bench
            .execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
            .await;
    }
    tx.rollback().await.unwrap();
    bench.until_all_ended().await;
    worker.drain().await;
    assert_eq!(bench.states().await, "only=s");
    assert!(bench.history().await.is_empty());
}
