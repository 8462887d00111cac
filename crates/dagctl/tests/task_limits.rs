//! Limits on single tasks, as a user sets them.

mod support;

use crate::support::Place;

const DAG: &str = r#"
max_active_runs: 3
tasks:
  one_at_a_time:
    operator: shell
    max_active_tis_per_dag: 1
    pool: narrow
    pool_slots: 2
    weight_rule: absolute
    command: |
      mkdir FOLDER/lock || exit 1
      sleep 0.1
      rmdir FOLDER/lock
"#;

#[tokio::test]
async fn a_user_has_a_task_run_once_at_a_time_over_all_runs() {
    let place = Place::new();
    let folder = place.path("").display().to_string();
    place.write(
        "dags/alone.yaml",
        &DAG.replace("FOLDER", folder.trim_end_matches('/')),
    );
    let standalone = place.standalone().await;
    place.ok(&["pools", "set", "narrow", "3"]).await;
    for run in ["one", "two", "three"] {
        place.ok(&["trigger", "alone", "--run-id", run]).await;
    }
    for run in ["one", "two", "three"] {
        // A second one at the same time would find the folder there, and fail.
        place.ok(&["runs", "follow", "alone", run]).await;
    }
    drop(standalone);
}
