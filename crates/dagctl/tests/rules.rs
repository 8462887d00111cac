//! Rules, branches, groups, teardowns and the run before, as a user meets them at a terminal.

#![expect(
    clippy::unwrap_used,
    reason = "a set-up that fails is a test that fails"
)]

mod support;

use crate::support::Place;

/// The tasks of a run as `task_id=state`, in order.
async fn states(place: &Place, dag: &str, run: &str) -> String {
    let tasks = place.json(&["tasks", "list", dag, run]).await;
    let tasks = tasks.as_array().unwrap().iter().map(|it| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        format!("{}={}", text("task_id"), text("state"))
    });
    tasks.collect::<Vec<_>>().join(" ")
}

const ORDERS: &str = "
params: {full: false}
tasks:
  how:
    operator: branch
    branches:
      - {when: params.full, follow: staging}
      - {follow: light}
  create: {operator: empty, group: staging, depends_on: how}
  load: {operator: shell, command: exit 1, retries: 0, group: staging, depends_on: staging.create, allow_failure: true}
  drop:
    operator: shell
    command: exit 1
    retries: 0
    group: staging
    depends_on: staging.load
    teardown: {setups: [staging.create]}
  light: {operator: empty, depends_on: how}
  join: {operator: empty, depends_on: [staging, light], trigger_rule: all_done}
  strict: {operator: empty, depends_on: [staging, light]}
  any: {operator: empty, depends_on: [staging.create, light], trigger_rule: one_success}
";

#[tokio::test]
async fn a_user_is_warned_of_a_skipped_join_and_sees_branches_groups_teardowns_and_rules_at_work() {
    let place = Place::new();
    place.write("dags/orders.yaml", ORDERS);
    let warned = place.run(&["validate"]).await;
    assert_eq!(warned.code, 0, "{warned:?}");
    let said = warned.stdout + &warned.stderr;
    assert!(said.contains("D034"), "{said}");
    assert!(
        said.contains("`strict` is skipped whenever `how` does not follow"),
        "{said}"
    );

    let standalone = place.standalone().await;
    let light = ["trigger", "orders", "--run-id", "light", "--wait"];
    assert_eq!(place.run(&light).await.code, 0);
    assert_eq!(
        states(&place, "orders", "light").await,
        "how=success staging.create=skipped staging.load=skipped staging.drop=skipped light=success \
         join=success strict=skipped any=success"
    );
    // A failure that is allowed and one of a teardown leave the run a success.
    let full = [
        "trigger",
        "orders",
        "--run-id",
        "full",
        "-p",
        "full=true",
        "--wait",
    ];
    let full = place.run(&full).await;
    assert_eq!(full.code, 0, "{full:?}");
    assert_eq!(
        states(&place, "orders", "full").await,
        "how=success staging.create=success staging.load=failed staging.drop=failed light=skipped \
         join=success strict=upstream_failed any=success"
    );
    standalone.interrupt().await;
}

#[tokio::test]
async fn a_user_cancels_a_run_and_what_was_set_up_is_torn_down() {
    let place = Place::new();
    let (started, dropped) = (place.path("started"), place.path("dropped"));
    place.write(
        "dags/scratch.yaml",
        &format!(
            "tasks:
  make: {{operator: empty}}
  work: {{operator: shell, command: \"echo > {}; sleep 600\", depends_on: make}}
  drop: {{operator: shell, command: \"echo > {}\", depends_on: work, teardown: {{setups: [make]}}}}
",
            started.display(),
            dropped.display()
        ),
    );
    let standalone = place.standalone().await;
    place.ok(&["trigger", "scratch", "--run-id", "one"]).await;
    while !started.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    place.ok(&["runs", "cancel", "scratch", "one"]).await;
    let ended = place.run(&["runs", "follow", "scratch", "one"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(dropped.exists());
    assert_eq!(
        states(&place, "scratch", "one").await,
        "make=success work=failed drop=success"
    );
    standalone.interrupt().await;
}

#[tokio::test]
async fn a_user_s_task_waits_for_the_run_before_until_its_failure_is_marked_a_success() {
    let place = Place::new();
    place.write(
        "dags/chain.yaml",
        "tasks:\n  load: {operator: shell, command: 'test {{ ds_nodash }} != 20260102', retries: 0, depends_on_past: true}\n",
    );
    let standalone = place.standalone().await;
    for (day, code) in [("2026-01-01", 0), ("2026-01-02", 1)] {
        let asked = [
            "trigger",
            "chain",
            "--run-id",
            day,
            "--logical-date",
            day,
            "--wait",
        ];
        let run = place.run(&asked).await;
        assert_eq!(run.code, code, "{run:?}");
    }
    let day = "2026-01-03";
    place
        .ok(&["trigger", "chain", "--run-id", day, "--logical-date", day])
        .await;
    assert_eq!(states(&place, "chain", "2026-01-03").await, "load=none");
    place
        .ok(&["tasks", "mark", "chain", "2026-01-02", "load", "success"])
        .await;
    let last = place.run(&["runs", "follow", "chain", "2026-01-03"]).await;
    assert_eq!(last.code, 0, "{last:?}");
    assert_eq!(states(&place, "chain", "2026-01-03").await, "load=success");
    standalone.interrupt().await;
}
