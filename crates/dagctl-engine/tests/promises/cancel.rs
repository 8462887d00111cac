//! Who cancels a run stops it: what waits, what runs, and what would come.

use std::time::Duration;

use dagctl_core::state::RunState;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Bench, Working, read_sign, refused, until_gone};

#[tokio::test]
async fn a_queued_run_that_is_cancelled_ends_at_once() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\nmax_active_runs: 1\non_failure_callback: [slack]\ntasks:\n  only: {operator: empty}\n")
        .await;
    let (first, second) = (bench.trigger("one").await, bench.trigger("one").await);
    assert!(bench.engine.request_cancel(second, "lee").await.unwrap());
    assert_eq!(
        bench.store.run_state(second).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(
        bench.store.run_state(first).await.unwrap(),
        Some(RunState::Running)
    );
    assert!(
        !bench.engine.request_cancel(second, "lee").await.unwrap(),
        "it had ended"
    );
    assert_eq!(bench.count("select count(*) from ready").await, 1);
    assert_eq!(bench.count("select count(*) from notice").await, 0);
}

#[tokio::test]
async fn queued_tasks_and_waiting_retries_fail_as_cancelled_and_tasks_not_started_are_skipped() {
    let bench = Bench::new().await;
    bench
        .dag(
            "
dag_id: four
on_failure_callback: [slack]
default_args: {on_failure_callback: [slack]}
tasks:
  done: {operator: empty}
  again: {operator: empty, retries: 3, retry_delay: 1h}
  queued: {operator: empty}
  after: {operator: empty, depends_on: [done, again]}
  always: {operator: empty, depends_on: again, trigger_rule: all_done}
",
        )
        .await;
    let run = bench.trigger("four").await;
    let worker = bench.worker().await;
    let mut claims = bench.store.claim(worker, 2).await.unwrap().claims;
    claims.sort_by_key(|it| it.key);
    bench
        .flush(
            worker,
            claims[0].key,
            dagctl_core::outcome::Outcome::success(),
        )
        .await;
    bench
        .flush(worker, claims[1].key, refused("no route"))
        .await;
    assert_eq!(bench.count("select count(*) from timer").await, 1);

    assert!(bench.engine.request_cancel(run, "lee").await.unwrap());
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(
        bench.states().await,
        "done=s again=f2 queued=f after=k always=k"
    );
    assert_eq!(
        bench.texts("select task_index || ' ' || reason from task_instance where reason is not null order by 1").await,
        ["1 cancelled", "2 cancelled", "3 cancelled", "4 cancelled"]
    );
    assert_eq!(
        bench.history().await,
        [
            "1 f connect: no route",
            "2 f cancelled: cancelled by lee",
            "1 f cancelled: cancelled by lee"
        ]
    );
    assert_eq!(
        bench
            .count("select (select count(*) from ready) + (select count(*) from timer)")
            .await,
        0
    );
    assert_eq!(
        bench.count("select count(*) from notice").await,
        0,
        "who cancels knows it"
    );
}

#[tokio::test]
async fn an_attempt_that_fails_by_itself_after_the_cancel_is_not_tried_again() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: one\ntasks:\n  only: {operator: empty, retries: 3, retry_delay: 0s}\n")
        .await;
    let run = bench.trigger("one").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    assert!(bench.engine.request_cancel(run, "lee").await.unwrap());
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Running)
    );
    bench.flush(worker, claim.key, refused("no route")).await;
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Failed)
    );
    assert_eq!(bench.history().await, ["1 f connect: no route"]);
    assert_eq!(bench.count("select count(*) from timer").await, 0);
}

#[tokio::test]
async fn running_shell_http_and_sql_tasks_are_stopped_for_real() {
    let api = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(600)))
        .mount(&api)
        .await;
    let database = dagctl_testkit::TestDatabase::new().await;
    let bench = Bench::with(|it| {
        it.environment
            .insert("DAGCTL_CONN_DW".into(), connection(&database.url));
    })
    .await;
    let sign = bench.sign("pids");
    bench
        .dag(&format!(
            "dag_id: three\ntasks:
  shell: {{operator: shell, retries: 5, command: \"sleep 601 & echo $$ $! > {}; wait\"}}
  http: {{operator: http, retries: 5, endpoint: \"{}/slow\"}}
  sql: {{operator: sql, retries: 5, conn_id: dw, sql: \"select pg_sleep(600)\"}}
  after: {{operator: empty, depends_on: [shell, http, sql]}}\n",
            sign.display(),
            api.uri()
        ))
        .await;
    let run = bench.trigger("three").await;
    let worker = Working::on(&bench.engine);
    let pids = read_sign(&sign).await;
    let sleeping = "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(600)'
        and datname = ";
    let name = database
        .url
        .split('?')
        .next()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap();
    let sleeping = format!("{sleeping}'{name}'");
    let sleeps = async || -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sleeping.clone()))
            .fetch_one(&bench.database.pool)
            .await
            .unwrap()
    };
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while sleeps().await == 0 || api.received_requests().await.unwrap().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "the tasks never started"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let asked = std::time::Instant::now();
    assert!(bench.engine.request_cancel(run, "lee").await.unwrap());
    bench.until_all_ended().await;
    assert!(
        asked.elapsed() < Duration::from_secs(12),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(bench.states().await, "shell=f http=f sql=f after=k");
    let history = bench.history().await;
    assert_eq!(
        history, ["1 f cancelled: cancelled by lee"; 3],
        "the retries are not used"
    );
    for pid in pids.split(' ') {
        until_gone(pid).await;
    }
    assert_eq!(sleeps().await, 0, "the statement still runs");
    worker.drain().await;
}

/// A connection to a private server: the path of its socket is the host.
fn connection(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let of = |name: &str| {
        url.query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    serde_json::json!({
        "conn_type": "postgres",
        "host": of("host").unwrap_or_else(|| url.host_str().unwrap_or_default().to_owned()),
        "port": url.port(),
        "login": if url.username().is_empty() { of("user").unwrap_or_else(|| "postgres".into()) } else { url.username().to_owned() },
        "schema": url.path().trim_start_matches('/'),
    })
    .to_string()
}
