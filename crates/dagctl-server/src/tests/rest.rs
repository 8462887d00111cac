//! REST as its clients meet it.

use axum::http::{Method, StatusCode};
use dagctl_api::Page;
use dagctl_api::dags::{Dag, DagDetail};
use dagctl_api::problems::Problem;
use dagctl_api::runs::{Run, Triggered};
use dagctl_api::state::{AttemptState, RunState, TaskState};
use dagctl_api::tasks::{Attempts, LogLine, Task};
use dagctl_store::accounts::Role;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::harness::{Reply, TestApp};

pub(super) const PAST: &str = include_str!("past.sql");

fn read<T: DeserializeOwned>(reply: &Reply) -> T {
    assert!(reply.status.is_success(), "{} {}", reply.status, reply.text);
    serde_json::from_str(&reply.text).unwrap_or_else(|error| panic!("{error}: {}", reply.text))
}

#[tokio::test]
async fn health_is_public_and_asks_nobody() {
    let app = TestApp::new().await;
    app.store.close().await;
    let reply = app.anon().get("/api/v1/health").await;
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (StatusCode::OK, r#"{"status":"ok"}"#)
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_says_when_to_come_back() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Viewer).await;
    app.store.close().await;
    let reply = bot.get("/api/v1/dags").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("retry-after"), "5");
    assert_eq!(reply.json()["error"]["code"], "unavailable");
    assert_eq!(
        reply.json()["error"]["request_id"],
        reply.header("x-request-id")
    );
}

#[tokio::test]
async fn a_dag_is_told_with_its_runs_tasks_and_params() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Viewer).await;
    let page: Page<Dag> = read(&bot.get("/api/v1/dags").await);
    assert_eq!(page.items.len(), 1);
    let states: Vec<RunState> = page.items[0].last_runs.iter().map(|it| it.state).collect();
    assert_eq!(states, [RunState::Running, RunState::Failed]);
    let detail: DagDetail = read(&bot.get("/api/v1/dags/orders").await);
    assert_eq!(detail.dag.problem_count, 1);
    let tasks: Vec<(&str, &[String])> = detail
        .tasks
        .iter()
        .map(|it| (it.task_id.as_str(), it.depends_on.as_slice()))
        .collect();
    assert_eq!(
        tasks,
        [
            ("extract", &[][..]),
            ("load", &["extract".to_owned()]),
            ("report", &["load".to_owned()])
        ]
    );
    assert_eq!(detail.params[0].default, Some(json!("2026-01-31")));
    let unknown = bot.get("/api/v1/dags/order").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(
        unknown.json()["error"]["message"],
        "no DAG is called `order`"
    );
}

#[tokio::test]
async fn tasks_of_a_run_are_told_with_what_every_table_knows() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Viewer).await;
    let run: Run = read(&bot.get("/api/v1/dags/orders/runs/latest").await);
    assert_eq!(
        (run.run_id.as_str(), run.path.as_str()),
        ("live:run", "/dags/orders/runs/live:run")
    );
    let tasks: Vec<Task> = read(&bot.get("/api/v1/dags/orders/runs/live:run/tasks").await);
    let states: Vec<TaskState> = tasks.iter().map(|it| it.state).collect();
    assert_eq!(
        states,
        [TaskState::Success, TaskState::Running, TaskState::None]
    );
    assert_eq!(tasks[1].worker.as_deref(), Some("atlas:1"));
    let tasks: Vec<Task> = read(&bot.get("/api/v1/dags/orders/runs/failed%2Brun/tasks").await);
    let states: Vec<TaskState> = tasks.iter().map(|it| it.state).collect();
    assert_eq!(
        states,
        [
            TaskState::Success,
            TaskState::Failed,
            TaskState::UpstreamFailed
        ]
    );
    assert_eq!(
        tasks[1].error.as_deref(),
        Some("syntax error at or near \"parition\" <script>")
    );
    let path = "/api/v1/dags/orders/runs/failed%2Brun/tasks/load/attempts";
    let attempts: Attempts = read(&bot.get(path).await);
    let numbers: Vec<(i16, AttemptState)> = attempts
        .attempts
        .iter()
        .map(|it| (it.attempt, it.state))
        .collect();
    assert_eq!(
        numbers,
        [(1, AttemptState::Failed), (2, AttemptState::Failed)]
    );
    let path = "/api/v1/dags/orders/runs/latest/tasks/extract/attempts";
    let attempts: Attempts = read(&bot.get(path).await);
    assert_eq!(attempts.attempts[0].state, AttemptState::Success);
    assert_eq!(attempts.outputs, Some(json!({"rows": 7})));
}

#[tokio::test]
async fn a_log_goes_on_after_the_line_that_is_known() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Viewer).await;
    let path = "/api/v1/dags/orders/runs/latest/tasks/load/logs";
    let whole = bot.get(path).await;
    assert_eq!(whole.header("content-type"), "application/x-ndjson");
    let lines: Vec<LogLine> = whole
        .text
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((lines[0].line, lines[0].text.as_str()), (0, "first"));
    let rest = bot.get(&format!("{path}?attempt=1&after_line=1")).await;
    assert_eq!(rest.text.lines().count(), 1);
    assert_eq!(bot.get(&format!("{path}?after_line=2")).await.text, "");
}

#[tokio::test]
async fn runs_are_paged_without_gap_or_repeat() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Viewer).await;
    let first: Page<Run> = read(&bot.get("/api/v1/dags/orders/runs?limit=1").await);
    let after = first.next.expect("there is a second page");
    let second: Page<Run> = read(
        &bot.get(&format!("/api/v1/dags/orders/runs?limit=1&after={after}"))
            .await,
    );
    assert_eq!(first.items[0].run_id, "live:run");
    assert_eq!(second.items[0].run_id, "failed+run");
    assert_eq!(second.next, None);
    let bad = bot.get("/api/v1/dags/orders/runs?after=x").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_repeated_trigger_with_one_key_makes_one_run() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app
        .program("bot", Role::Operator)
        .await
        .with("idempotency-key", "k1");
    let path = "/api/v1/dags/orders/runs";
    let body = json!({"params": {"limit": 5}, "note": "by hand"});
    let first = bot.json(Method::POST, path, body.clone()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let first: Triggered = read(&first);
    assert_eq!(
        first.run.params,
        *json!({"day": "2026-01-31", "limit": 5})
            .as_object()
            .unwrap()
    );
    assert_eq!(first.run.triggered_by.as_deref(), Some("bot"));
    let second = bot.json(Method::POST, path, body).await;
    assert_eq!(second.status, StatusCode::OK);
    let second: Triggered = read(&second);
    assert_eq!(
        (second.run.run_id, second.created),
        (first.run.run_id, false)
    );
    let other = bot
        .json(Method::POST, path, json!({"params": {"limit": 6}}))
        .await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.text);
}

#[tokio::test]
async fn a_trigger_that_cannot_be_says_why() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Operator).await;
    for (dag, body, status, wanted) in [
        (
            "order",
            json!({}),
            StatusCode::NOT_FOUND,
            "did you mean `orders`?",
        ),
        (
            "orders",
            json!({"params": {"limit": "many"}}),
            StatusCode::BAD_REQUEST,
            "--param NAME=VALUE",
        ),
        (
            "orders",
            json!({"params": {"limt": 1}}),
            StatusCode::BAD_REQUEST,
            "limt",
        ),
        (
            "orders",
            json!({"logical_date": "yesterday"}),
            StatusCode::BAD_REQUEST,
            "is not a moment",
        ),
        (
            "orders",
            json!({"run_id": "live:run"}),
            StatusCode::CONFLICT,
            "has a run `live:run` already",
        ),
        (
            "no name",
            json!({}),
            StatusCode::NOT_FOUND,
            "no DAG is called",
        ),
    ] {
        let path = format!("/api/v1/dags/{}/runs", dag.replace(' ', "%20"));
        let reply = bot.json(Method::POST, &path, body).await;
        assert_eq!(reply.status, status, "{}", reply.text);
        assert!(reply.text.contains(wanted), "{}", reply.text);
    }
}

#[tokio::test]
async fn pausing_and_cancelling_are_remembered_with_who_did_it() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Operator).await;
    let paused: DagDetail = read(
        &bot.json(
            Method::PATCH,
            "/api/v1/dags/orders",
            json!({"is_paused": true}),
        )
        .await,
    );
    assert!(paused.dag.is_paused);
    let path = "/api/v1/dags/orders/runs/latest/cancel";
    assert_eq!(
        bot.json(Method::POST, path, json!({})).await.json()["requested"],
        true
    );
    let ended = "/api/v1/dags/orders/runs/failed%2Brun/cancel";
    assert_eq!(
        bot.json(Method::POST, ended, json!({})).await.json()["requested"],
        false
    );
    let audit = app.store.audit_rows(None, 10).await.unwrap();
    let did: Vec<(&str, &str)> = audit
        .iter()
        .map(|it| (it.who.as_str(), it.action.as_str()))
        .collect();
    assert_eq!(did, [("bot", "run.cancel"), ("bot", "dag.pause")]);
}

#[tokio::test]
async fn a_stream_tells_the_run_and_its_tasks_and_ends_with_it() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Viewer).await;
    let reply = bot
        .get("/api/v1/dags/orders/runs/failed%2Brun/events")
        .await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let kinds: Vec<String> = reply
        .text
        .lines()
        .filter_map(|it| it.strip_prefix("data: {"))
        .map(|it| it.split(',').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        kinds,
        [
            r#""type":"task""#,
            r#""type":"task""#,
            r#""type":"task""#,
            r#""type":"run""#
        ]
    );
    assert!(
        reply.text.trim_end().ends_with("event: end\ndata: end"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn problems_and_pools_are_listed() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let bot = app.program("bot", Role::Operator).await;
    let problems: Vec<Problem> = read(&bot.get("/api/v1/problems").await);
    assert_eq!(problems[0].code, "D012");
    let pools = bot
        .json(
            Method::PUT,
            "/api/v1/pools/default_pool",
            json!({"slots": 3}),
        )
        .await
        .json();
    assert_eq!(
        (&pools[0]["slots"], &pools[0]["running"]),
        (&json!(3), &json!(1))
    );
    let bad = bot
        .json(
            Method::PUT,
            "/api/v1/pools/default_pool",
            json!({"slots": -1}),
        )
        .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}
