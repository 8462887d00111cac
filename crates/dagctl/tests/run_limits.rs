//! Limits of whole runs, as a user meets them.

mod support;

use crate::support::{Place, eventually};

#[tokio::test]
async fn runs_are_stopped_in_time_go_again_by_themselves_and_failures_pause_their_dag() {
    let place = Place::new();
    let folder = place.path("");
    let folder = folder.display();
    place
        .write(
            "dags/slow.yaml",
            "dagrun_timeout: 2s\ntasks:\n  sleeps: {operator: shell, command: sleep 600}\n  after: {operator: empty, depends_on: sleeps}\n",
        )
        .write(
            "dags/stubborn.yaml",
            &format!(
                "dagrun_retries: 1\ndagrun_retry_delay: 1s\ntasks:\n  first: {{operator: shell, command: \"echo first >> {folder}/log\"}}\n  second: {{operator: shell, retries: 0, depends_on: first, command: \"echo second >> {folder}/log; test $(grep -c second {folder}/log) = 2\"}}\n"
            ),
        )
        .write(
            "dags/flaky.yaml",
            "schedule: \"@yearly\"\nmax_consecutive_failed_dag_runs: 2\ntasks:\n  only: {operator: shell, retries: 0, command: exit 1}\n",
        );
    let standalone = place.standalone().await;

    let slow = place
        .run(&["trigger", "slow", "--run-id", "one", "--wait"])
        .await;
    assert_eq!(slow.code, 1, "{slow:?}");
    let run = place.json(&["runs", "show", "slow", "one"]).await;
    assert_eq!(run["reason"], "took longer than dagrun_timeout");
    let tasks = place.json(&["tasks", "list", "slow", "one"]).await;
    assert_eq!(tasks[0]["reason"], "timeout");
    assert_eq!(tasks[1]["reason"], "dagrun_timeout");

    place
        .ok(&["trigger", "stubborn", "--run-id", "one", "--wait"])
        .await;
    let log = std::fs::read_to_string(place.path("log")).unwrap();
    assert_eq!(log, "first\nsecond\nsecond\n", "what succeeded stays");

    for _ in 0..2 {
        let failed = place.run(&["trigger", "flaky", "--wait"]).await;
        assert_eq!(failed.code, 1, "{failed:?}");
    }
    let dag = eventually("the pause", async || {
        let dag = place.json(&["dags", "show", "flaky"]).await;
        (dag["is_paused"] == true).then_some(dag)
    })
    .await;
    assert_eq!(
        dag["pause_reason"],
        "paused by max_consecutive_failed_dag_runs: its last 2 runs failed"
    );
    standalone.interrupt().await;
}
