//! What the test kit promises to tests.

use dagctl_testkit::{TestDatabase, warehouse};

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (TestDatabase::new().await, TestDatabase::new().await);
    sqlx::query("create table mark (id integer)")
        .execute(&one.pool)
        .await
        .unwrap();
    let seen: Option<String> = sqlx::query_scalar("select to_regclass('mark')::text")
        .fetch_one(&other.pool)
        .await
        .unwrap();
    assert_eq!(seen, None);
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let kept = TestDatabase::new().await;
    let gone = TestDatabase::new().await;
    let name: String = sqlx::query_scalar("select current_database()::text")
        .fetch_one(&gone.pool)
        .await
        .unwrap();
    let count = "select count(*) from pg_database where datname = $1";
    let count = sqlx::query_scalar::<_, i64>(count).bind(&name);
    drop(gone);
    assert_eq!(count.fetch_one(&kept.pool).await.unwrap(), 0);
}

#[tokio::test]
async fn a_template_is_filled_once_for_all_clones() {
    let name = format!("once_{}", std::process::id());
    let fill = async |pool: sqlx::PgPool| {
        sqlx::query("create table filled (at timestamptz default clock_timestamp())")
            .execute(&pool)
            .await?;
        sqlx::query("insert into filled default values")
            .execute(&pool)
            .await?;
        Ok(())
    };
    let (one, other) = tokio::join!(
        TestDatabase::from_template(&name, fill),
        TestDatabase::from_template(&name, fill)
    );
    let at = "select string_agg(at::text, ',') from filled";
    let ats: Vec<String> = vec![
        sqlx::query_scalar(at).fetch_one(&one.pool).await.unwrap(),
        sqlx::query_scalar(at).fetch_one(&other.pool).await.unwrap(),
    ];
    assert_eq!(ats[0], ats[1]);
}

#[tokio::test]
async fn the_warehouse_holds_the_same_rows_everywhere() {
    let warehouse = warehouse::database().await;
    let tables = [
        (
            "raw_data.user_session_channel",
            101_520,
            "userid, sessionid, channel",
            "sessionid collate \"C\"",
            "7b9287b70f017fbd3f39a521e0f0c849",
        ),
        (
            "raw_data.session_timestamp",
            100_474,
            "sessionid, ts",
            "sessionid collate \"C\"",
            "86f1b01df063a39f0ba4d7652ec6eb8a",
        ),
        (
            "raw_data.nps",
            150_000,
            "id, created_at, score",
            "id",
            "55f7eee9e983e5c6ca48e0ad72cfa7ba",
        ),
    ];
    for (table, rows, columns, order, digest) in tables {
        let found: (i64, String) = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select count(*), md5(string_agg(concat_ws(',', {columns}), ';' order by {order})) from {table}"
        )))
        .fetch_one(&warehouse.pool)
        .await
        .unwrap();
        assert_eq!(found, (rows, digest.to_owned()), "{table}");
    }
    let rounded: f64 = sqlx::query_scalar("select round(2.345::double precision, 2)")
        .fetch_one(&warehouse.pool)
        .await
        .unwrap();
    assert_eq!(rounded, 2.35);
}
