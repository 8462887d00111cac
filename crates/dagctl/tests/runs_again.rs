//! Runs that go again, as a user has them do so from a terminal.

mod support;

use crate::support::Place;

/// `report` follows `load`, which fails until the file `healed` is there; what ran is noted in `log`.
fn write_orders(place: &Place) {
    let folder = place.path("");
    let folder = folder.display();
    place.write(
        "dags/orders.yaml",
        &format!(
            "tasks:
  extract: {{operator: shell, command: \"echo extract >> {folder}/log\"}}
  load: {{operator: shell, retries: 0, depends_on: extract, command: \"test -e {folder}/healed && echo load >> {folder}/log\"}}
  report: {{operator: shell, depends_on: load, command: \"echo report >> {folder}/log\"}}
"
        ),
    );
}

fn log(place: &Place) -> String {
    std::fs::read_to_string(place.path("log"))
        .unwrap_or_default()
        .replace('\n', " ")
}

#[tokio::test]
async fn a_user_retries_a_failed_run_clears_a_task_and_marks_another() {
    let place = Place::new();
    write_orders(&place);
    let standalone = place.standalone().await;
    let failed = place
        .run(&["trigger", "orders", "--run-id", "first", "--wait"])
        .await;
    assert_eq!(failed.code, 1, "{failed:?}");

    let dry = place
        .ok(&["runs", "retry", "orders", "first", "--dry-run"])
        .await;
    assert_eq!(dry, "Would run again: load\nWould run again: report\n");
    place.write("healed", "");
    let retried = place.json(&["runs", "retry", "orders", "first"]).await;
    assert_eq!(retried["cleared"], serde_json::json!(["load", "report"]));
    place.ok(&["runs", "follow", "orders", "first"]).await;
    assert_eq!(log(&place), "extract load report ");

    let nothing = place.run(&["runs", "retry", "orders", "first"]).await;
    assert_ne!(nothing.code, 0);
    assert!(
        nothing
            .stderr
            .contains("nothing of run `first` failed or was stopped"),
        "{nothing:?}"
    );

    place
        .ok(&["tasks", "clear", "orders", "first", "load", "--downstream"])
        .await;
    place.ok(&["runs", "follow", "orders", "first"]).await;
    assert_eq!(log(&place), "extract load report load report ");

    let marked = place
        .ok(&["tasks", "mark", "orders", "first", "report", "failed"])
        .await;
    assert!(marked.starts_with("Marked report as failed\n"), "{marked}");
    let ended = place.run(&["runs", "follow", "orders", "first"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let tasks = place.json(&["tasks", "list", "orders", "first"]).await;
    let states: Vec<&str> = tasks
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["success", "success", "failed"]);
    assert_eq!(tasks[1]["attempt"], 3);

    let typo = place
        .run(&["tasks", "clear", "orders", "first", "reprot"])
        .await;
    assert!(
        typo.stderr.contains("did you mean `report`?"),
        "{}",
        typo.stderr
    );
    standalone.interrupt().await;
}
