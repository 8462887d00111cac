//! What a new user sees: the real binary, its private Postgres, and the example DAGs.

mod support;

use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::{Place, eventually};

/// MD5 over the rows of the raw data, in the order of their texts.
const RAW_DATA: [(&str, &str); 3] = [
    (
        "user_session_channel",
        "101520|aece07e3adb39654792806aee2af852e",
    ),
    (
        "session_timestamp",
        "100474|62444096280607cf4072c4dce664cdba",
    ),
    ("nps", "150000|8e5ec9c97c420391eaeef31085c4180f"),
];

/// What the summary tables must hold, as one would ask for it by hand.
const SUMMARIES: [(&str, &str); 3] = [
    (
        "mau_summary",
        "select to_char(a.ts, 'YYYY-MM'), count(distinct b.userid)
         from raw_data.session_timestamp a join raw_data.user_session_channel b using (sessionid) group by 1",
    ),
    (
        "nps_summary",
        "select left(created_at, 10),
                round(sum(case when score >= 9 then 1 when score <= 6 then -1 end)::numeric * 100 / count(1), 2)
         from raw_data.nps group by 1",
    ),
    (
        "channel_summary",
        "select distinct a.userid,
                first_value(a.channel) over (partition by a.userid order by b.ts
                    rows between unbounded preceding and unbounded following),
                last_value(a.channel) over (partition by a.userid order by b.ts
                    rows between unbounded preceding and unbounded following)
         from raw_data.user_session_channel a left join raw_data.session_timestamp b using (sessionid)",
    ),
];

async fn assert_summaries_are_right(place: &Place) {
    for (table, query) in SUMMARIES {
        let differing = format!(
            "select count(*) from ((table analytics.{table} except all ({query}))
             union all (({query}) except all table analytics.{table})) as differing"
        );
        assert_eq!(
            place.sql("demo_warehouse", &differing).await,
            "0",
            "{table}"
        );
        let rows = format!("select count(*) > 0 from analytics.{table}");
        assert_eq!(place.sql("demo_warehouse", &rows).await, "t", "{table}");
    }
}

#[tokio::test]
async fn a_new_user_builds_the_summary_tables_and_finds_them_after_a_restart() {
    let place = Place::with_examples();
    let standalone = place.standalone().await;
    for word in [
        "setup",
        "Build_Summary",
        "data",
        "trigger Build_Summary --wait",
    ] {
        assert!(standalone.welcome.contains(word), "{}", standalone.welcome);
    }

    // In the first second: the demo data is still on its way.
    let triggered = place.run(&["trigger", "Build_Summary", "--wait"]).await;
    assert_eq!(triggered.code, 0, "{triggered:?}");
    for task in [
        "raw_data",
        "build.mau_summary",
        "build.nps_summary",
        "build.channel_summary",
        "report",
    ] {
        assert!(
            triggered
                .stdout
                .contains(&format!("success         {task}")),
            "{triggered:?}"
        );
    }
    for (table, expected) in RAW_DATA {
        let digest = format!(
            r#"select count(*), md5(string_agg(t::text, E'\n' order by t::text collate "C")) from raw_data.{table} t"#
        );
        assert_eq!(
            place.sql("demo_warehouse", &digest).await,
            expected,
            "{table}"
        );
    }
    assert_summaries_are_right(&place).await;

    // Nothing on the first screen is red.
    let dags = place.json(&["dags", "list"]).await;
    for run in dags
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|dag| dag["last_runs"].as_array().unwrap())
    {
        assert_ne!(run["state"], "failed", "{dags}");
    }

    let second = place
        .run(&[
            "standalone",
            "--web-addr",
            "127.0.0.1:0",
            "--data-dir",
            "data",
        ])
        .await;
    assert_eq!(second.code, 2, "{second:?}");
    assert!(
        second.stderr.contains("is in use by another dagctl"),
        "{second:?}"
    );

    let before = place.json(&["runs", "list", "Build_Summary"]).await;
    let ended = standalone.interrupt().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        !place.data().join("cluster/postmaster.pid").exists(),
        "Postgres was stopped"
    );

    let standalone = place.standalone().await;
    let after = place.json(&["runs", "list", "Build_Summary"]).await;
    assert_eq!(after[0]["run_id"], before[0]["run_id"]);
    assert_eq!(after[0]["state"], "success");

    // A second run with other raw data replaces the tables.
    place
        .sql(
            "demo_warehouse",
            "update raw_data.nps set score = 10 where id % 3 = 0",
        )
        .await;
    place.ok(&["trigger", "Build_Summary", "--wait"]).await;
    assert_summaries_are_right(&place).await;
    assert_eq!(standalone.interrupt().await.code, 0);
}

#[tokio::test]
async fn the_local_token_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let standalone = place.standalone().await;
    for file in [
        "data/local.json",
        "data/secret.key",
        "home/.local/state/dagctl/standalone.json",
    ] {
        let mode = std::fs::metadata(place.path(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(
        standalone.welcome.contains("none in"),
        "{}",
        standalone.welcome
    );
    let stranger = [
        "dags",
        "list",
        "--url",
        &standalone.url,
        "--token",
        "dagctl_wrong",
    ];
    let refused = place.run(&stranger).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("dagctl tokens create"),
        "{refused:?}"
    );
    place
        .ok(&["users", "create", "robot", "--no-password"])
        .await;
    let token = place.ok(&["tokens", "create", "robot"]).await;
    let robot = [
        "dags",
        "list",
        "--url",
        &standalone.url,
        "--token",
        token.trim(),
    ];
    place.ok(&robot).await;
    standalone.interrupt().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let place = Place::new();
    let standalone = place.standalone().await;
    place
        .sql("dagctl", "update _sqlx_migrations set version = 99 where version = (select max(version) from _sqlx_migrations)")
        .await;
    assert_eq!(standalone.interrupt().await.code, 0);
    let args = [
        "standalone",
        "--web-addr",
        "127.0.0.1:0",
        "--data-dir",
        "data",
    ];
    let refused = place.run(&args).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("schema version 99"), "{refused:?}");
    assert!(
        refused.stderr.contains("start the newer dagctl"),
        "{refused:?}"
    );
    assert!(
        !place.data().join("cluster/postmaster.pid").exists(),
        "Postgres was stopped"
    );
}

#[tokio::test]
async fn postgres_that_was_killed_is_back_within_seconds() {
    let place = Place::new();
    place.write("dags/hello.yaml", "tasks:\n  greet:\n    operator: empty\n");
    let standalone = place.standalone().await;
    let pid_file = place.data().join("cluster/postmaster.pid");
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let pid = pid.lines().next().unwrap().parse().unwrap();
    let postgres = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(postgres, rustix::process::Signal::KILL).unwrap();
    eventually("a run after the kill", async || {
        let ended = place.run(&["trigger", "hello", "--wait"]).await;
        (ended.code == 0).then_some(())
    })
    .await;
    assert_eq!(standalone.interrupt().await.code, 0);
}

#[tokio::test]
async fn a_failing_dag_exits_with_one_and_says_how_to_read_its_log() {
    let slack = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&slack)
        .await;
    let place = Place::new();
    place.write(
        "dags/broken.yaml",
        "default_args:\n  on_failure_callback: [slack]\ntasks:\n  typo:\n    operator: sql\n    conn_id: redshift_dev_db\n    sql: SELECT no_such_column\n  after:\n    operator: empty\n    depends_on: typo\n",
    );
    let webhook = format!("{}/services/T/B/xyz", slack.uri());
    let standalone = place
        .standalone_with(&[
            ("DAGCTL_VAR_SLACK_URL", &webhook),
            ("AIRFLOW_VAR_DATA_DIR", "/data"),
        ])
        .await;
    let ended = place.run(&["trigger", "broken", "--wait"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("no_such_column"), "{ended:?}");
    let hint = "dagctl tasks logs broken typo --run manual__";
    assert!(ended.stderr.contains(hint), "{ended:?}");
    assert!(ended.stdout.contains("upstream_failed after"), "{ended:?}");
    let log = place.ok(&["tasks", "logs", "broken", "typo"]).await;
    assert!(log.contains("SELECT no_such_column"), "{log}");

    let message = eventually("one Slack message", async || {
        slack.received_requests().await?.into_iter().next()
    })
    .await;
    let body: Value = message.body_json().unwrap();
    assert!(
        body["text"].as_str().unwrap().contains("no_such_column"),
        "{body}"
    );

    assert_eq!(place.ok(&["variables", "get", "DATA_DIR"]).await, "/data\n");
    let secret = place.run(&["variables", "get", "slack_url"]).await;
    assert_eq!(secret.code, 1, "{secret:?}");
    assert!(!place.ok(&["variables", "list"]).await.contains("xyz"));

    for (args, words) in [
        (vec!["trigger", "nothing"], "nothing"),
        (vec!["trigger", "broken", "-p", "day=1"], "day"),
        (vec!["runs", "show", "broken", "no_such_run"], "no_such_run"),
    ] {
        let refused = place.run(&args).await;
        assert_eq!(refused.code, 1, "{args:?}: {refused:?}");
        assert!(refused.stderr.contains(words), "{args:?}: {refused:?}");
    }
    assert_eq!(standalone.interrupt().await.code, 0);
}

#[tokio::test]
async fn a_changed_file_is_active_soon_and_a_broken_one_leaves_the_last_good_version() {
    let place = Place::new();
    place
        .write(".dagignore", "project_a\n")
        .write(
            "dags/project_a.yaml",
            "tasks:\n  hidden:\n    operator: empty\n",
        )
        .write("dags/hello.yaml", "tasks:\n  first:\n    operator: empty\n");
    let standalone = place.standalone().await;
    let tasks = async || {
        let dag = place.json(&["dags", "show", "hello"]).await;
        let tasks = dag["tasks"].as_array().unwrap();
        tasks
            .iter()
            .map(|it| it["task_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(tasks().await, ["first"]);
    assert_eq!(
        place
            .json(&["dags", "list"])
            .await
            .as_array()
            .unwrap()
            .len(),
        1,
        "one is ignored"
    );

    place.write(
        "dags/hello.yaml",
        "tasks:\n  second:\n    operator: empty\n",
    );
    eventually("the new version", async || {
        (tasks().await == ["second"]).then_some(())
    })
    .await;

    place.write(
        "dags/hello.yaml",
        "tasks:\n  second:\n    operater: empty\n",
    );
    let problems = eventually("the problem", async || {
        let problems = place.ok(&["problems"]).await;
        (!problems.is_empty()).then_some(problems)
    })
    .await;
    assert!(problems.contains("operater"), "{problems}");
    assert_eq!(tasks().await, ["second"]);
    place.ok(&["trigger", "hello", "--wait"]).await;

    place.write("dags/new.yaml", "tasks: {a: {operater: empty}}\n");
    eventually("the new file's problem", async || {
        let refused = place.run(&["trigger", "new"]).await;
        refused
            .stderr
            .contains("`dags/new.yaml` has an error")
            .then_some(())
    })
    .await;
    let ended = standalone.interrupt().await;
    assert!(ended.stderr.contains("hello changed"), "{ended:?}");
    let told = ended.stderr.matches("--> dags/hello.yaml").count();
    assert!((1..=2).contains(&told), "{ended:?}");
}

#[tokio::test]
async fn the_manual_examples_work_on_servers_of_our_own() {
    let web = MockServer::start().await;
    let rows: String = (0..200)
        .map(|n| format!("Name{n:04},{}\n", ["M", "F", "Unisex"][n % 3]))
        .collect();
    Mock::given(path("/name_gender.csv"))
        .respond_with(ResponseTemplate::new(200).set_body_string(format!("name,gender\n{rows}")))
        .mount(&web)
        .await;
    let rates = serde_json::json!({"base": "USD", "date": "2026-11-20", "rates": {"EUR": 0.9, "KRW": 1390.5}});
    Mock::given(path("/latest"))
        .respond_with(ResponseTemplate::new(200).set_body_json(rates))
        .mount(&web)
        .await;
    let place = Place::with_examples();
    let standalone = place.standalone().await;
    // It makes the schemas that the others write to.
    eventually("the demo data", async || {
        let dag = place.json(&["dags", "show", "demo_warehouse"]).await;
        (dag["last_runs"][0]["state"] == "success").then_some(())
    })
    .await;

    let url = format!("url={}/name_gender.csv", web.uri());
    place
        .ok(&["trigger", "name_gender", "-p", &url, "--wait"])
        .await;
    let loaded = "select count(*), count(distinct gender) from raw_data.name_gender";
    assert_eq!(place.sql("demo_warehouse", loaded).await, "200|3");

    let url = format!("url={}/latest", web.uri());
    place
        .ok(&[
            "trigger",
            "exchange_rates",
            "-p",
            &url,
            "-p",
            "base=USD",
            "--wait",
        ])
        .await;
    let stored = "select string_agg(day || base || currency || rate, ' ' order by currency) from analytics.exchange_rate";
    assert_eq!(
        place.sql("demo_warehouse", stored).await,
        "2026-11-20USDEUR0.9 2026-11-20USDKRW1390.5"
    );

    place.ok(&["trigger", "machine_report", "--wait"]).await;
    let log = place
        .ok(&["tasks", "logs", "machine_report", "report"])
        .await;
    assert!(log.contains("MB left"), "{log}");
    assert_eq!(standalone.interrupt().await.code, 0);
}

#[tokio::test]
async fn ctrl_c_and_cancel_stop_a_running_process() {
    let place = Place::new();
    place.write(
        "dags/slow.yaml",
        "tasks:\n  sleep:\n    operator: shell\n    command: [sleep, \"3600\"]\n",
    );
    let standalone = place.standalone_with(&[("DAGCTL_GRACE", "1s")]).await;
    let is_running = async |run: &str| {
        let task = &place.json(&["tasks", "list", "slow", run]).await[0];
        (task["state"] == "running").then_some(())
    };
    place.ok(&["trigger", "slow", "-r", "first"]).await;
    eventually("the first run", async || is_running("first").await).await;
    place.ok(&["runs", "cancel", "slow", "first"]).await;
    let ended = place.run(&["runs", "follow", "slow", "first"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");

    place.ok(&["trigger", "slow", "-r", "second"]).await;
    eventually("the second run", async || is_running("second").await).await;
    let begun = std::time::Instant::now();
    assert_eq!(standalone.interrupt().await.code, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}
