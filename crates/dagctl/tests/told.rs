//! What is told to people, and why something does not move, as a user of the command line has it.

mod support;

use serde_json::Value;
use support::{Place, eventually};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

#[tokio::test]
async fn a_named_notifier_is_told_of_all_failures_of_a_run_in_one_request_and_of_the_recovery() {
    let pager = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&pager)
        .await;
    let place = Place::new();
    place
        .write(
            "dags/_defaults.yaml",
            "notifiers:\n  oncall: {type: http, conn_id: pager, recovered: true}\n",
        )
        .write(
            "dags/shaky.yaml",
            "
params: {code: 3}
default_args: {on_failure_callback: [oncall, {type: http, conn_id: nowhere}]}
tasks:
  one: {operator: shell, command: 'echo first; exit {{ params.code }}'}
  two: {operator: shell, command: 'exit {{ params.code }}'}
",
        );
    let standalone = place
        .standalone_with(&[("DAGCTL_CONN_PAGER", &pager.uri())])
        .await;
    let failed = place.run(&["trigger", "shaky", "--wait"]).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    place
        .ok(&["trigger", "shaky", "--wait", "-p", "code=0"])
        .await;
    let bodies = eventually("two requests", async || {
        let requests = pager.received_requests().await?;
        let bodies = requests.iter().map(|it| it.body_json().unwrap());
        Some(bodies.collect::<Vec<Value>>()).filter(|it| it.len() == 2)
    })
    .await;
    assert_eq!(bodies[0]["event"], "failure");
    let tasks = bodies[0]["tasks"].as_array().unwrap();
    let mut names: Vec<&str> = tasks
        .iter()
        .filter_map(|it| it["task_id"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"], "{bodies:?}");
    assert_eq!(bodies[1]["event"], "recovered");

    let waiting = eventually("a message that waits", async || {
        let list = place.json(&["notices", "list"]).await;
        let first = list.as_array().unwrap().first().cloned();
        first.filter(|it| it["last_error"].is_string())
    })
    .await;
    assert_eq!(waiting["state"], "pending");
    assert_eq!(waiting["dag_id"], "shaky");
    let error = waiting["last_error"].as_str().unwrap();
    assert!(error.contains("`nowhere` is not defined"), "{error}");
    assert_eq!(standalone.interrupt().await.code, 0);
}

#[tokio::test]
async fn explain_says_of_a_dag_a_run_and_a_task_why_they_do_not_move() {
    let place = Place::new();
    place.write(
        "dags/waits.yaml",
        "
schedule: '@daily'
max_active_runs: 1
tasks:
  gpu: {operator: empty, queue: gpu}
  after: {operator: empty, depends_on: gpu}
",
    );
    let standalone = place.standalone().await;
    let first = place.json(&["trigger", "waits"]).await;
    let first = first["run_id"].as_str().unwrap();
    let task = eventually("a queued task", async || {
        let said = place.ok(&["explain", "waits", first, "gpu"]).await;
        said.contains("queue `gpu`").then_some(said)
    })
    .await;
    assert!(
        task.starts_with("gpu (queued): no worker serves its queue `gpu`: start one with `dagctl worker --queues gpu`, since "),
        "{task}"
    );
    let run = place.ok(&["explain", "waits", first]).await;
    assert!(run.contains("after (none): it waits for `gpu`"), "{run}");
    place.ok(&["trigger", "waits"]).await;
    let dag = place.json(&["explain", "waits"]).await;
    let sentence = dag["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("its next run is due at "), "{dag}");
    let second = dag["parts"].as_array().unwrap();
    let second = second.iter().find(|it| it["state"] == "queued").unwrap();
    assert_eq!(
        second["sentence"],
        format!(
            "it waits for a place below `max_active_runs`: 1 of 1 runs are under way (`{first}`)"
        )
    );
    place.ok(&["dags", "pause", "waits"]).await;
    let dag = place.ok(&["explain", "waits"]).await;
    assert!(
        dag.starts_with("waits: its schedule was paused by "),
        "{dag}"
    );
    let unknown = place.run(&["explain", "wait"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert_eq!(standalone.interrupt().await.code, 0);
}
