//! The summary tables of the example hold what their bare SQL gives, and whoever reads them never notices a build.
#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails a test, in its functions too"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dagctl_testkit::{TestDatabase, warehouse};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;

use crate::support::services::Installation;
use crate::support::{Place, eventually, examples};

const REBUILDS: i64 = 50;
const TABLES: [&str; 3] = ["channel_summary", "mau_summary", "nps_summary"];

/// Of the sessions of a user one at most has no moment: of two that tie, each plan of the query takes another, and the
/// planner chooses as it pleases.
const WITHOUT_TIES: &str = "
    insert into raw_data.session_timestamp
    select sessionid, '2019-11-30 12:00:00'::timestamp - place * interval '1 minute'
    from (
        select sessionid, row_number() over (partition by userid order by sessionid) as place
        from raw_data.user_session_channel c
        where not exists (select from raw_data.session_timestamp t where t.sessionid = c.sessionid)
    ) it
    where place > 1";

/// The query of a table's config file, as a person would paste it into psql.
fn bare_sql(table: &str) -> String {
    let text = std::fs::read_to_string(examples().join(format!("config/{table}.yaml"))).unwrap();
    let (_, after) = text.split_once("main_sql: |\n").unwrap();
    let lines = after.lines().take_while(|it| it.starts_with("  "));
    lines.collect::<Vec<_>>().join("\n")
}

async fn number(pool: &PgPool, sql: String) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Rows that are in the table or in the query's result, and not in both.
async fn differing(pool: &PgPool, table: &str) -> i64 {
    let query = bare_sql(table);
    let sql = format!(
        "select count(*) from ((table analytics.{table} except all ({query}))
         union all (({query}) except all table analytics.{table})) as it"
    );
    number(pool, sql).await
}

async fn rows(pool: &PgPool, table: &str) -> i64 {
    number(pool, format!("select count(*) from analytics.{table}")).await
}

/// Reads all tables over and over, alone or in one snapshot; each must be there with all its rows.
async fn read(
    pool: PgPool,
    begin: &'static str,
    expected: [i64; 3],
    reads: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
) {
    while !stop.load(Ordering::Relaxed) {
        let mut reader = pool.begin_with(begin).await.unwrap();
        for (table, expected) in TABLES.iter().zip(expected) {
            let sql = format!("select count(*) from analytics.{table}");
            let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut *reader)
                .await
                .unwrap();
            assert_eq!(found, expected, "{table}");
        }
        reader.commit().await.unwrap();
        reads.fetch_add(1, Ordering::Relaxed);
        // A reader without any pause would be a benchmark of the machine's two cores.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_the_summary_tables_see_whole_tables_through_50_rebuilds() {
    let (dagctl, warehouse) = (TestDatabase::new().await, warehouse::database().await);
    let place = Place::new();
    let dag = std::fs::read_to_string(examples().join("Build_Summary.yaml")).unwrap();
    assert!(dag.contains("schedule: \"@daily\"\n"));
    let dag = dag.replace(
        "schedule: \"@daily\"\n",
        "schedule: null\nmax_active_runs: 1\n",
    );
    place.write("dags/Build_Summary.yaml", &dag);
    sqlx::raw_sql(WITHOUT_TIES)
        .execute(&warehouse.pool)
        .await
        .unwrap();
    for table in TABLES {
        let path = format!("config/{table}.yaml");
        let config = std::fs::read_to_string(examples().join(&path)).unwrap();
        place.write(&format!("dags/{path}"), &config);
    }
    let mut installation = Installation::new(place, &dagctl.url);
    installation.offer("redshift_dev_db", &warehouse.url);
    let _web = installation.open().await;
    let _scheduler = installation.start(&["scheduler"]).await;
    let _worker = installation.start(&["worker"]).await;

    installation.trigger("Build_Summary", &[]).await;
    installation.ok(&["runs", "follow", "Build_Summary"]).await;
    let mut expected = [0; 3];
    for (table, expected) in TABLES.iter().zip(&mut expected) {
        assert_eq!(differing(&warehouse.pool, table).await, 0, "{table}");
        *expected = rows(&warehouse.pool, table).await;
        assert!(*expected > 0, "{table}");
    }

    let (reads, stop) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut readers = JoinSet::new();
    for begin in [
        "begin isolation level read committed",
        "begin isolation level repeatable read",
    ] {
        let pool = warehouse.connect().await;
        readers.spawn(read(pool, begin, expected, reads.clone(), stop.clone()));
    }
    for _ in 0..REBUILDS {
        installation.trigger("Build_Summary", &[]).await;
    }
    for done in 2..=1 + REBUILDS {
        eventually("the next rebuild", async || {
            let ended = "select count(*) from dag_run where state = 's'".to_owned();
            let failed = "select count(*) from dag_run where state = 'f'".to_owned();
            assert_eq!(number(&dagctl.pool, failed).await, 0);
            (number(&dagctl.pool, ended).await >= done).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(reader) = readers.join_next().await {
        reader.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) > 50, "{reads:?}");

    sqlx::raw_sql(
        "delete from raw_data.nps where id % 7 = 0;
         insert into raw_data.nps select 200000 + n, '2020-02-29 00:00:00', 10 from generate_series(1, 40000) as n;
         update raw_data.user_session_channel set channel = 'Tiktok' where userid % 5 = 0;
         update raw_data.session_timestamp set ts = ts + interval '30 days' where ts >= '2019-11-20'",
    )
    .execute(&warehouse.pool)
    .await
    .unwrap();
    for table in TABLES {
        assert!(
            differing(&warehouse.pool, table).await > 0,
            "{table} has something to do"
        );
    }
    installation.trigger("Build_Summary", &[]).await;
    installation.ok(&["runs", "follow", "Build_Summary"]).await;
    for table in TABLES {
        assert_eq!(differing(&warehouse.pool, table).await, 0, "{table}");
    }
}
