//! `dagctl bench` on a real Postgres: it measures, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up ends it")]

mod support;

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Place, eventually};

/// A folder that the bench's Postgres can reach.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("tmp")).unwrap();
    place
}

/// The processes that work in a place, of whatever program.
fn processes(place: &Place) -> Vec<String> {
    let folder = place.path("tmp").to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|it| std::fs::read(it.ok()?.path().join("cmdline")).ok())
        .map(|it| String::from_utf8_lossy(&it).replace('\0', " "))
        .filter(|it| it.contains(&folder) && !it.contains(" bench "))
        .collect()
}

fn expect_nothing_left(place: &Place) {
    let files: Vec<_> = std::fs::read_dir(place.path("tmp")).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
    assert_eq!(processes(place), Vec::<String>::new());
}

#[tokio::test]
async fn a_chain_is_measured_against_its_floor_and_nothing_is_left_behind() {
    let place = place();
    let table = place
        .ok(&[
            "bench", "W2", "--quick", "--dir", "tmp", "--json", "out.json",
        ])
        .await;
    assert!(table.contains("chain of 30: hop p50"), "{table}");
    let text = std::fs::read(place.path("out.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    let hop = &report["rows"][0];
    assert_eq!(hop["workload"], "W2");
    let (figure, floor) = (
        hop["figure"].as_f64().unwrap(),
        hop["floor"].as_f64().unwrap(),
    );
    assert!(figure > 0.0 && floor > 0.0, "{hop}");
    assert!((hop["ratio"].as_f64().unwrap() - figure / floor).abs() < 1e-9);
    assert!(hop["met"].is_boolean(), "{hop}");
    expect_nothing_left(&place);
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_behind() {
    let place = place();
    let mut bench = place
        .command(&["bench", "W1", "--dir", "tmp"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a running Postgres", async || {
        let running = processes(&place);
        running
            .iter()
            .any(|it| it.contains("postgres"))
            .then_some(())
    })
    .await;
    let pid = Pid::from_raw(bench.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = bench.wait().await.unwrap();
    assert_eq!(status.code(), Some(130));
    expect_nothing_left(&place);
}

#[tokio::test]
async fn an_unknown_workload_is_answered_with_those_there_are() {
    let ended = place().run(&["bench", "W0"]).await;
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("no workload is called `W0`") && ended.stderr.contains("W2 chain"),
        "{ended:?}"
    );
}
