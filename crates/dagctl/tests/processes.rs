//! Scheduler, worker and web as separate processes on one Postgres do what standalone does.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use dagctl_testkit::TestDatabase;
use serde_json::Value;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::support::services::{Installation, Service, processes_of};
use crate::support::{Place, eventually};

/// Processes on a database of their own.
struct Stage {
    // Declared first: the processes end before their database goes.
    services: Vec<Service>,
    installation: Installation,
    database: TestDatabase,
}

impl Stage {
    /// A web service and these others, on one DAG `it`.
    async fn set(dag: &str, services: &[&[&str]]) -> Self {
        let place = Place::new();
        let database = TestDatabase::new().await;
        place.write(
            "dags/it.yaml",
            &dag.replace("[PLACE]", &place.path("").to_string_lossy()),
        );
        let mut installation = Installation::new(place, &database.url);
        installation.offer("dw", &database.url);
        let mut running = vec![installation.open().await];
        for service in services {
            running.push(installation.start(service).await);
        }
        Self {
            services: running,
            installation,
            database,
        }
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(&self.database.pool)
            .await
            .unwrap()
    }

    async fn wait_for(&self, what: &str, sql: &'static str, expected: i64) {
        eventually(what, async || {
            (self.count(sql).await == expected).then_some(())
        })
        .await;
    }

    async fn tasks(&self) -> Vec<Value> {
        let tasks = self
            .installation
            .json(&["tasks", "list", "it", "latest"])
            .await;
        tasks.as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_database_that_nobody_has_migrated_is_refused_with_the_command_to_type() {
    let database = TestDatabase::new().await;
    let place = Place::new();
    place.write(
        "dags/it.yaml",
        "schedule: null\ntasks: {t: {operator: empty}}\n",
    );
    let installation = Installation::new(place, &database.url);
    let web = ["web", "--web-addr", "127.0.0.1:0"];
    for args in [&["scheduler"][..], &["worker"], &web, &["users", "list"]] {
        let ended = installation.spawn(args).wait().await;
        assert_ne!(ended.code, 0, "{args:?}");
        assert!(
            ended.stderr.contains("dagctl db migrate"),
            "{args:?}: {ended:?}"
        );
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    }
    installation.ok(&["db", "migrate"]).await;
    installation.ok(&["db", "migrate"]).await;
    installation.ok(&["db", "status"]).await;
    let scheduler = installation.start(&["scheduler"]).await;
    assert_eq!(scheduler.terminate().await.code, 0);
}

#[tokio::test]
async fn two_schedulers_and_two_workers_run_every_task_of_a_dag_once() {
    let mut dag = "schedule: '@once'\ndefault_args: {conn_id: dw}\ntasks:\n".to_owned();
    for task in 0..50 {
        let upstream = match task {
            0..5 => String::new(),
            _ => format!(
                ", depends_on: [t{}, t{}]",
                task - 5,
                (task * 7) % (task - 4)
            ),
        };
        writeln!(
            dag,
            "  t{task}: {{operator: sql, sql: \"INSERT INTO ran SELECT 't{task}' FROM pg_sleep(0.02)\"{upstream}}}"
        )
        .unwrap();
    }
    let worker: &[&str] = &["worker", "--slots", "2"];
    let stage = Stage::set(&dag, &[worker, worker]).await;
    sqlx::raw_sql("create table ran (task text)")
        .execute(&stage.database.pool)
        .await
        .unwrap();
    let first = stage.installation.spawn(&["scheduler"]);
    let second = stage.installation.spawn(&["scheduler"]);
    stage
        .wait_for(
            "the end of the run",
            "select count(*) from dag_run where state = 's'",
            1,
        )
        .await;
    assert_eq!(stage.count("select count(*) from dag_run").await, 1);
    assert_eq!(stage.count("select count(*) from ran").await, 50);
    assert_eq!(
        stage.count("select count(distinct task) from ran").await,
        50
    );
    assert_eq!(
        stage.count("select sum(attempt) from task_instance").await,
        50
    );
    assert_eq!(
        stage
            .count("select count(distinct worker_id) from task_instance")
            .await,
        2,
        "both workers had their part"
    );
    assert_eq!(stage.count("select count(*) from ready").await, 0);
    for service in [first, second].into_iter().chain(stage.services) {
        let ended = service.terminate().await;
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    assert_eq!(processes_of(&stage.installation.place), [""; 0]);
}

const WAITS_FOR_GO: &str = "
schedule: null
tasks:
  waits:
    operator: shell
    command: 'echo first; while [ ! -e [PLACE]/go ]; do sleep 0.05; done; echo last'
  after:
    operator: shell
    depends_on: waits
    command: 'echo after'
";

#[tokio::test]
async fn a_worker_that_is_told_to_stop_lets_its_task_end_and_claims_no_other() {
    let mut stage = Stage::set(WAITS_FOR_GO, &[&["scheduler"], &["worker"]]).await;
    stage.installation.trigger("it", &[]).await;
    let claimed = "select count(*) from ready where worker_id is not null";
    stage.wait_for("a task under way", claimed, 1).await;
    let worker = stage.services.pop().unwrap();
    rustix::process::kill_process(worker.pid(), rustix::process::Signal::TERM).unwrap();
    eventually("the worker has heard", async || {
        worker.said().contains("Stopping").then_some(())
    })
    .await;
    stage.installation.place.write("go", "");
    let ended = worker.wait().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(stage.count(claimed).await, 0);
    assert_eq!(
        stage.count("select count(*) from ready").await,
        1,
        "the next task waits"
    );
    assert_eq!(
        stage
            .count("select count(*) from task_instance where state = 's' and attempt = 1")
            .await,
        1
    );

    let worker = stage.installation.start(&["worker"]).await;
    stage.installation.ok(&["runs", "follow", "it"]).await;
    assert_eq!(
        stage.count("select sum(attempt) from task_instance").await,
        2
    );
    assert_eq!(worker.terminate().await.code, 0);
}

#[tokio::test]
async fn a_worker_whose_grace_ends_hands_its_task_back() {
    let mut stage = Stage::set(
        WAITS_FOR_GO,
        &[&["scheduler"], &["worker", "--grace", "1s"]],
    )
    .await;
    stage.installation.trigger("it", &[]).await;
    let claimed = "select count(*) from ready where worker_id is not null";
    stage.wait_for("a task under way", claimed, 1).await;
    let ended = stage.services.pop().unwrap().terminate().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(stage.count(claimed).await, 0);
    stage.installation.place.write("go", "");
    let _worker = stage.installation.start(&["worker"]).await;
    stage.installation.ok(&["runs", "follow", "it"]).await;
}

#[tokio::test]
async fn lines_of_a_log_are_there_while_the_task_still_runs() {
    let stage = Stage::set(WAITS_FOR_GO, &[&["scheduler"], &["worker"]]).await;
    stage.installation.trigger("it", &[]).await;
    let logs = ["tasks", "logs", "it", "waits"];
    eventually("the first line", async || {
        let ended = stage.installation.run(&logs).await;
        ended.stdout.contains("first").then_some(())
    })
    .await;
    let tasks = stage.tasks().await;
    assert_eq!(tasks[0]["state"], "running");
    stage.installation.place.write("go", "");
    stage.installation.ok(&["runs", "follow", "it"]).await;
    let log = stage.installation.ok(&logs).await;
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(at("first") < at("last"));
}

#[tokio::test]
async fn a_cancelled_run_stops_its_processes_statements_and_calls() {
    let server = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(600));
    Mock::given(any()).respond_with(slow).mount(&server).await;
    let dag = format!(
        "schedule: null\ntasks:\n  process:\n    operator: shell\n    command: 'sleep 601 & (setsid sleep 602 &) ; sleep 603; echo [PLACE]'\n  statement:\n    operator: sql\n    conn_id: dw\n    sql: SELECT pg_sleep(604)\n  call:\n    operator: http\n    method: GET\n    endpoint: {}/slow\n",
        server.uri()
    );
    let stage = Stage::set(&dag, &[&["scheduler"], &["worker"]]).await;
    stage.installation.trigger("it", &[]).await;
    let statements = "select count(*) from pg_stat_activity
        where datname = current_database() and query like '%pg_sleep(604)%' and pid <> pg_backend_pid()";
    stage.wait_for("a statement under way", statements, 1).await;
    eventually("a call under way", async || {
        let calls = server.received_requests().await.unwrap();
        (!calls.is_empty()).then_some(())
    })
    .await;
    eventually("three processes under way", async || {
        (sleepers(&stage) == 3).then_some(())
    })
    .await;

    let asked = Instant::now();
    stage.installation.ok(&["runs", "cancel", "it"]).await;
    eventually("nothing runs any more", async || {
        (sleepers(&stage) == 0 && stage.count(statements).await == 0).then_some(())
    })
    .await;
    stage
        .wait_for(
            "the end of the run",
            "select count(*) from dag_run where state = 'f'",
            1,
        )
        .await;
    // A heartbeat, and no more than the few seconds that a process gets to end by itself.
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "{:?}",
        asked.elapsed()
    );
    for task in stage.tasks().await {
        assert_eq!(task["reason"], "cancelled", "{task}");
    }
    assert_eq!(stage.count("select count(*) from ready").await, 0);
}

/// The processes that the cancelled task has started.
fn sleepers(stage: &Stage) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ours = processes.filter(|it| {
        let words = std::fs::read(it.path().join("cmdline")).unwrap_or_default();
        let environment = std::fs::read(it.path().join("environ")).unwrap_or_default();
        let folder = stage.installation.place.path("");
        let folder = folder.to_string_lossy();
        let environment = String::from_utf8_lossy(&environment);
        words.starts_with(b"sleep\x0060") && environment.contains(folder.trim_end_matches('/'))
    });
    ours.count()
}

#[tokio::test]
async fn what_a_killed_worker_has_started_dies_with_it() {
    // By their arguments: one of them has none of our environment.
    let tag = std::process::id();
    let dag = format!(
        "schedule: null\ntasks:\n  it:\n    operator: shell\n    command: 'sleep 605.{tag} & (setsid sleep 606.{tag} &) ; setsid env -i sleep 607.{tag} & sleep 608.{tag}; echo'\n"
    );
    let sleeping = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let ours = processes.filter(|it| {
            let words = std::fs::read(it.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words);
            words.starts_with("sleep\x0060") && words.ends_with(&format!(".{tag}\0"))
        });
        ours.count()
    };
    let mut stage = Stage::set(&dag, &[&["scheduler"], &["worker"]]).await;
    stage.installation.trigger("it", &[]).await;
    eventually("four processes under way", async || {
        (sleeping() == 4).then_some(())
    })
    .await;
    stage.services.pop().unwrap().kill().await;
    // No other worker is there that could end them.
    eventually("nothing runs any more", async || {
        (sleeping() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_warehouse_lacks_is_said_in_a_sentence() {
    let mut stage = Stage::set(
        "
schedule: null
tasks:
  down: {operator: sql, conn_id: down, sql: SELECT 1}
  missing: {operator: sql, conn_id: nowhere, sql: SELECT 1}
  no_table: {operator: sql, conn_id: dw, sql: SELECT * FROM raw_data.nothing}
",
        &[&["scheduler"]],
    )
    .await;
    stage
        .installation
        .set("DAGCTL_CONN_DOWN", "postgres://u:hunter2@127.0.0.1:1/dw");
    let worker = stage.installation.start(&["worker"]).await;
    stage.installation.trigger("it", &[]).await;
    let ended = stage.installation.run(&["runs", "follow", "it"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let tasks = stage.tasks().await;
    for (task, sentence) in [
        ("down", "127.0.0.1:1"),
        ("missing", "connection `nowhere` is not defined"),
        ("no_table", "relation \"raw_data.nothing\" does not exist"),
    ] {
        let found = tasks.iter().find(|it| it["task_id"] == task).unwrap();
        assert_eq!(found["state"], "failed");
        let error = found["error"].as_str().unwrap();
        assert!(error.contains(sentence), "{task}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(!worker.said().contains("panicked"), "{}", worker.said());
    assert!(!worker.said().contains("hunter2"), "{}", worker.said());
}
