//! A backfill as a user makes it: look first, then exactly that.

mod support;

use crate::support::{Place, eventually};

#[tokio::test]
async fn a_user_looks_at_a_backfill_makes_exactly_that_and_sees_it_through() {
    let place = Place::new();
    place.write(
        "dags/daily.yaml",
        "schedule: \"@daily\"\nis_paused_upon_creation: true\ntasks:\n  only: {operator: empty}\n",
    );
    let standalone = place.standalone().await;
    let range = [
        "backfill",
        "create",
        "daily",
        "--from-date",
        "2026-01-01",
        "--to-date",
        "2026-01-05",
        "--max-active-runs",
        "2",
        "--dry-run",
    ];
    let shown = place.ok(&range).await;
    assert_eq!(shown.matches("create").count(), 5, "{shown}");
    let token = shown
        .lines()
        .find_map(|it| it.strip_prefix("plan "))
        .unwrap()
        .to_owned();
    let none = place.json(&["backfill", "list"]).await;
    assert_eq!(none.as_array().unwrap().len(), 0);

    let made = place.ok(&["backfill", "create", "--plan", &token]).await;
    assert_eq!(
        made,
        "Backfill 1 of daily: 5 new, 0 again, 0 left as they are\n"
    );
    eventually("the end of the backfill", async || {
        let shown = place.json(&["backfill", "show", "1"]).await;
        (shown["progress"]["success"] == 5).then_some(())
    })
    .await;
    let runs = place.json(&["runs", "list", "daily"]).await;
    let kinds: Vec<&str> = runs
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["run_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["backfill"; 5]);

    let again = place.run(&["backfill", "create", "--plan", &token]).await;
    assert_ne!(again.code, 0);
    assert!(
        again
            .stderr
            .contains("something has changed since the dry run"),
        "{again:?}"
    );
    let cancelled = place.run(&["backfill", "cancel", "7"]).await;
    assert!(
        cancelled.stderr.contains("there is no backfill 7"),
        "{cancelled:?}"
    );
    standalone.interrupt().await;
}
