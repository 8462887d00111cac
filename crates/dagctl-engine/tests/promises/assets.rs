//! DAGs that run on news of tables: one run for what was written, whoever looks and whoever dies in between.

use std::time::Duration;

use dagctl_core::ids::{AttemptKey, DagRunId, WorkerId};
use dagctl_core::outcome::Outcome;
use dagctl_engine::Engine;
use dagctl_engine::flush::{OnSuccess, Report};
use dagctl_engine::reconcile::Service as _;
use dagctl_engine::scheduler::Scheduler;
use dagctl_store::dags::Paused;
use dagctl_store::views::assets::EventsOf;
use futures::future::join_all;

use crate::support::{Bench, refused};

async fn look(engine: &Engine) {
    let mut scheduler = Scheduler::new(engine.clone());
    while scheduler.pass().await.unwrap() == Some(Duration::ZERO) {}
}

/// A DAG whose one task writes a table.
async fn writer(bench: &Bench, dag_id: &str, table: &str) {
    bench
        .dag(&format!(
            "dag_id: {dag_id}\ntasks:\n  write: {{operator: sql, conn_id: dw, sql: 'insert into {table} values (1)'}}\n"
        ))
        .await;
}

/// A DAG that waits for tables; its task is for a worker of that queue.
async fn reader_in(bench: &Bench, assets: &str, queue: &str, more: &str) {
    bench
        .dag(&format!(
            "dag_id: report\nschedule: {{assets: {assets}}}\n{more}tasks:\n  only: {{operator: empty, queue: {queue}}}\n"
        ))
        .await;
}

/// A DAG that waits for tables, and whose runs nobody carries out.
async fn reader(bench: &Bench, assets: &str) {
    reader_in(bench, assets, "nobodys", "").await;
}

async fn finish(bench: &Bench, key: AttemptKey, worker: WorkerId) {
    let report = Report {
        key,
        outcome: Outcome::success(),
        on_success: OnSuccess::Look,
    };
    bench.engine.flush(worker, vec![report]).await.unwrap();
}

/// Runs a DAG whose one task writes a table.
async fn write(bench: &Bench, dag_id: &str) {
    bench.trigger(dag_id).await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    finish(bench, claim.key, worker).await;
}

const RUNS: &str = "select count(*) from dag_run where run_type = 'a'";

#[tokio::test]
async fn a_dag_runs_when_all_its_tables_were_written_since_its_last_run() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    writer(&bench, "y", "a.y").await;
    reader(&bench, "[a.x, 'dw:a.y']").await;
    look(&bench.engine).await;
    write(&bench, "x").await;
    write(&bench, "x").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 0);
    write(&bench, "y").await;
    look(&bench.engine).await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    assert_eq!(bench.count("select count(*) from run_asset_event").await, 3);
    let whole: bool = bench
        .value(
            "select r.run_id = 'asset_triggered__' || to_char(r.logical_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')
                || regexp_replace(to_char(r.logical_at, '.US'), '0+$', '') || 'Z'
                and r.interval_start = s.first and r.interval_end = s.last
            from dag_run r, (select min(interval_start) first, max(interval_end) last from dag_run where run_type = 'm') s
            where r.run_type = 'a'",
        )
        .await;
    assert!(whole, "its name and its interval");
    // The news are used up: one table alone calls for nothing again.
    write(&bench, "y").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    write(&bench, "x").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 2);
    let run: i64 = bench
        .value("select max(dag_run_id) from dag_run where run_type = 'a'")
        .await;
    let events = EventsOf::Run(DagRunId(run));
    let events = bench.store.asset_events(&events, 10).await.unwrap();
    let words: Vec<String> = events
        .iter()
        .map(|it| format!("{} {}", it.dag_id, it.name))
        .collect();
    assert_eq!(words, ["x a.x", "y a.y"]);
}

#[tokio::test]
async fn any_of_the_tables_will_do_where_the_schedule_says_so() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    writer(&bench, "z", "a.z").await;
    reader(&bench, "{any: [a.x, {all: [a.y, a.z]}]}").await;
    look(&bench.engine).await;
    write(&bench, "z").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 0);
    write(&bench, "x").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    assert_eq!(bench.count("select count(*) from asset_news").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_schedulers_at_once_make_one_run_and_use_each_event_once() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    reader(&bench, "[a.x]").await;
    look(&bench.engine).await;
    for round in 1..=4 {
        write(&bench, "x").await;
        write(&bench, "x").await;
        let mut looks = vec![];
        for _ in 0..4 {
            let engine = bench.another(|_| ()).await;
            looks.push(tokio::spawn(async move { look(&engine).await }));
        }
        for it in join_all(looks).await {
            it.unwrap();
        }
        look(&bench.engine).await;
        let used = "select count(*) from run_asset_event";
        assert_eq!(bench.count(used).await, 2 * round);
        assert_eq!(
            bench
                .count("select count(distinct asset_event_id) from run_asset_event")
                .await,
            2 * round
        );
    }
    // Two schedulers may each have found one of the two events first: never the same one, and none is left.
    assert!((4..=8).contains(&bench.count(RUNS).await));
    assert_eq!(bench.count("select count(*) from asset_news").await, 0);
}

#[tokio::test]
async fn an_event_is_as_durable_as_the_success_that_caused_it_and_no_more() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    reader(&bench, "[a.x]").await;
    let events = "select count(*) from asset_event";
    // The transaction of the success fails at its end: neither is there.
    bench
        .execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$",
        )
        .await;
    bench
        .execute("create constraint trigger refuse after insert on asset_event deferrable initially deferred for each row execute function refuse()")
        .await;
    bench.trigger("x").await;
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    let report = |outcome| Report {
        key: claim.key,
        outcome,
        on_success: OnSuccess::Look,
    };
    let reports = vec![report(Outcome::success())];
    assert!(bench.engine.flush(worker, reports.clone()).await.is_err());
    assert_eq!(bench.states().await, "write=n");
    assert_eq!(bench.count(events).await, 0);
    bench.execute("drop trigger refuse on asset_event").await;
    // A report whose commit was unknown is sent again, and again.
    for _ in 0..3 {
        bench.engine.flush(worker, reports.clone()).await.unwrap();
    }
    assert_eq!(bench.states().await, "write=s");
    assert_eq!(bench.count(events).await, 1);
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    // A task that fails writes nothing.
    bench.trigger("x").await;
    let claim = bench.claim(worker).await;
    let failed = Report {
        key: claim.key,
        outcome: refused("no"),
        on_success: OnSuccess::Look,
    };
    bench.engine.flush(worker, vec![failed]).await.unwrap();
    assert_eq!(bench.count(events).await, 1);
}

#[tokio::test]
async fn a_crash_between_telling_and_running_loses_no_news() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    reader(&bench, "[a.x]").await;
    look(&bench.engine).await;
    write(&bench, "x").await;
    // A scheduler that dies right after it told the DAGs.
    assert_eq!(bench.store.tell_asset_events().await.unwrap(), 1);
    assert_eq!(bench.store.tell_asset_events().await.unwrap(), 0);
    assert_eq!(bench.count("select count(*) from asset_news").await, 1);
    // One that cannot make the run takes no news either.
    bench
        .execute("alter table run_asset_event add constraint never check (asset_event_id < 0)")
        .await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 0);
    assert_eq!(bench.count("select count(*) from asset_news").await, 1);
    bench
        .execute("alter table run_asset_event drop constraint never")
        .await;
    bench
        .execute("update dag set next_due_at = now() where next_due_at is not null")
        .await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    assert_eq!(bench.count("select count(*) from asset_news").await, 0);
}

#[tokio::test]
async fn what_is_written_during_a_pause_makes_one_run_afterwards() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    reader(&bench, "[a.x]").await;
    look(&bench.engine).await;
    let report = "report".parse().unwrap();
    bench.engine.set_paused(&report, Paused::Yes).await.unwrap();
    for _ in 0..3 {
        write(&bench, "x").await;
        look(&bench.engine).await;
    }
    assert_eq!(bench.count(RUNS).await, 0);
    bench.engine.set_paused(&report, Paused::No).await.unwrap();
    look(&bench.engine).await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    assert_eq!(bench.count("select count(*) from run_asset_event").await, 3);
}

#[tokio::test]
async fn news_gather_while_every_place_of_a_dag_is_taken() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    reader_in(&bench, "[a.x]", "default", "max_active_runs: 1\n").await;
    look(&bench.engine).await;
    write(&bench, "x").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
    let worker = bench.worker().await;
    let claim = bench.claim(worker).await;
    for _ in 0..3 {
        bench.execute(
            "insert into asset_event (name, dag_run_id, task_index, map_index, attempt)
            select 'a.x', dag_run_id, 0, -1, 1 + (select count(*) from asset_event) from dag_run where run_type = 'm'",
        )
        .await;
        look(&bench.engine).await;
    }
    assert_eq!(bench.count(RUNS).await, 1);
    bench.flush(worker, claim.key, Outcome::success()).await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 2);
    assert_eq!(bench.count("select count(*) from run_asset_event").await, 4);
}

#[tokio::test]
async fn news_that_no_dag_waits_for_are_kept_and_call_for_no_look() {
    let bench = Bench::new().await;
    writer(&bench, "x", "a.x").await;
    write(&bench, "x").await;
    assert_eq!(
        bench
            .count("select count(*) from asset_event where is_told")
            .await,
        1
    );
    assert!(!bench.store.due_dags().await.unwrap().has_news);
    // Who waits from now on hears of what is written from now on.
    reader(&bench, "[a.x]").await;
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 0);
    write(&bench, "x").await;
    assert!(bench.store.due_dags().await.unwrap().has_news);
    look(&bench.engine).await;
    assert_eq!(bench.count(RUNS).await, 1);
}

#[tokio::test]
async fn tasks_that_write_nothing_leave_no_trace() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: quiet\ntasks:\n  read: {operator: sql, conn_id: dw, sql: 'select 1 from a.x', writes: []}\n")
        .await;
    write(&bench, "quiet").await;
    let traces = "select (select count(*) from asset_use) + (select count(*) from asset_event)";
    assert_eq!(bench.count(traces).await, 0);
}
