//! Attempts that overlap, die or come too late: one table is published once.

use std::time::Duration;

use dagctl_core::ids::AttemptNo;
use dagctl_core::operator::{BuildTable, Operator};
use dagctl_core::outcome::FailureKind;
use dagctl_runner::{Attempt, CleanUp, StopReason};

use crate::support::{Warehouse, build, run, start};

/// Builds `x = <n>` once nobody holds the advisory lock 1.
fn held_up(n: u32) -> BuildTable {
    build(
        "t",
        &format!("select {n} as x from (select pg_advisory_lock_shared(1)) as held"),
    )
}

fn next(attempt: &Attempt, spec: BuildTable) -> Attempt {
    Attempt {
        attempt: AttemptNo(attempt.attempt.get() + 1),
        operator: Operator::BuildTable(spec),
        clean_up: CleanUp::default(),
        ..attempt.clone()
    }
}

async fn hold(warehouse: &Warehouse) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let mut holder = warehouse.pool().begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(1)")
        .execute(&mut *holder)
        .await
        .unwrap();
    holder
}

#[tokio::test]
async fn an_attempt_whose_lease_is_lost_cannot_publish() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 0 as x"))
        .await
        .outputs();
    let holder = hold(&warehouse).await;
    let first = warehouse.attempt(Operator::BuildTable(held_up(1)));
    let zombie = start(first.clone());
    warehouse.wait_until_held_up().await;
    // What a second attempt writes first; it would also end the zombie's backend.
    warehouse
        .execute("update analytics.dagctl_build set attempt = 2 where published_at is null")
        .await;
    holder.rollback().await.unwrap();
    let ended = zombie.ended().await;
    assert_eq!(ended.failure().kind, FailureKind::Fenced, "{}", ended.log);
    assert!(
        ended
            .failure()
            .message
            .contains("attempt 2 of this task has taken over")
    );
    assert_eq!(warehouse.text("select x from analytics.t").await, "0");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_second_attempt_ends_the_first_ones_statement_and_builds() {
    let warehouse = Warehouse::new().await;
    let holder = hold(&warehouse).await;
    let first = warehouse.attempt(Operator::BuildTable(held_up(1)));
    let zombie = start(first.clone());
    warehouse.wait_until_held_up().await;
    let second = run(next(&first, build("t", "select 2 as x"))).await;
    assert_eq!(second.strategy(), "rename");
    assert!(
        second
            .log
            .contains("ending what an earlier attempt still runs"),
        "{}",
        second.log
    );
    let zombie = zombie.ended().await;
    assert_eq!(
        zombie.failure().kind,
        FailureKind::SqlState("57P01".into()),
        "{}",
        zombie.log
    );
    holder.rollback().await.unwrap();
    // And when the first one tries once more, it is told.
    let late = run(Attempt {
        clean_up: CleanUp::default(),
        ..first
    })
    .await;
    assert!(late.log.contains("already published"), "{}", late.log);
    assert_eq!(warehouse.text("select x from analytics.t").await, "2");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_late_first_attempt_does_not_begin() {
    let warehouse = Warehouse::new().await;
    let first = warehouse.attempt(Operator::BuildTable(build("t", "select 1 as x")));
    let second = run(next(&first, build("t", "select 1 / 0 as x"))).await;
    assert_eq!(second.failure().kind, FailureKind::SqlState("22012".into()));
    let late = run(first).await;
    assert_eq!(late.failure().kind, FailureKind::Fenced);
    assert_eq!(
        warehouse.text("select to_regclass('analytics.t')").await,
        "null"
    );
}

#[tokio::test]
async fn an_attempt_that_died_after_it_published_is_not_repeated() {
    let warehouse = Warehouse::new().await;
    let spec = build(
        "t",
        "select clock_timestamp() as at from generate_series(1, 3)",
    );
    let first = warehouse.attempt(Operator::BuildTable(spec.clone()));
    // Its report is lost, and it did not get to drop what it replaced.
    run(first.clone()).await.outputs();
    warehouse
        .execute(
            "create table analytics.\"t__20260131T000000000\" as select 1 as x;
             update analytics.dagctl_build set staging = 't__20260131T000000000'",
        )
        .await;
    let at = warehouse.text("select max(at) from analytics.t").await;
    let second = run(next(&first, spec)).await;
    assert_eq!(second.outputs()["rows"], 3);
    assert_eq!(second.strategy(), "rename");
    assert!(
        second
            .log
            .contains("already published by an earlier attempt"),
        "{}",
        second.log
    );
    assert_eq!(warehouse.text("select max(at) from analytics.t").await, at);
    assert_eq!(
        warehouse
            .text("select to_regclass('analytics.\"t__20260131T000000000\"')")
            .await,
        "null"
    );
}

#[tokio::test]
async fn a_cancelled_build_leaves_neither_statement_nor_staging_table() {
    let warehouse = Warehouse::new().await;
    let holder = hold(&warehouse).await;
    // Stopped while it builds, and while a check reads the finished staging table.
    let mut in_check = build("t", "select 1 as x");
    in_check.target.output_check = vec![crate::support::at_least(
        0.0,
        "select count(*) from {{ staging }}, (select pg_advisory_lock_shared(1)) as held",
    )];
    for spec in [held_up(1), in_check] {
        let under_way = start(warehouse.attempt(Operator::BuildTable(spec)));
        warehouse.wait_until_held_up().await;
        under_way.stopper.stop(StopReason::Cancelled {
            by: "kim".to_owned(),
        });
        let ended = under_way.ended().await;
        assert_eq!(ended.failure().kind, FailureKind::Cancelled);
        assert_eq!(
            warehouse.running().await,
            Vec::<String>::new(),
            "{}",
            ended.log
        );
        assert_eq!(
            warehouse.leftovers().await,
            Vec::<String>::new(),
            "{}",
            ended.log
        );
    }
    holder.rollback().await.unwrap();
    assert_eq!(
        warehouse.text("select to_regclass('analytics.t')").await,
        "null"
    );
}

#[tokio::test]
async fn a_build_whose_time_is_up_leaves_neither_statement_nor_staging_table() {
    let warehouse = Warehouse::new().await;
    let holder = hold(&warehouse).await;
    let mut attempt = warehouse.attempt(Operator::BuildTable(held_up(1)));
    attempt.execution_timeout = Some(Duration::from_millis(300));
    let ended = run(attempt).await;
    assert_eq!(ended.failure().kind, FailureKind::Timeout);
    assert_eq!(
        warehouse.running().await,
        Vec::<String>::new(),
        "{}",
        ended.log
    );
    assert_eq!(
        warehouse.leftovers().await,
        Vec::<String>::new(),
        "{}",
        ended.log
    );
    holder.rollback().await.unwrap();
}

#[tokio::test]
async fn what_a_dead_builder_left_is_dropped_by_the_next_one() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 1 as x"))
        .await
        .outputs();
    // A worker and its Postgres connection died between the staging table and the publish.
    warehouse
        .execute(
            "create table analytics.t__stg_0badcafe_1 as select 1 as x;
             insert into analytics.dagctl_build (table_name, build_key, attempt, staging)
             values ('t', 'another run', 1, 't__stg_0badcafe_1')",
        )
        .await;
    let ended = warehouse.build(&build("t", "select 2 as x")).await;
    assert!(
        ended.log.contains("dropped `t__stg_0badcafe_1`"),
        "{}",
        ended.log
    );
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn runs_that_build_one_table_at_once_all_publish_it_whole() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 0 as x"))
        .await
        .outputs();
    warehouse
        .execute(
            "create view analytics.v as select x from analytics.t; create index on analytics.t (x)",
        )
        .await;
    let holder = hold(&warehouse).await;
    let mut runs = vec![];
    for n in 1..=3 {
        runs.push(start(warehouse.attempt(Operator::BuildTable(held_up(n)))));
    }
    warehouse.wait_until_held_up().await;
    holder.rollback().await.unwrap();
    for it in runs {
        assert_eq!(it.ended().await.strategy(), "rename");
    }
    assert_eq!(
        warehouse.text("select count(*) from analytics.v").await,
        "1"
    );
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}
