//! DAGs that run on news of tables, as a user sees them from a terminal and a browser.

mod support;

use serde_json::{Value, json};

use crate::support::{Place, eventually};

#[tokio::test]
async fn a_dag_runs_when_others_have_written_its_tables_and_says_why() {
    let place = Place::new();
    place
        .write(
            "dags/orders.yaml",
            "tasks:\n  write: {operator: shell, command: [\"true\"], writes: [raw.orders]}\n",
        )
        .write(
            "dags/shops.yaml",
            "tasks:\n  write: {operator: shell, command: [\"true\"], writes: [raw.shops]}\n",
        )
        .write(
            "dags/report.yaml",
            "schedule: {assets: [raw.orders, raw.shops]}\ntasks:\n  render:\n    operator: shell\n    command: [echo, \"{{ triggering_asset_events['raw.shops'][0].run_id }} wrote it\"]\n",
        );
    let standalone = place.standalone().await;
    place
        .ok(&["trigger", "orders", "--run-id", "first", "--wait"])
        .await;

    // One table alone calls for nothing; what is missing can be asked for.
    let next = eventually("the DAG hears of the table", async || {
        let next = place.json(&["dags", "next", "report"]).await;
        (next["news"] != json!([])).then_some(next)
    })
    .await;
    assert_eq!(
        next["instead"],
        "when there is news of raw.orders and raw.shops"
    );
    assert_eq!(next["news"][0]["asset"], "raw.orders");
    assert_eq!(next["news"][0]["run_id"], "first");
    assert_eq!(place.json(&["runs", "list", "report"]).await, json!([]));

    place
        .ok(&["trigger", "shops", "--run-id", "second", "--wait"])
        .await;
    let run = eventually("a run for the news", async || {
        let runs = place.json(&["runs", "list", "report"]).await;
        runs.get(0).filter(|it| it["state"] == "success").cloned()
    })
    .await;
    assert_eq!(run["run_type"], "asset_triggered");
    let run_id = run["run_id"].as_str().unwrap();
    assert!(run_id.starts_with("asset_triggered__2"), "{run_id}");

    let log = place.ok(&["runs", "logs", "report", run_id]).await;
    assert!(log.contains("second wrote it"), "{log}");

    let list = place.json(&["assets", "list"]).await;
    let names = |key: &str| -> Vec<Value> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|it| it[key].clone())
            .collect()
    };
    assert_eq!(names("name"), ["raw.orders", "raw.shops"]);
    assert_eq!(
        names("writers"),
        [json!(["orders.write"]), json!(["shops.write"])]
    );
    assert_eq!(names("schedules"), [json!(["report"]), json!(["report"])]);
    let shown = place.ok(&["assets", "show", "raw.shops"]).await;
    assert!(
        shown.contains(&format!("shops/second, for which report/{run_id} ran")),
        "{shown}"
    );
    let unknown = place.run(&["assets", "show", "raw.shop"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(
        unknown.stderr.contains("did you mean `raw.shops`?"),
        "{unknown:?}"
    );
    standalone.interrupt().await;
}

#[tokio::test]
async fn dags_that_run_for_ever_on_each_others_tables_are_refused() {
    let place = Place::new();
    for (own, other) in [("x", "y"), ("y", "x")] {
        place.write(
            &format!("dags/{own}.yaml"),
            &format!("schedule: {{assets: [a.{other}]}}\ntasks:\n  build: {{operator: build_table, conn_id: dw, schema: a, table: {own}, main_sql: select 1 as n}}\n"),
        );
    }
    let ended = place.run(&["validate"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    for wanted in [
        "error[D060]",
        "dags/x.yaml:1:21",
        "dags/y.yaml:1:21",
        "`y` (dags/y.yaml, task `build`) writes `a.y`",
    ] {
        assert!(ended.stdout.contains(wanted), "{wanted}: {}", ended.stdout);
    }
}
