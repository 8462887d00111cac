//! The runs to come, asked of a server and of files alone.

mod support;

use insta::assert_snapshot;
use serde_json::json;

use crate::support::Place;

const NIGHTLY: &str =
    "schedule: '30 2 * * *'\ntimezone: America/New_York\ntasks: {a: {operator: empty}}\n";

#[tokio::test]
async fn a_simulation_of_files_names_what_the_clocks_do() {
    let place = Place::new();
    place
        .write("dags/nightly.yaml", NIGHTLY)
        .write(
            "dags/half_hourly.yaml",
            "schedule: '*/30 1-2 * * *'\ntimezone: America/New_York\ntasks: {a: {operator: empty}}\n",
        )
        .write("dags/by_hand.yaml", "tasks: {a: {operator: empty}}\n");
    let args = ["simulate", "--dags-folder", "dags", "--for", "2d", "--from"];
    for from in ["2026-03-07T12:00:00Z", "2026-10-31T12:00:00Z"] {
        let ended = place.run(&[&args[..], &[from]].concat()).await;
        assert_snapshot!(format!("{}---\n{}", ended.stdout, ended.stderr));
    }
    let refused = place
        .run(&[&args[..], &["2026-03-07", "nightlyy"]].concat())
        .await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("did you mean `nightly`?"),
        "{refused:?}"
    );
    let days = place.run(&["simulate", "--for", "7"]).await;
    assert!(days.stderr.contains("--for 7"), "{days:?}");
}

#[tokio::test]
async fn the_next_runs_come_from_the_server_or_from_files() {
    let place = Place::new();
    place
        .write("dags/nightly.yaml", NIGHTLY)
        .write(
            "dags/slow.yaml",
            "schedule: {every: 1m}\nmax_active_runs: 1\ntasks: {a: {operator: empty}}\n",
        )
        .write("dags/by_hand.yaml", "tasks: {a: {operator: empty}}\n");
    let offline = place
        .json(&[
            "dags",
            "next",
            "nightly",
            "-n",
            "3",
            "--dags-folder",
            "dags",
        ])
        .await;
    assert_eq!(offline["runs"].as_array().unwrap().len(), 3);
    for run in offline["runs"].as_array().unwrap() {
        assert_eq!(run["run_after"], run["data_interval_end"]);
        assert_eq!(run["logical_date"], run["data_interval_start"]);
    }
    let standalone = place.standalone().await;
    let online = place.json(&["dags", "next", "nightly", "-n", "3"]).await;
    assert_eq!(online["runs"], offline["runs"]);
    let table = place.ok(&["dags", "next", "nightly"]).await;
    assert!(table.contains("RUN AFTER (America/New_York)"), "{table}");
    assert_eq!(table.lines().count(), 6, "{table}");
    let by_hand = place.ok(&["dags", "next", "by_hand"]).await;
    assert_eq!(by_hand, "by_hand runs only when triggered\n");
    let near = place.run(&["dags", "next", "nigthly"]).await;
    assert!(
        near.stderr.contains("no DAG is called `nigthly`"),
        "{near:?}"
    );

    place.ok(&["dags", "pause", "nightly"]).await;
    let paused = place.run(&["dags", "next", "nightly"]).await;
    assert!(paused.stderr.contains("nightly is paused"), "{paused:?}");
    let simulated = place.json(&["simulate", "--for", "1h"]).await;
    assert_eq!(simulated["dags"][1]["left_out"], "its schedule is paused");
    let runs = simulated["runs"].as_array().unwrap();
    assert!((59..=61).contains(&runs.len()), "{}", runs.len());
    assert!(
        runs.iter()
            .all(|it| it["dag_id"] == "slow" && it["waits_ms"] == json!(0))
    );
    standalone.interrupt().await;
}
