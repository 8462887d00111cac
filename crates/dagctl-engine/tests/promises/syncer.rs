//! The stored versions follow the folder, good texts only.

use std::time::{Duration, Instant};

use dagctl_core::outcome::Outcome;
use dagctl_core::state::RunState;
use dagctl_engine::reconcile::Service as _;
use dagctl_engine::scheduler::Scheduler;
use dagctl_engine::services::keep_schedules;
use dagctl_engine::syncer::{Change, News, Syncer};
use tokio_util::sync::CancellationToken;

use crate::support::Bench;

const ONE: &str = "dag_id: orders\nschedule: '@once'\ntasks:\n  a: {operator: empty}\n  b: {operator: empty, depends_on: a}\n";

impl Bench {
    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join("dags").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join("dags").join(name)).unwrap();
    }
}

const VERSIONS: &str =
    "select dag_version_id::text || ' ' || file from dag_version order by dag_version_id";
const ACTIVE: &str = "select dag_id || ' ' || coalesce(active_version_id::text, 'none')
    || case when missing_since is null then '' else ' missing' end from dag order by dag_id";
const PROBLEMS: &str =
    "select file || ': ' || message from problem where severity = 'error' order by file, line";

#[tokio::test]
async fn a_broken_text_leaves_the_last_good_version_active_and_shows_a_problem() {
    let bench = Bench::new().await;
    let mut syncer = Syncer::new(bench.engine.clone());
    bench.write("orders.yaml", ONE);
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["orders 1"]);
    bench.write(
        "orders.yaml",
        &ONE.replace("depends_on: a", "depends_on: nobody"),
    );
    let synced = syncer.sync().await.unwrap();
    assert_eq!(synced.errors, 1);
    assert_eq!(bench.texts(ACTIVE).await, ["orders 1"]);
    let problems = bench.texts(PROBLEMS).await;
    assert!(
        problems[0].contains("orders.yaml: ") && problems[0].contains("nobody"),
        "{problems:?}"
    );
    assert!(
        bench.ask(crate::support::request("orders")).await.created,
        "the last good version runs"
    );
    // So broken that not even its name can be read.
    bench.write("orders.yaml", "tasks: [\n");
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["orders 1"]);
    // Another process, which never saw the good text.
    Syncer::new(bench.another(|_| ()).await)
        .sync()
        .await
        .unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["orders 1"]);
    bench.write("orders.yaml", ONE);
    syncer.sync().await.unwrap();
    assert_eq!(
        bench.texts(ACTIVE).await,
        ["orders 1"],
        "a text that is there already is not stored again"
    );
    assert!(bench.texts(PROBLEMS).await.is_empty());
}

#[tokio::test]
async fn of_two_files_with_one_dag_id_the_known_one_goes_on() {
    let bench = Bench::new().await;
    let mut syncer = Syncer::new(bench.engine.clone());
    bench.write("zz.yaml", ONE);
    syncer.sync().await.unwrap();
    bench.write("aa.yaml", &ONE.replace("b:", "c:"));
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(VERSIONS).await, ["1 zz.yaml"]);
    let problems = bench.texts(PROBLEMS).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("aa.yaml") && problems[0].contains("zz.yaml"),
        "it names both: {problems:?}"
    );
    // An edit of the known one still counts; when it goes, the other takes its place.
    bench.write("zz.yaml", &ONE.replace("b:", "d:"));
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(VERSIONS).await, ["1 zz.yaml", "2 zz.yaml"]);
    bench.remove("zz.yaml");
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["orders 3"]);
    assert!(bench.texts(PROBLEMS).await.is_empty());
}

#[tokio::test]
async fn a_removed_file_stops_the_schedule_and_lets_runs_finish() {
    let bench = Bench::new().await;
    let mut syncer = Syncer::new(bench.engine.clone());
    bench.write("orders.yaml", &ONE.replace("'@once'", "{every: 1s}"));
    syncer.sync().await.unwrap();
    let run = bench.trigger("orders").await;
    bench.remove("orders.yaml");
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["orders 1 missing"]);
    bench
        .execute("update dag set watermark = now() - interval '1 hour', watermark_reset = null")
        .await;
    Scheduler::new(bench.engine.clone()).pass().await.unwrap();
    assert_eq!(bench.count("select count(*) from dag_run").await, 1);
    let worker = bench.worker().await;
    for _ in 0..2 {
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, Outcome::success()).await;
    }
    assert_eq!(
        bench.store.run_state(run).await.unwrap(),
        Some(RunState::Success)
    );
    bench.write("orders.yaml", ONE);
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["orders 2"]);
}

#[tokio::test]
async fn a_run_keeps_the_version_it_started_with() {
    let bench = Bench::new().await;
    let mut syncer = Syncer::new(bench.engine.clone());
    bench.write("orders.yaml", ONE);
    syncer.sync().await.unwrap();
    let old = bench.trigger("orders").await;
    bench.write(
        "orders.yaml",
        &ONE.replace("  b: {operator: empty, depends_on: a}\n", ""),
    );
    syncer.sync().await.unwrap();
    let new = bench.trigger("orders").await;
    let worker = bench.worker().await;
    loop {
        let claims = bench.store.claim(worker, 10).await.unwrap().claims;
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            bench.flush(worker, claim.key, Outcome::success()).await;
        }
    }
    for run in [old, new] {
        assert_eq!(
            bench.store.run_state(run).await.unwrap(),
            Some(RunState::Success)
        );
    }
    assert_eq!(bench.states().await, "a=s b=s a=s");
}

#[tokio::test]
async fn a_changed_config_file_makes_a_new_version_and_the_commit_is_recorded() {
    let bench = Bench::new().await;
    let commit = "0123456789abcdef0123456789abcdef01234567";
    std::fs::create_dir(bench.sign(".git")).unwrap();
    std::fs::write(bench.sign(".git/HEAD"), format!("{commit}\n")).unwrap();
    let dag = "dag_id: summary
tasks:
  build:
    for_each: {files: 'config/*.yaml'}
    operator: build_table
    conn_id: dw
    config: '{{ file }}'
";
    let config = "schema: analytics\ntable: mau\nmain_sql: SELECT 1 AS a\n";
    bench.write("summary.yaml", dag);
    bench.write("config/mau.yaml", config);
    let mut syncer = Syncer::new(bench.engine.clone());
    let synced = syncer.sync().await.unwrap();
    assert_eq!(
        (synced.dags, synced.errors),
        (vec!["summary".to_owned()], 0)
    );
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(VERSIONS).await, ["1 summary.yaml"]);
    let next = commit.replace('0', "f");
    std::fs::write(bench.sign(".git/HEAD"), format!("{next}\n")).unwrap();
    bench.write("config/mau.yaml", &config.replace("1 AS a", "2 AS a"));
    syncer.sync().await.unwrap();
    assert_eq!(bench.texts(ACTIVE).await, ["summary 2"]);
    assert_eq!(
        bench
            .texts("select git_commit from dag_version order by dag_version_id")
            .await,
        [commit, next.as_str()]
    );
    bench.write("config/nps.yaml", &config.replace("mau", "nps"));
    syncer.sync().await.unwrap();
    assert_eq!(
        bench
            .texts("select task_id from dag_task where dag_version_id = 3 order by task_index")
            .await,
        ["build.mau", "build.nps"]
    );
}

#[tokio::test]
async fn whatever_changed_is_told_once() {
    let bench = Bench::new().await;
    let mut syncer = Syncer::new(bench.engine.clone());
    let (sender, mut news) = tokio::sync::mpsc::unbounded_channel();
    syncer.tell(sender);
    let broken = ONE.replace("depends_on: a", "depends_on: nobody");
    let mut told = vec![];
    for text in [ONE, ONE, &broken, &broken, ONE, &ONE.replace("b:", "c:")] {
        bench.write("orders.yaml", text);
        let synced = syncer.sync().await.unwrap();
        assert_eq!(synced.stale.len(), synced.errors);
        while let Ok(news) = news.try_recv() {
            told.push(match news {
                News::Problem(it) => it.message,
                News::Active { dag_id, change } => match change {
                    Change::New => format!("{dag_id} is new"),
                    Change::Changed => format!("{dag_id} changed"),
                    Change::Mended => format!("{dag_id} is mended"),
                },
            });
        }
    }
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], "orders is new");
    assert!(told[1].contains("nobody"), "{told:?}");
    assert_eq!(told[2..], ["orders is mended", "orders changed"]);
}

#[tokio::test]
async fn a_half_written_file_and_one_that_is_replaced_show_no_problem() {
    let bench = Bench::new().await;
    let mut syncer = Syncer::new(bench.engine.clone());
    let (sender, mut news) = tokio::sync::mpsc::unbounded_channel();
    bench.write("orders.yaml", ONE);
    syncer.pass().await.unwrap();
    syncer.tell(sender);
    for half in [Some("tasks: [\n"), Some(""), None] {
        match half {
            Some(text) => bench.write("orders.yaml", text),
            None => bench.remove("orders.yaml"),
        }
        let due = syncer.pass().await.unwrap();
        assert!(
            due.is_some_and(|it| it < Duration::from_secs(1)),
            "it looks again soon"
        );
        assert!(bench.texts(PROBLEMS).await.is_empty(), "{half:?}");
        assert_eq!(bench.texts(ACTIVE).await, ["orders 1"], "{half:?}");
        bench.write("orders.yaml", ONE);
        syncer.pass().await.unwrap();
    }
    assert!(news.try_recv().is_err(), "there was nothing to tell");
    // What stays bad is told.
    bench.write("orders.yaml", "tasks: [\n");
    let started = Instant::now();
    while bench.texts(PROBLEMS).await.is_empty() {
        assert!(started.elapsed() < crate::support::PATIENCE);
        let due = syncer.pass().await.unwrap();
        tokio::time::sleep(due.unwrap_or_default().min(Duration::from_millis(100))).await;
    }
    assert!(matches!(news.try_recv(), Ok(News::Problem(_))));
    bench.remove("orders.yaml");
    while bench.texts(ACTIVE).await != ["orders 1 missing"] {
        assert!(started.elapsed() < crate::support::PATIENCE);
        let due = syncer.pass().await.unwrap();
        tokio::time::sleep(due.unwrap_or_default().min(Duration::from_millis(100))).await;
    }
    assert!(bench.texts(PROBLEMS).await.is_empty());
}

#[tokio::test]
async fn two_syncers_at_once_store_each_version_once() {
    let bench = Bench::new().await;
    for number in 0..1_200 {
        let text = ONE.replace("orders", &format!("dag_{number}"));
        bench.write(
            &format!("{number}.yaml"),
            &text.replace("{operator: empty}", "{operator: empty, pool: p}"),
        );
    }
    let mut syncers = [
        Syncer::new(bench.engine.clone()),
        Syncer::new(bench.another(|_| ()).await),
    ];
    let [one, other] = &mut syncers;
    let (one, other) = tokio::join!(one.sync(), other.sync());
    assert_eq!(
        (one.unwrap().dags.len(), other.unwrap().dags.len()),
        (1_200, 1_200)
    );
    for (table, rows) in [
        ("select count(*) from dag", 1_200),
        ("select count(*) from dag_version", 1_200),
        ("select count(*) from dag_task", 2_400),
        ("select count(*) from dag_edge", 1_200),
        ("select count(*) from problem", 0),
    ] {
        assert_eq!(bench.count(table).await, rows, "{table}");
    }
    assert_eq!(
        bench.count("select count(*) from dag where active_version_id is null or missing_since is not null").await,
        0
    );
}

#[tokio::test]
async fn a_dag_that_the_database_refuses_leaves_the_others_active() {
    let bench = Bench::new().await;
    for name in ["aa", "zz"] {
        bench.write(&format!("{name}.yaml"), &ONE.replace("orders", name));
    }
    bench.write(
        "mm.yaml",
        &ONE.replace("orders", "mm\ndescription: \"a\\0b\""),
    );
    let mut syncer = Syncer::new(bench.engine.clone());
    for _ in 0..2 {
        syncer.sync().await.unwrap();
        assert_eq!(
            bench
                .texts("select dag_id from dag where active_version_id is not null order by 1")
                .await,
            ["aa", "zz"]
        );
    }
}

#[tokio::test]
async fn files_that_are_renamed_into_place_are_seen_without_a_sweep() {
    let bench = Bench::new().await;
    bench.write("orders.yaml", ONE);
    let stop = CancellationToken::new();
    let syncer = Syncer::new(bench.engine.clone());
    let services = tokio::spawn(keep_schedules(bench.engine.clone(), syncer, stop.clone()));
    bench
        .until("select exists (select from dag where active_version_id = 1)")
        .await;
    let rename = |to: &str| {
        let from = bench.folder.path().join("dags/.draft");
        std::fs::rename(from, bench.folder.path().join("dags").join(to)).unwrap();
    };
    bench.write(".draft", &ONE.replace("b:", "c:"));
    rename("orders.yaml");
    bench
        .until("select exists (select from dag where active_version_id = 2)")
        .await;
    bench.write(".draft", &ONE.replace("orders", "other"));
    rename("other.yaml");
    bench
        .until("select exists (select from dag where active_version_id = 3)")
        .await;
    bench.write("team/new.yaml", &ONE.replace("orders", "new"));
    bench
        .until("select exists (select from dag where active_version_id = 4)")
        .await;
    bench.write(
        "team/new.yaml",
        &ONE.replace("orders", "new").replace("b:", "c:"),
    );
    bench
        .until("select exists (select from dag where active_version_id = 5)")
        .await;
    bench.remove("other.yaml");
    bench
        .until(
            "select exists (select from dag where dag_id = 'other' and missing_since is not null)",
        )
        .await;
    stop.cancel();
    services.await.unwrap();
}

#[tokio::test]
async fn a_changed_file_is_active_within_a_second() {
    let bench = Bench::new().await;
    bench.write("orders.yaml", ONE);
    let stop = CancellationToken::new();
    let syncer = Syncer::new(bench.engine.clone());
    let services = tokio::spawn(keep_schedules(bench.engine.clone(), syncer, stop.clone()));
    bench
        .until("select exists (select from dag where active_version_id = 1)")
        .await;
    for number in 2..=4 {
        let changed = Instant::now();
        bench.write(
            "orders.yaml",
            &ONE.replace("orders", &format!("orders\ndescription: text {number}")),
        );
        while bench
            .count("select max(active_version_id)::bigint from dag")
            .await
            < number
        {
            assert!(
                changed.elapsed() < Duration::from_secs(1),
                "change {number} is not active"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.cancel();
    services.await.unwrap();
}
