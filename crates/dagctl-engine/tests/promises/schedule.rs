//! Which runs time owes, whoever looks at the clock.

use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_engine::Engine;
use dagctl_engine::reconcile::Service as _;
use dagctl_engine::scheduler::Scheduler;
use dagctl_store::dags::Paused;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::support::{BLOCKED, Bench};

/// Looks until nothing is left to be made.
async fn look(engine: &Engine) {
    let mut scheduler = Scheduler::new(engine.clone());
    while scheduler.pass().await.unwrap() == Some(Duration::ZERO) {}
}

async fn days_ago(bench: &Bench, days: i64) -> Timestamp {
    bench.store.now().await.unwrap() - SignedDuration::from_hours(24 * days)
}

/// A daily DAG whose schedule began ten days ago.
async fn daily(bench: &Bench, catchup: &str, more: &str) {
    let start = days_ago(bench, 10).await.strftime("%Y-%m-%d");
    bench
        .dag(&format!(
            "dag_id: daily\nschedule: '@daily'\nstart_date: {start}\ncatchup: {catchup}\n{more}tasks:\n  only: {{operator: empty}}\n"
        ))
        .await;
}

/// As if the DAG's intervals had been considered up to five days ago.
const FIVE_DAYS_AGO: &str =
    "update dag set watermark_reset = null, watermark = now() - interval '5 days',
    next_due_at = now() - interval '4 days'";

/// Runs made, and intervals recorded as skipped.
async fn made_and_skipped(bench: &Bench) -> (i64, i64) {
    let made = bench.count("select count(*) from dag_run").await;
    let skipped = bench
        .count("select coalesce(sum(count), 0) from skipped_interval")
        .await;
    (made, skipped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_schedulers_at_once_make_one_run_for_each_logical_date() {
    let bench = Bench::new().await;
    let start = days_ago(&bench, 20).await.strftime("%Y-%m-%d");
    bench
        .dag(&format!(
            "dag_id: hourly\nschedule: '@hourly'\nstart_date: {start}\ncatchup: true\ntasks:\n  only: {{operator: empty}}\n"
        ))
        .await;
    let mut looks = vec![];
    for _ in 0..4 {
        let engine = bench.another(|_| ()).await;
        looks.push(tokio::spawn(async move { look(&engine).await }));
    }
    for it in join_all(looks).await {
        it.unwrap();
    }
    look(&bench.engine).await;
    let owed = "select (extract(epoch from date_trunc('hour', now() at time zone 'UTC')
        - date_trunc('day', now() at time zone 'UTC' - interval '20 days')) / 3600)::bigint";
    let owed = bench.count(owed).await;
    assert_eq!(bench.count("select count(*) from dag_run").await, owed);
    assert_eq!(
        bench
            .count("select count(distinct logical_at) from dag_run")
            .await,
        owed
    );
    assert_eq!(bench.count("select count(*) from run_key").await, owed);
    let whole = "select count(*) from dag_run where interval_start = logical_at
        and interval_end = logical_at + interval '1 hour'";
    assert_eq!(bench.count(whole).await, owed);
    assert_eq!(
        bench
            .count("select count(*) from dag_run where state = 'r'")
            .await,
        16
    );
}

#[tokio::test]
async fn catchup_says_which_intervals_before_the_first_look_are_run_and_the_rest_is_recorded() {
    for (catchup, expected) in [("false", (0, 10)), ("true", (10, 0)), ("latest", (1, 9))] {
        let bench = Bench::new().await;
        daily(&bench, catchup, "").await;
        look(&bench.engine).await;
        look(&bench.engine).await;
        assert_eq!(
            made_and_skipped(&bench).await,
            expected,
            "catchup: {catchup}"
        );
        let due: bool = bench
            .value(
                "select next_due_at > now() and next_due_at <= now() + interval '1 day' from dag",
            )
            .await;
        assert!(due);
    }
}

#[tokio::test]
async fn after_a_pause_none_all_or_the_newest_of_the_missed_intervals_are_run() {
    for (catchup, expected) in [("false", (0, 5)), ("true", (5, 0)), ("latest", (1, 4))] {
        let bench = Bench::new().await;
        daily(&bench, catchup, "").await;
        let daily = "daily".parse().unwrap();
        bench.execute(FIVE_DAYS_AGO).await;
        assert!(bench.engine.set_paused(&daily, Paused::Yes).await.unwrap());
        look(&bench.engine).await;
        assert_eq!(
            made_and_skipped(&bench).await,
            (0, 0),
            "a paused DAG makes no run"
        );
        assert!(bench.engine.set_paused(&daily, Paused::No).await.unwrap());
        look(&bench.engine).await;
        look(&bench.engine).await;
        assert_eq!(
            made_and_skipped(&bench).await,
            expected,
            "catchup: {catchup}"
        );
    }
}

#[tokio::test]
async fn after_an_outage_all_or_the_newest_of_the_missed_intervals_are_run() {
    for (catchup, expected) in [("false", (1, 4)), ("true", (5, 0)), ("latest", (1, 4))] {
        let bench = Bench::new().await;
        daily(&bench, catchup, "").await;
        bench.execute(FIVE_DAYS_AGO).await;
        look(&bench.engine).await;
        look(&bench.engine).await;
        assert_eq!(
            made_and_skipped(&bench).await,
            expected,
            "catchup: {catchup}"
        );
    }
}

#[tokio::test]
async fn a_dag_that_is_born_paused_owes_nothing_from_before_it_was_unpaused() {
    let bench = Bench::new().await;
    daily(&bench, "false", "is_paused_upon_creation: true\n").await;
    look(&bench.engine).await;
    assert_eq!(made_and_skipped(&bench).await, (0, 0));
    bench
        .engine
        .set_paused(&"daily".parse().unwrap(), Paused::No)
        .await
        .unwrap();
    look(&bench.engine).await;
    assert_eq!(made_and_skipped(&bench).await, (0, 10));
}

#[tokio::test]
async fn an_edited_schedule_never_makes_runs_of_the_past() {
    for catchup in ["false", "true", "latest"] {
        let bench = Bench::new().await;
        daily(&bench, catchup, "").await;
        look(&bench.engine).await;
        let late =
            "select count(*) from dag_run where queued_at > interval_end + interval '10 minutes'";
        let before = bench.count(late).await;
        let start = days_ago(&bench, 10).await.strftime("%Y-%m-%d");
        for cron in ["*/5 * * * *", "@hourly", "@daily"] {
            bench
                .dag(&format!(
                    "dag_id: daily\nschedule: '{cron}'\nstart_date: {start}\ncatchup: {catchup}\ntasks:\n  only: {{operator: empty}}\n"
                ))
                .await;
            look(&bench.engine).await;
            assert_eq!(
                bench.count(late).await,
                before,
                "{cron}, catchup: {catchup}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_means_once() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: single\nschedule: '@once'\ntasks:\n  only: {operator: empty}\n")
        .await;
    let other = bench.another(|_| ()).await;
    for _ in 0..3 {
        tokio::join!(look(&bench.engine), look(&other));
    }
    assert_eq!(bench.count("select count(*) from dag_run").await, 1);
    // A text that is stored again, or changed elsewhere, does not make it run again.
    bench
        .dag("dag_id: single\nschedule: '@once'\ntags: [new]\ntasks:\n  only: {operator: empty}\n")
        .await;
    look(&bench.engine).await;
    assert_eq!(bench.count("select count(*) from dag_run").await, 1);
}

#[tokio::test]
async fn a_manual_dag_that_becomes_once_runs_once() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: single\ntasks:\n  only: {operator: empty}\n")
        .await;
    look(&bench.engine).await;
    assert_eq!(bench.count("select count(*) from dag_run").await, 0);
    bench
        .dag("dag_id: single\nschedule: '@once'\ntasks:\n  only: {operator: empty}\n")
        .await;
    look(&bench.engine).await;
    look(&bench.engine).await;
    assert_eq!(bench.count("select count(*) from dag_run").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_continuous_dag_has_one_run_at_a_time_and_the_next_follows_its_end() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: ever\nschedule: '@continuous'\ntasks:\n  only: {operator: empty}\n")
        .await;
    let worker = bench.worker().await;
    for round in 1..=3 {
        let mut looks = vec![];
        for _ in 0..4 {
            let engine = bench.another(|_| ()).await;
            looks.push(tokio::spawn(async move {
                Scheduler::new(engine).pass().await.unwrap()
            }));
        }
        for it in join_all(looks).await {
            it.unwrap();
        }
        assert_eq!(bench.count("select count(*) from dag_run").await, round);
        let claim = bench.claim(worker).await;
        bench.flush(worker, claim.key, Outcome::success()).await;
    }
    let joined = "select bool_and(interval_start = coalesce(before, interval_start)) from (
        select interval_start, lag(finished_at) over (order by logical_at) as before from dag_run) it";
    assert!(
        bench.value::<bool>(joined).await,
        "each interval begins where the run before ended"
    );
}

#[tokio::test]
async fn nothing_is_owed_after_the_end_date() {
    let bench = Bench::new().await;
    let end = days_ago(&bench, 7).await.strftime("%Y-%m-%d");
    daily(&bench, "true", &format!("end_date: {end}\n")).await;
    look(&bench.engine).await;
    look(&bench.engine).await;
    assert_eq!(
        bench.count("select count(*) from dag_run").await,
        4,
        "ten, nine, eight and seven days ago"
    );
    assert_eq!(
        bench
            .count("select count(*) from dag where next_due_at is null")
            .await,
        1
    );
}

#[tokio::test]
async fn one_dag_that_cannot_be_scheduled_leaves_the_others_alone() {
    let bench = Bench::new().await;
    bench
        .dag("dag_id: bad\nschedule: '@once'\ntasks:\n  only: {operator: empty}\n")
        .await;
    bench
        .dag("dag_id: good\nschedule: '@once'\ntasks:\n  only: {operator: empty}\n")
        .await;
    bench
        .execute("update dag_version set files = '{}' where dag_key = (select dag_key from dag where dag_id = 'bad')")
        .await;
    look(&bench.another(|_| ()).await).await;
    assert_eq!(
        bench
            .texts("select dag_id from dag_run join dag using (dag_key)")
            .await,
        ["good"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_the_schedule_holds_nothing_of_its_dag_while_it_waits_for_the_places_of_its_runs()
{
    let bench = Bench::new().await;
    daily(&bench, "true", "").await;
    let mut other = bench
        .lock("select pg_advisory_xact_lock(hashtext('dagctl max_active_runs'), dag_key) from dag")
        .await;
    let step = tokio::spawn({
        let engine = bench.engine.clone();
        async move { look(&engine).await }
    });
    bench.until(BLOCKED).await;
    // What a run of the DAG that goes again writes, below the same places.
    for statement in [
        "set lock_timeout = '2s'",
        "update dag set last_at = now()",
        "commit",
    ] {
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
    }
    step.await.unwrap();
    assert_eq!(made_and_skipped(&bench).await, (10, 0));
}
