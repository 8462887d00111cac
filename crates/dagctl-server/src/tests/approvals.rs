//! Questions to people over REST and on pages: who sees them, who answers them, and how often.

use axum::http::{Method, StatusCode};
use dagctl_store::accounts::Role;
use serde_json::json;

use super::harness::TestApp;
use super::rest::PAST;

/// The run under way asks whether to load.
const ASKED: &str = "
    update dag_version set files = jsonb_build_object('orders.yaml', replace(files ->> 'orders.yaml',
        E'load:\\n    operator: empty', E'load:\\n    operator: approval\\n    subject: Load it?'));
    update dag_task set operator = 'approval' where task_id = 'load';
    delete from ready;
    insert into timer (due_at, dag_run_id, task_index, map_index, attempt, kind)
    select 'infinity', dag_run_id, 1, -1, 2, 'a' from dag_run where state = 'r';
    insert into approval (dag_run_id, task_index, map_index, epoch, subject, body)
    select dag_run_id, 1, -1, 0, 'Load it?', '<b>7</b> rows' from dag_run where state = 'r'";

const ANSWER: &str = "/api/v1/dags/orders/runs/live:run/tasks/load/approval";
const TASK: &str = "/dags/orders/runs/live:run/tasks/load";

async fn asked() -> TestApp {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql(ASKED).await;
    app
}

#[tokio::test]
async fn a_program_lists_what_is_asked_and_answers_it_once() {
    let app = asked().await;
    let bot = app.program("bot", Role::Operator).await;
    let open = bot.get("/api/v1/approvals").await.json();
    assert_eq!(open[0]["subject"], "Load it?");
    assert_eq!(open[0]["path"], TASK);
    let tasks = bot.get("/api/v1/dags/orders/runs/live:run/tasks").await;
    let load = &tasks.json()[1];
    assert_eq!(load["state"], "waiting_approval", "{}", tasks.text);
    let said = json!({"answer": "reject", "reason": "too early"});
    let reply = bot.json(Method::POST, ANSWER, said.clone()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert_eq!(bot.get("/api/v1/approvals").await.json(), json!([]));
    let again = bot.json(Method::POST, ANSWER, said).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    assert!(again.text.contains("too early"), "{}", again.text);
    let tasks = bot.get("/api/v1/dags/orders/runs/live:run/tasks").await;
    let states = [1, 2].map(|at| tasks.json()[at]["state"].clone());
    assert_eq!(states, ["success", "skipped"], "{}", tasks.text);
}

#[tokio::test]
async fn a_question_that_nobody_asks_is_not_answered() {
    let app = asked().await;
    let bot = app.program("bot", Role::Operator).await;
    let other = ANSWER.replace("/load/", "/report/");
    let reply = bot
        .json(Method::POST, &other, json!({"answer": "approve"}))
        .await;
    assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.text);
    let reply = bot
        .json(Method::POST, ANSWER, json!({"answer": "perhaps"}))
        .await;
    assert!(reply.status.is_client_error(), "{}", reply.text);
    let long = json!({"answer": "approve", "reason": "x".repeat(2001)});
    let reply = bot.json(Method::POST, ANSWER, long).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.text);
    assert_eq!(
        bot.get("/api/v1/approvals").await.json()[0]["task_id"],
        "load"
    );
}

#[tokio::test]
async fn a_viewer_sees_a_question_and_cannot_answer_it() {
    let app = asked().await;
    let bot = app.program("bot", Role::Viewer).await;
    let reply = bot
        .json(Method::POST, ANSWER, json!({"answer": "approve"}))
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let kim = app.browser("kim", Role::Viewer).await;
    let page = kim.get(TASK).await;
    assert!(page.text.contains("Load it?"), "{}", page.text);
    assert!(!page.text.contains("<b>7</b>"), "a body is no markup");
    assert!(!page.text.contains("id=\"approve\""), "no button");
    let fields = [
        ("csrf", page.form_token()),
        ("answer", "approve".to_owned()),
        ("map_index", "-1".to_owned()),
    ];
    let fields = fields
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let reply = kim.form(&format!("{TASK}/approval"), &fields).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_operator_answers_on_the_page_and_it_says_who_and_why() {
    let app = asked().await;
    let lee = app.browser("lee", Role::Operator).await;
    let list = lee.get("/").await.text;
    assert!(list.contains("Load it?"), "{list}");
    let page = lee.get(TASK).await;
    assert!(page.text.contains("id=\"approve\"") && page.text.contains("id=\"reject\""));
    let token = page.form_token();
    let fields = [
        ("csrf", token.as_str()),
        ("answer", "approve"),
        ("map_index", "-1"),
        ("reason", "looks right"),
    ];
    let reply = lee.form(&format!("{TASK}/approval"), &fields).await;
    assert!(
        reply.status.is_redirection(),
        "{} {}",
        reply.status,
        reply.text
    );
    let page = lee.get(TASK).await.text;
    assert!(
        page.contains("approved by lee") && page.contains("looks right"),
        "{page}"
    );
    assert!(!page.contains("id=\"approve\""), "it is answered");
    assert!(!lee.get("/").await.text.contains("Load it?"));
}
