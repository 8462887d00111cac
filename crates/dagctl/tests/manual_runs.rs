//! Runs that a user asks for by hand: which data they are about, and that asking twice makes one.

mod support;

use crate::support::Place;

#[tokio::test]
async fn a_run_by_hand_is_about_the_last_complete_interval_and_its_key_makes_it_once() {
    let place = Place::new();
    place.write(
        "dags/daily.yaml",
        "schedule: \"@daily\"\ntimezone: Asia/Seoul\ntasks:\n  only: {operator: empty}\n",
    );
    let standalone = place.standalone().await;
    let asked = [
        "trigger",
        "daily",
        "--logical-date",
        "2026-01-31T08:00:00+09:00",
        "--run-id",
        "by-hand",
        "--idempotency-key",
        "once",
    ];
    let run = place.json(&asked).await;
    assert_eq!(run["logical_date"], "2026-01-30T23:00:00Z");
    assert_eq!(run["data_interval_start"], "2026-01-29T15:00:00Z");
    assert_eq!(run["data_interval_end"], "2026-01-30T15:00:00Z");
    let same = place.json(&asked).await;
    assert_eq!(same["dag_run_id"], run["dag_run_id"]);
    let other = place
        .run(&["trigger", "daily", "--idempotency-key", "once"])
        .await;
    assert_ne!(other.code, 0);
    assert!(
        other.stderr.contains("used for another request"),
        "{other:?}"
    );
    let runs = place.json(&["runs", "list", "daily"]).await;
    assert_eq!(runs.as_array().unwrap().len(), 1);
    standalone.interrupt().await;
}
