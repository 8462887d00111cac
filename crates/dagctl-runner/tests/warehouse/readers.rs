//! What readers see while a table is rebuilt under them: the old rows or the new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::task::JoinHandle;

use crate::support::{Warehouse, build};

const ROWS: i64 = 2000;

struct Reader {
    stop: Arc<AtomicBool>,
    reads: Arc<AtomicU32>,
    ended: JoinHandle<Result<(), String>>,
}

/// Reads `relation` without pause: always all rows, all of one build.
fn read(pool: PgPool, relation: &'static str, isolation: &'static str) -> Reader {
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU32::new(0));
    let (stopped, count) = (stop.clone(), reads.clone());
    let ended = tokio::spawn(async move {
        let sql = format!("select count(*), count(distinct build) from {relation}");
        while !stopped.load(Ordering::Relaxed) {
            let mut tx = pool.begin().await.map_err(|err| err.to_string())?;
            let connection: &mut PgConnection = &mut tx;
            sqlx::raw_sql(AssertSqlSafe(format!(
                "set transaction isolation level {isolation}"
            )))
            .execute(&mut *connection)
            .await
            .map_err(|err| err.to_string())?;
            if isolation != "read committed" {
                // The snapshot is taken now, the table is looked at a moment later.
                sqlx::query("select 1")
                    .execute(&mut *connection)
                    .await
                    .map_err(|err| err.to_string())?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let seen: (i64, i64) = sqlx::query_as(AssertSqlSafe(sql.clone()))
                .fetch_one(&mut *connection)
                .await
                .map_err(|err| format!("{relation}, {isolation}: {err}"))?;
            if seen != (ROWS, 1) {
                return Err(format!("{relation}, {isolation}: saw {seen:?}"));
            }
            tx.commit().await.map_err(|err| err.to_string())?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    Reader { stop, reads, ended }
}

impl Reader {
    async fn finish(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.ended.await.unwrap();
        ended.unwrap_or_else(|err| panic!("{err}"));
        self.reads.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_table_and_views_notice_nothing_of_50_rebuilds() {
    let warehouse = Warehouse::new().await;
    let spec = |n: u32| {
        build(
            "t",
            &format!("select {n} as build, x from generate_series(1, {ROWS}) as x"),
        )
    };
    warehouse.build(&spec(0)).await.outputs();
    warehouse
        .execute(
            "create index on analytics.t (x);
             create view analytics.v as select build, x from analytics.t;
             create view analytics.w as select build, x from analytics.v;
             create view analytics.both as select t.build, x from analytics.v join analytics.t using (x)",
        )
        .await;
    let mut readers = vec![];
    for relation in [
        "analytics.t",
        "analytics.v",
        "analytics.w",
        "analytics.both",
    ] {
        for isolation in ["read committed", "repeatable read"] {
            readers.push(read(warehouse.pool().clone(), relation, isolation));
        }
    }
    let mut slowest = Duration::ZERO;
    for n in 1..=50 {
        let since = std::time::Instant::now();
        let ended = warehouse.build(&spec(n)).await;
        assert_eq!(ended.strategy(), "rename", "{}", ended.log);
        slowest = slowest.max(since.elapsed());
    }
    for reader in readers {
        assert!(reader.finish().await > 20);
    }
    assert!(slowest < Duration::from_secs(15), "{slowest:?}");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_notice_nothing_while_rows_are_replaced() {
    let warehouse = Warehouse::new().await;
    let spec = |n: u32| {
        build(
            "t",
            &format!("select {n} as build, x from generate_series(1, {ROWS}) as x"),
        )
    };
    warehouse.build(&spec(0)).await.outputs();
    warehouse
        .execute("create materialized view analytics.m as select count(*) from analytics.t")
        .await;
    let readers: Vec<_> = ["read committed", "repeatable read"]
        .map(|isolation| read(warehouse.pool().clone(), "analytics.t", isolation))
        .into();
    for n in 1..=10 {
        assert_eq!(warehouse.build(&spec(n)).await.strategy(), "replace_rows");
    }
    for reader in readers {
        assert!(reader.finish().await > 5);
    }
}

#[tokio::test]
async fn a_snapshot_from_before_the_build_is_waited_for_and_then_shown_the_old_rows() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 1 as x"))
        .await
        .outputs();
    let mut old = warehouse.pool().begin().await.unwrap();
    sqlx::raw_sql("set transaction isolation level repeatable read; select 1")
        .execute(&mut *old)
        .await
        .unwrap();
    let ended = warehouse.build(&build("t", "select 2 as x")).await;
    assert_eq!(ended.strategy(), "replace_rows");
    assert!(
        ended.log.contains("has a snapshot from before this build"),
        "{}",
        ended.log
    );
    let seen: i32 = sqlx::query_scalar("select x from analytics.t")
        .fetch_one(&mut *old)
        .await
        .unwrap();
    assert_eq!(seen, 1);
    old.commit().await.unwrap();
    assert_eq!(warehouse.text("select x from analytics.t").await, "2");

    // One that ends while it is waited for does not change the way.
    let mut old = warehouse.pool().begin().await.unwrap();
    sqlx::raw_sql("set transaction isolation level repeatable read; select 1")
        .execute(&mut *old)
        .await
        .unwrap();
    let attempt = warehouse.attempt(dagctl_core::operator::Operator::BuildTable(build(
        "t",
        "select 3 as x",
    )));
    let mut under_way = crate::support::start(attempt);
    under_way.until("waiting for a snapshot").await;
    old.commit().await.unwrap();
    assert_eq!(under_way.ended().await.strategy(), "rename");
}

#[tokio::test]
async fn a_long_reader_delays_the_publish_and_not_the_readers_behind_it() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 1 as x"))
        .await
        .outputs();
    let mut long = warehouse.pool().begin().await.unwrap();
    sqlx::raw_sql("select * from analytics.t")
        .execute(&mut *long)
        .await
        .unwrap();
    let attempt = warehouse.attempt(dagctl_core::operator::Operator::BuildTable(build(
        "t",
        "select 2 as x",
    )));
    let mut under_way = crate::support::start(attempt);
    under_way.until("publishing by rename").await;
    let since = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(warehouse.text("select x from analytics.t").await, "1");
    }
    // Each may wait behind a try, none behind the long reader.
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "{:?}",
        since.elapsed()
    );
    long.commit().await.unwrap();
    assert_eq!(under_way.ended().await.strategy(), "rename");
    assert_eq!(warehouse.text("select x from analytics.t").await, "2");
}
