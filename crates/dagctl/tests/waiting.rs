//! Tasks that wait without a worker, as a user sees them: sensors, a question to a person, a run of another DAG.

mod support;

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Place, eventually};

const REPORT: &str = "
dag_id: report
tasks:
  render: {operator: shell, command: 'echo 42 rows', outputs: {rows: '42'}}
  review: {operator: approval, depends_on: render, subject: 'Send the report of {{ ds }}?', body: '{{ outputs.render.rows }} rows', timeout: 8h}
  send: {operator: shell, depends_on: review, command: echo sent}
";

const LOAD: &str = "
dag_id: load
params: {day: {type: string, format: date}}
tasks:
  arrive: {operator: file_sensor, filepath: '../inbox/{{ params.day }}*.csv', poke_interval: 1s, timeout: 1h}
  late: {operator: time_sensor, target_time: '2026-01-01T00:00:00Z'}
  load: {operator: shell, depends_on: [arrive, late], command: 'cat {{ outputs.arrive.file }}'}
";

const DAY: &str = "
dag_id: day
tasks:
  load: {operator: trigger_dagrun, trigger_dag_id: load, conf: {day: '{{ ds }}'}, logical_date: '{{ logical_date }}', wait_for_completion: true}
  seen: {operator: external_task_sensor, external_dag_id: load, external_task_id: [late, load], poke_interval: 1s, timeout: 1h}
";

/// The states of a run's tasks, `task=state` in the DAG's order.
async fn states(place: &Place, dag_id: &str) -> String {
    let found = place
        .run(&["tasks", "list", dag_id, "latest", "-o", "json"])
        .await;
    let tasks: serde_json::Value = serde_json::from_str(&found.stdout).unwrap_or_default();
    let each = tasks.as_array().cloned().unwrap_or_default();
    let each = each.iter().map(|it| {
        let word = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
        format!("{}={}", word("task_id"), word("state"))
    });
    each.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_person_answers_from_a_terminal_and_a_rejected_report_is_not_sent() {
    let place = Place::new();
    place.write("dags/report.yaml", REPORT);
    let standalone = place.standalone().await;
    place.ok(&["trigger", "report"]).await;
    eventually("the question", async || {
        let open = place.json(&["approvals", "list"]).await;
        (open.as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let open = place.json(&["approvals", "list"]).await;
    assert!(
        open[0]["subject"]
            .as_str()
            .unwrap()
            .starts_with("Send the report of 2"),
        "{open}"
    );
    assert_eq!(open[0]["body"], "42 rows");
    assert_eq!(
        states(&place, "report").await,
        "render=success review=waiting_approval send=none"
    );
    place
        .ok(&[
            "reject",
            "report",
            "latest",
            "review",
            "--reason",
            "too early",
        ])
        .await;
    let followed = place.run(&["runs", "follow", "report", "latest"]).await;
    assert_eq!(followed.code, 0, "{followed:?}");
    assert_eq!(
        states(&place, "report").await,
        "render=success review=success send=skipped"
    );
    let late = place.run(&["approve", "report", "latest", "review"]).await;
    assert_ne!(late.code, 0);
    assert!(
        late.stderr.contains("was rejected by ") && late.stderr.contains("too early"),
        "{late:?}"
    );
    assert_eq!(
        place.json(&["approvals", "list"]).await,
        serde_json::json!([])
    );
    standalone.interrupt().await;
}

#[tokio::test]
async fn a_run_waits_for_a_run_that_waits_for_a_file() {
    let place = Place::new();
    place
        .write("dags/load.yaml", LOAD)
        .write("dags/day.yaml", DAY);
    std::fs::create_dir(place.path("inbox")).unwrap();
    let standalone = place.standalone().await;
    place
        .ok(&["trigger", "day", "--logical-date", "2026-03-01"])
        .await;
    eventually("all that waits", async || {
        let (day, load) = (states(&place, "day").await, states(&place, "load").await);
        (day == "load=up_for_reschedule seen=up_for_reschedule"
            && load == "arrive=up_for_reschedule late=success load=none")
            .then_some(())
    })
    .await;
    place.write("inbox/2026-03-01_a.csv", "x,y\n");
    let followed = place.run(&["runs", "follow", "day", "latest"]).await;
    assert_eq!(followed.code, 0, "{followed:?}");
    assert_eq!(
        states(&place, "load").await,
        "arrive=success late=success load=success"
    );
    let made = place.json(&["runs", "list", "load"]).await;
    assert_eq!(made.as_array().unwrap().len(), 1);
    let by = made[0]["triggered_by"].as_str().unwrap();
    assert!(
        by.starts_with("day/manual__2026-03-01") && by.ends_with("/load"),
        "{by}"
    );
    let log = place
        .ok(&["tasks", "logs", "day", "load", "--run", "latest"])
        .await;
    assert!(
        log.contains("run manual__2026-03-01T00:00:00Z of `load` ended as success"),
        "{log}"
    );
    standalone.interrupt().await;
}

const NEWS: &str = "
dag_id: news
tasks:
  rows: {operator: sql_sensor, conn_id: redshift_dev_db, sql: SELECT count(*) FROM pg_class, poke_interval: 1s, timeout: 1h}
  page: {operator: http_sensor, conn_id: site, endpoint: /ready, response_check: response.json.ok, poke_interval: 1s, timeout: 1h}
  never: {operator: sql_sensor, conn_id: redshift_dev_db, sql: SELECT 0, poke_interval: 1s, timeout: 2s, soft_fail: true}
  both: {operator: empty, depends_on: [rows, page]}
";

#[tokio::test]
async fn a_run_waits_for_rows_and_for_a_page_and_gives_up_softly() {
    let site = MockServer::start().await;
    let ready = Mock::given(method("GET")).and(path("/ready"));
    ready
        .respond_with(ResponseTemplate::new(404))
        .up_to_n_times(2)
        .mount(&site)
        .await;
    let answer = ResponseTemplate::new(200).set_body_json(serde_json::json!({"ok": true}));
    Mock::given(method("GET"))
        .and(path("/ready"))
        .respond_with(answer)
        .mount(&site)
        .await;
    let place = Place::new();
    place.write("dags/news.yaml", NEWS);
    let standalone = place
        .standalone_with(&[("DAGCTL_CONN_SITE", &site.uri())])
        .await;
    place.ok(&["trigger", "news", "--wait"]).await;
    assert_eq!(
        states(&place, "news").await,
        "rows=success page=success never=skipped both=success"
    );
    assert_eq!(site.received_requests().await.unwrap().len(), 3);
    let why = place.ok(&["explain", "news", "latest", "never"]).await;
    assert!(why.contains("it was skipped"), "{why}");
    standalone.interrupt().await;
}
