//! The pages as a browser gets them.

use axum::http::StatusCode;
use dagctl_store::accounts::Role;

use super::harness::TestApp;
use super::rest::PAST;

#[tokio::test]
async fn every_page_opens_on_an_empty_installation_and_says_what_to_do() {
    let app = TestApp::new().await;
    let kim = app.browser("kim", Role::Operator).await;
    for (path, wanted) in [
        ("/", "Put a YAML file into the dags folder"),
        ("/variables", "No variables yet"),
        ("/connections", "No connections yet"),
        ("/problems", "Nothing is wrong"),
        ("/workers", "dagctl worker"),
        ("/account", "Make token"),
    ] {
        let reply = kim.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text);
        assert!(reply.text.contains(wanted), "{path}");
    }
}

#[tokio::test]
async fn a_failed_run_opens_with_its_error() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Viewer).await;
    let list = kim.get("/").await.text;
    assert!(list.contains("newest file is broken"));
    assert!(list.contains("/dags/orders/runs/failed%2Brun"));
    let run = kim.get("/dags/orders/runs/failed%2Brun").await.text;
    assert!(run.contains(r#"data-run-state="failed""#));
    let error = run
        .find("near &#34;parition&#34;")
        .expect("the error is shown");
    assert!(error < run.find(r#"id="tasks""#).expect("the tasks are listed"));
    let task = kim
        .get("/dags/orders/runs/failed%2Brun/tasks/load")
        .await
        .text;
    assert!(task.contains("Attempt 2 failed"));
    let task = kim.get("/dags/orders/runs/latest/tasks/extract").await.text;
    assert!(task.contains("&#34;rows&#34;: 7"));
}

/// Eighteen runs after those of the past.
const MORE_RUNS: &str = "
    insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start,
        interval_end, queued_at, started_at, finished_at)
    select r.dag_run_id + n, 1, 1, 'run ' || n || ' of <18>', 's', 's', now(), now(), now(), now(), now(), now()
    from dag_run r, generate_series(1, 18) n where r.state = 'r';
";

#[tokio::test]
async fn the_last_fourteen_runs_of_a_dag_are_bars_the_newest_first() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql(MORE_RUNS).await;
    let kim = app.browser("kim", Role::Viewer).await;
    for path in ["/", "/dags/orders", "/dags/orders?state=failed"] {
        let text = kim.get(path).await.text;
        let bars = text.split("<svg class=\"bars\"").nth(1).expect(path);
        let bars = bars.split("</svg>").next().unwrap();
        let titles: Vec<&str> = bars
            .split("<title>")
            .skip(1)
            .map(|it| it.split("</title>").next().unwrap())
            .collect();
        let wanted: Vec<String> = (5..=18)
            .rev()
            .map(|it| format!("run {it} of &#60;18&#62; · success · 0ms"))
            .collect();
        assert_eq!(titles, wanted, "{path}");
        let first = r#"<a href="/dags/orders/runs/run%2018%20of%20%3C18%3E">"#;
        assert_eq!(bars.find("<a "), bars.find(first), "{path}");
    }
}

#[tokio::test]
async fn the_page_of_a_paused_dag_says_who_paused_it() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql(
        "delete from problem;
        insert into audit (who, action, object) values ('kim', 'dag.pause', 'orders'), ('lee', 'dag.pause', 'orders'),
            ('mia', 'dag.pause', 'other');
        update dag set is_paused = true;",
    )
    .await;
    let kim = app.browser("kim", Role::Viewer).await;
    let page = kim.get("/dags/orders").await.text;
    assert!(page.contains("its schedule was paused by lee"), "{page}");
    app.sql("update dag set pause_reason = 'paused by dagctl after 3 failed runs'")
        .await;
    let page = kim.get("/dags/orders").await.text;
    assert!(
        page.contains("its schedule was paused by dagctl after 3 failed runs"),
        "{page}"
    );
}

/// A run with 1,200 tasks of which one failed, far down.
const WIDE_RUN: &str = "
    insert into dag_version (dag_version_id, dag_key, hash, file, files, task_count, max_active_tasks, tells_success)
    overriding system value
    select 2, dag_key, '\\x02', file, files, 1200, max_active_tasks, tells_success from dag_version;
    insert into dag_task select (jsonb_populate_record(k, jsonb_build_object(
        'dag_version_id', 2, 'task_index', n, 'task_id', 'task_' || n, 'indegree', 0))).*
    from dag_task k, generate_series(0, 1199) n where k.task_index = 0;
    insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start,
        interval_end, started_at, finished_at)
    select dag_run_id + 100, 1, 2, 'wide', 'm', 'f', now(), now(), now(), now(), now() from dag_run where state = 'r';
    insert into run_key select 1, run_id, 'm', logical_at, dag_run_id from dag_run where run_id = 'wide';
    insert into task_instance (dag_run_id, task_index, state, attempt, pending)
    select dag_run_id, n, case n when 1100 then 'f'::\"char\" else 's' end, 1, 0
    from dag_run, generate_series(0, 1199) n where run_id = 'wide';
    insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message)
    select dag_run_id, 1100, -1, 1, 'f', 'exit_code', 'out of paper' from dag_run where run_id = 'wide'";

#[tokio::test]
async fn a_run_of_many_tasks_is_shown_by_state_and_page_by_page() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql(WIDE_RUN).await;
    let kim = app.browser("kim", Role::Viewer).await;
    let rows = |text: &str| text.matches(" data-task=").count();
    let run = kim.get("/dags/orders/runs/wide").await.text;
    assert_eq!(rows(&run), 500);
    assert!(run.contains("out of paper"), "errors stand on every page");
    assert!(run.contains("1200 of 1200 settled"));
    assert!(run.contains(r#"?state=failed">failed <span class="fine">1</span>"#));
    assert!(
        run.contains(r#"href="/dags/orders/runs/wide?state=&amp;after=499.-1""#),
        "{run}"
    );
    let last = kim
        .get("/dags/orders/runs/wide?state=&after=999.-1")
        .await
        .text;
    assert_eq!(rows(&last), 200);
    assert!(!last.contains("More tasks"));
    let failed = kim.get("/dags/orders/runs/wide?state=failed").await.text;
    assert_eq!(rows(&failed), 1);
    assert!(failed.contains(r#"data-task="task_1100""#));
    let task = kim.get("/dags/orders/runs/wide/tasks/task_1100").await.text;
    assert!(task.contains("out of paper"));
    // A run that fits on one page needs no way through it.
    let small = kim.get("/dags/orders/runs/failed%2Brun").await.text;
    assert!(!small.contains("run-parts"));
}

#[tokio::test]
async fn text_from_elsewhere_is_never_markup() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Viewer).await;
    for path in [
        "/",
        "/dags/orders",
        "/dags/orders/definition",
        "/dags/orders/runs/failed%2Brun",
        "/dags/orders/runs/failed%2Brun/tasks/load",
        "/dags/orders/runs/latest/tasks/load",
        "/problems",
    ] {
        let text = kim.get(path).await.text;
        for raw in ["<b>orders", "<script>", "<img src=x", "\u{1b}", "\u{7}"] {
            assert!(!text.contains(raw), "{raw:?} in {path}");
        }
    }
    let log = kim.get("/dags/orders/runs/latest/tasks/load").await.text;
    assert!(log.contains("red &#60;img src=x&#62;"), "{log}");
    assert!(log.contains("third␇"));
    let file = kim.get("/dags/orders/runs/latest/tasks/load/log.txt").await;
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        file.header("content-security-policy")
            .starts_with("sandbox")
    );
}

#[tokio::test]
async fn a_run_is_triggered_from_a_form_and_only_once() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Operator).await;
    let page = kim.get("/dags/orders/trigger").await;
    let token = page.form_token();
    let fields = |limit| {
        [
            ("csrf", token.as_str()),
            ("key", "one-form"),
            ("param.day", "2026-02-01"),
            ("param.limit", limit),
        ]
    };
    let wrong = kim.form("/dags/orders/trigger", &fields("many")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text.contains("trigger-error") && wrong.text.contains(r#"value="many""#));
    let first = kim.form("/dags/orders/trigger", &fields("5")).await;
    let again = kim.form("/dags/orders/trigger", &fields("5")).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text);
    assert_eq!(first.header("location"), again.header("location"));
    let run = kim.get(first.header("location")).await.text;
    assert!(
        run.contains("limit = 5") && run.contains("2026-02-01"),
        "{run}"
    );
}

#[tokio::test]
async fn viewers_are_shown_no_buttons() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Viewer).await;
    for path in [
        "/",
        "/dags/orders",
        "/dags/orders/runs/latest",
        "/variables",
        "/connections",
        "/workers",
    ] {
        let text = kim.get(path).await.text;
        let forms = text.matches(r#"<form method="post""#).count();
        assert_eq!(forms, 1, "only the one to log out: {path}");
    }
}

#[tokio::test]
async fn a_schedule_is_paused_and_resumed_where_one_is() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Operator).await;
    let token = kim.get("/").await.form_token();
    for (paused, wanted) in [("yes", "Resume schedule"), ("no", "Pause schedule")] {
        let fields = [
            ("csrf", token.as_str()),
            ("paused", paused),
            ("back", "//evil.example"),
        ];
        let reply = kim.form("/dags/orders/pause", &fields).await;
        assert_eq!(reply.header("location"), "/");
        assert!(kim.get("/dags/orders").await.text.contains(wanted));
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_deleted() {
    let app = TestApp::new().await;
    let kim = app.browser("kim", Role::Viewer).await;
    let csrf = kim.get("/account").await.form_token();
    let fields = [("csrf", csrf.as_str()), ("name", "laptop"), ("days", "30")];
    let made = kim.form("/account/tokens", &fields).await.text;
    let at = made.find("dagctl_").expect("the token is shown");
    let token: String = made[at..]
        .chars()
        .take_while(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-'))
        .collect();
    let program = app.anon().with("authorization", &format!("Bearer {token}"));
    assert_eq!(program.get("/api/v1/version").await.status, StatusCode::OK);
    assert!(!kim.get("/account").await.text.contains(&token));
    let deleted = kim
        .form("/account/tokens/1/delete", &[("csrf", csrf.as_str())])
        .await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER);
    assert_eq!(
        program.get("/api/v1/version").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page() {
    let app = TestApp::new().await;
    let kim = app.browser("kim", Role::Viewer).await;
    for (path, wanted) in [
        ("/nowhere", "there is nothing at this address"),
        ("/dags/nope", "no DAG is called <code>nope</code>"),
        (
            "/dags/nope/runs/latest",
            "no DAG is called <code>nope</code>",
        ),
        ("/assets/nope.js", "there is no such file"),
        (
            "/assets/..%2Ftemplates%2Fbase.html",
            "there is no such file",
        ),
    ] {
        let reply = kim.get(path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert!(reply.text.contains(wanted), "{path}: {}", reply.text);
        assert!(reply.text.contains(reply.header("x-request-id")));
    }
}

#[tokio::test]
async fn a_cancelled_run_says_who_asked_for_it() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql("update dag_run set cancel_requested_at = now(), cancel_requested_by = 'lee' where state = 'f'")
        .await;
    let kim = app.browser("kim", Role::Operator).await;
    for path in ["/dags/orders", "/dags/orders/runs/failed%2Brun"] {
        let text = kim.get(path).await.text;
        assert!(text.contains("cancelled by lee"), "{path}");
    }
    let run = kim.get("/api/v1/dags/orders/runs/failed%2Brun").await;
    assert_eq!(run.json()["reason"], "cancelled by lee");
    assert_eq!(run.json()["state"], "failed");
    let other = kim.get("/api/v1/dags/orders/runs/live:run").await;
    assert!(other.json()["reason"].is_null(), "{}", other.text);
}

#[tokio::test]
async fn a_problem_that_leaves_the_newest_text_in_use_is_told_apart() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql("update problem set code = 'D021'").await;
    let kim = app.browser("kim", Role::Viewer).await;
    for (path, wanted) in [
        ("/", "active with a problem"),
        ("/dags/orders", "is active, with a problem"),
        ("/problems", "active with this problem"),
    ] {
        let text = kim.get(path).await.text;
        assert!(text.contains(wanted), "{path}");
        assert!(!text.contains("file is broken"), "{path}");
        assert!(!text.contains("last good version<"), "{path}");
    }
}

#[tokio::test]
async fn a_problem_of_a_dag_that_never_was_good_leads_nowhere() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Viewer).await;
    let link = r#"<a href="/dags/orders">last good version</a>"#;
    assert!(kim.get("/problems").await.text.contains(link));
    app.sql("update problem set dag_id = 'never'").await;
    assert!(!kim.get("/problems").await.text.contains("/dags/never"));
}

#[tokio::test]
async fn a_dag_without_a_schedule_has_nothing_to_pause() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Operator).await;
    assert!(kim.get("/").await.text.contains(r#"role="switch""#));
    app.sql("update dag set schedule = null, is_paused = true")
        .await;
    for path in ["/", "/dags/orders", "/dags/orders/trigger"] {
        let text = kim.get(path).await.text;
        for word in [
            r#"role="switch""#,
            "Resume schedule",
            "fine\">paused",
            "mark\">paused",
        ] {
            assert!(!text.contains(word), "{word} in {path}");
        }
    }
}

#[tokio::test]
async fn a_running_attempt_is_not_blamed_for_the_one_before() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    app.sql(
        "insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, worker_id)
         select dag_run_id, 1, -1, 1, 'l', 'worker_lost', 'its worker vanished', 1 from dag_run where state = 'r';
         update ready set attempt = 2",
    )
    .await;
    let kim = app.browser("kim", Role::Viewer).await;
    let tasks = kim.get("/api/v1/dags/orders/runs/live:run/tasks").await;
    assert!(
        tasks.text.contains(r#""reason":"attempt 1: worker_lost""#),
        "{}",
        tasks.text
    );
}

#[tokio::test]
async fn a_page_that_is_not_there_keeps_the_way_back() {
    let app = TestApp::new().await;
    app.sql(PAST).await;
    let kim = app.browser("kim", Role::Viewer).await;
    for (path, way) in [
        ("/nowhere", r#"href="/""#),
        ("/dags/nope", r#"href="/""#),
        ("/dags/orders/runs/nope", r#"href="/dags/orders""#),
    ] {
        let text = kim.get(path).await.text;
        assert!(text.contains("nav-problems"), "{path}");
        assert!(text.contains(&format!(r#"class="button" {way}"#)), "{path}");
        assert!(!text.contains("dagctl runs") && !text.contains("dagctl dags"));
    }
}
