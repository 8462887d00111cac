//! `sql` and `sql_check`.

use std::time::Duration;

use dagctl_core::check::Bounds;
use dagctl_core::connection::Secret;
use dagctl_core::operator::{Fetch, Operator, Sql, SqlCheck};
use dagctl_core::outcome::FailureKind;
use dagctl_runner::StopReason;
use serde_json::{Map, Value, json};

use crate::support::{Warehouse, run, start};

fn sql(text: &str, fetch: Fetch) -> Sql {
    Sql {
        conn_id: "dw".to_owned(),
        sql: text.to_owned(),
        parameters: Map::new(),
        autocommit: false,
        fetch,
    }
}

fn with(text: &str, fetch: Fetch, parameters: Value) -> Operator {
    Operator::Sql(Sql {
        parameters: parameters.as_object().unwrap().clone(),
        ..sql(text, fetch)
    })
}

#[tokio::test]
async fn parameters_take_the_type_that_the_statement_gives_them() {
    let warehouse = Warehouse::new().await;
    warehouse
        .execute("create table t (at timestamptz, n numeric(10, 2), ok boolean, doc jsonb, word text, nothing int)")
        .await;
    let parameters = json!({
        "at": "{{ ts }}", "n": 12.5, "ok": true, "doc": {"a": [1, "it's"]}, "word": "Robert'); drop table t; --", "nothing": null,
    });
    let ended = warehouse
        .run(with(
            "insert into t values (:at, :n, :ok, :doc, :word, :nothing);
             select t.*, :idempotency_key as key from t where at = :at and n >= :n",
            Fetch::Row,
            parameters,
        ))
        .await;
    let row = &ended.outputs()["row"];
    assert_eq!(row["n"], json!(12.5));
    assert_eq!(row["ok"], json!(true));
    assert_eq!(row["doc"], json!({"a": [1, "it's"]}));
    assert_eq!(row["word"], json!("Robert'); drop table t; --"));
    assert_eq!(row["nothing"], Value::Null);
    assert!(row["key"].as_str().unwrap().starts_with("Build_Summary/"));
    assert!(ended.log.contains("→ 1 row in "), "{}", ended.log);
}

#[tokio::test]
async fn a_statement_that_cannot_be_prepared_takes_parameters_too() {
    let warehouse = Warehouse::new().await;
    let ended = warehouse
        .run(with(
            "create table t as select :day::date as day; select day from t",
            Fetch::Value,
            json!({"day": "2026-01-31"}),
        ))
        .await;
    assert_eq!(ended.outputs()["value"], json!("2026-01-31"));
}

#[tokio::test]
async fn the_redshift_dialect_uses_neither_binds_nor_the_catalog() {
    let mut warehouse = Warehouse::new().await;
    warehouse.connection.conn_type = "redshift".to_owned();
    let ended = warehouse
        .run(with(
            "select :a || '!' as x",
            Fetch::Column,
            json!({"a": "it's"}),
        ))
        .await;
    assert_eq!(ended.outputs()["values"], json!(["it's!"]));
}

#[tokio::test]
async fn several_statements_are_one_transaction_unless_autocommit() {
    let warehouse = Warehouse::new().await;
    let text = "create table a (x int); insert into a values (1), (2);\nselect 1 / 0";
    let ended = warehouse.run(Operator::Sql(sql(text, Fetch::None))).await;
    assert_eq!(ended.failure().kind, FailureKind::SqlState("22012".into()));
    assert_eq!(warehouse.text("select to_regclass('a')").await, "null");
    let mut spec = sql(text, Fetch::None);
    spec.autocommit = true;
    let ended = warehouse.run(Operator::Sql(spec)).await;
    assert_eq!(ended.failure().kind, FailureKind::SqlState("22012".into()));
    assert_eq!(warehouse.text("select count(*) from a").await, "2");
    assert!(ended.log.contains("→ 2 rows in "), "{}", ended.log);
}

#[tokio::test]
async fn an_error_points_at_its_place_in_the_users_text() {
    let warehouse = Warehouse::new().await;
    let text =
        "select 1;\n\nselect x,\n  sum(x) over (parition by x)\nfrom generate_series(1, 3) as x";
    let ended = warehouse.run(Operator::Sql(sql(text, Fetch::None))).await;
    assert_eq!(
        ended.failure().message,
        "syntax error at or near \"by\" (SQLSTATE 42601)\n  4 |   sum(x) over (parition by x)\n    |                         ^"
    );
    // The same where a statement is prepared first.
    let ended = warehouse
        .run(with("select :a,\n  nope", Fetch::None, json!({"a": 1})))
        .await;
    assert_eq!(
        ended.failure().message,
        "column \"nope\" does not exist (SQLSTATE 42703)\n  2 |   nope\n    |   ^"
    );
}

#[tokio::test]
async fn a_table_that_does_not_exist_leads_to_the_one_meant() {
    let warehouse = Warehouse::new().await;
    warehouse
        .execute(
            "create table orders (x int); create schema raw_data; \
             create table raw_data.session_timestamp (x int)",
        )
        .await;
    for (text, hint) in [
        ("select * from ordres", "did you mean `orders`?"),
        (
            "select * from raw_data.sesion_timestamp",
            "did you mean `raw_data.session_timestamp`?",
        ),
        (
            "select * from session_timestamp",
            "did you mean `raw_data.session_timestamp`?",
        ),
    ] {
        let ended = warehouse.run(Operator::Sql(sql(text, Fetch::None))).await;
        let failure = ended.failure();
        assert_eq!(failure.kind, FailureKind::SqlState("42P01".into()));
        let last = failure.message.lines().last().unwrap();
        assert_eq!(last, format!("hint: {hint}"));
    }
    let text = "select * from nothing_like_it_anywhere";
    let ended = warehouse.run(Operator::Sql(sql(text, Fetch::None))).await;
    assert!(!ended.failure().message.contains("hint"));
}

#[tokio::test]
async fn rows_become_outputs_up_to_a_limit() {
    let warehouse = Warehouse::new().await;
    let two = "select x, x * 0.5 as half from generate_series(1, 2) as x";
    let rows = warehouse.run(Operator::Sql(sql(two, Fetch::Rows))).await;
    assert_eq!(
        rows.outputs()["rows"],
        json!([{"x": 1, "half": 0.5}, {"x": 2, "half": 1.0}])
    );
    let value = warehouse.run(Operator::Sql(sql(two, Fetch::Value))).await;
    assert_eq!(value.outputs()["value"], json!(1));
    let nothing = warehouse.run(Operator::Sql(sql(two, Fetch::None))).await;
    assert!(nothing.outputs().is_empty());

    let none = warehouse
        .run(Operator::Sql(sql("select 1 where false", Fetch::Value)))
        .await;
    assert!(none.failure().message.contains("found no row"));
    let many = "select generate_series(1, 10001)";
    let many = warehouse.run(Operator::Sql(sql(many, Fetch::Column))).await;
    assert!(many.failure().message.contains("more than 10000 rows"));
    let long = "select repeat('x', 70000) as body";
    let long = warehouse.run(Operator::Sql(sql(long, Fetch::Value))).await;
    assert!(
        long.failure()
            .message
            .contains("column `body` has a value of 70000 bytes")
    );
}

#[tokio::test]
async fn a_check_says_what_it_expected_and_what_it_got() {
    let warehouse = Warehouse::new().await;
    let check = |sql: &str, bounds: Bounds| {
        Operator::SqlCheck(SqlCheck {
            conn_id: "dw".to_owned(),
            sql: sql.to_owned(),
            parameters: Map::new(),
            bounds,
        })
    };
    let at_least_3 = Bounds {
        count: Some(3.0),
        ..Bounds::default()
    };
    let ended = warehouse
        .run(check(
            "select count(*) from generate_series(1, 2)",
            at_least_3,
        ))
        .await;
    assert_eq!(ended.failure().kind, FailureKind::Check);
    assert_eq!(
        ended.failure().message,
        "the check failed: expected at least 3, got 2"
    );
    let ended = warehouse.run(check("select 3.0", at_least_3)).await;
    assert_eq!(ended.outputs()["value"], json!(3.0));
    let ended = warehouse.run(check("select 1, 2", at_least_3)).await;
    assert!(
        ended
            .failure()
            .message
            .contains("must give one row with one number")
    );

    let none = Bounds::default();
    let ended = warehouse
        .run(check("select true as a, 1 as b, 'x' as c", none))
        .await;
    assert!(ended.log.contains("ok"), "{}", ended.log);
    let ended = warehouse
        .run(check("select true as a, 0 as b, null as c", none))
        .await;
    assert_eq!(
        ended.failure().message,
        "the check failed: expected every value of the first row to be true, but `b` is 0, `c` is null"
    );
    let ended = warehouse.run(check("select 1 where false", none)).await;
    assert!(ended.failure().message.contains("gave no row"));
}

#[tokio::test]
async fn a_missing_parameter_and_a_missing_statement_are_named() {
    let warehouse = Warehouse::new().await;
    let ended = warehouse
        .run(with("select :dya", Fetch::None, json!({"day": 1})))
        .await;
    assert_eq!(ended.failure().kind, FailureKind::Definition);
    assert!(ended.failure().message.contains("`:dya`"));
    let ended = warehouse
        .run(Operator::Sql(sql(" -- nothing\n", Fetch::None)))
        .await;
    assert_eq!(ended.failure().message, "`sql` holds no statement");
}

#[tokio::test]
async fn a_warehouse_that_is_down_is_named_without_its_password() {
    let mut warehouse = Warehouse::new().await;
    warehouse.connection.host = Some("127.0.0.1".to_owned());
    warehouse.connection.port = Some(1);
    warehouse.connection.password = Some(Secret::new("hunter2-hunter2"));
    let ended = warehouse
        .run(Operator::Sql(sql("select 1", Fetch::None)))
        .await;
    let failure = ended.failure();
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(
        failure
            .message
            .contains("cannot connect to `dw` (127.0.0.1:1/"),
        "{}",
        failure.message
    );
    assert!(failure.message.contains("check that the server runs"));
    assert!(!failure.message.contains("hunter2"));
}

#[tokio::test]
async fn a_connection_that_is_no_database_is_refused() {
    let mut warehouse = Warehouse::new().await;
    warehouse.connection.conn_type = "http".to_owned();
    let ended = warehouse
        .run(Operator::Sql(sql("select 1", Fetch::None)))
        .await;
    assert_eq!(ended.failure().kind, FailureKind::Definition);
    assert!(ended.failure().message.contains("type `http`"));
}

#[tokio::test]
async fn a_cancelled_statement_has_ended_in_the_database() {
    let warehouse = Warehouse::new().await;
    warehouse.execute("create table t (x int)").await;
    let mut holder = warehouse.pool().begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(1)")
        .execute(&mut *holder)
        .await
        .unwrap();
    let text = "insert into t values (1); select pg_advisory_xact_lock(1)";
    let attempt = warehouse.attempt(Operator::Sql(sql(text, Fetch::None)));
    let under_way = start(attempt);
    warehouse.wait_until_held_up().await;
    under_way.stopper.stop(StopReason::Cancelled {
        by: "kim".to_owned(),
    });
    let ended = under_way.ended().await;
    assert_eq!(ended.failure().kind, FailureKind::Cancelled);
    assert_eq!(warehouse.running().await, Vec::<String>::new());
    assert_eq!(warehouse.text("select count(*) from t").await, "0");
    assert!(
        ended.log.contains("has ended the statement"),
        "{}",
        ended.log
    );
}

#[tokio::test]
async fn a_statement_whose_time_is_up_has_ended_in_the_database() {
    let warehouse = Warehouse::new().await;
    let mut attempt = warehouse.attempt(Operator::Sql(sql("select pg_sleep(60)", Fetch::None)));
    attempt.execution_timeout = Some(Duration::from_millis(300));
    let ended = run(attempt).await;
    assert_eq!(ended.failure().kind, FailureKind::Timeout);
    assert_eq!(warehouse.running().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_statement_that_somebody_else_ends_is_a_failure_that_may_be_tried_again() {
    let warehouse = Warehouse::new().await;
    let under_way =
        start(warehouse.attempt(Operator::Sql(sql("select pg_sleep(60)", Fetch::None))));
    let end = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query like '%pg_sleep%' and application_name like 'dagctl/%'";
    while warehouse.column(end).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ended = under_way.ended().await;
    assert!(ended.failure().kind.is_transient(), "{:?}", ended.failure());
}

#[tokio::test]
async fn copy_from_stdin_is_refused_and_an_endless_result_is_broken_off() {
    let warehouse = Warehouse::new().await;
    let ended = warehouse
        .run(Operator::Sql(sql("copy t from stdin", Fetch::None)))
        .await;
    assert!(
        ended
            .failure()
            .message
            .contains("use `operator: load_file`"),
        "{:?}",
        ended.failure()
    );
    // Nobody could wait for all of these.
    let endless = "select generate_series(1, 1000000000000)";
    let ended = warehouse
        .run(Operator::Sql(sql(endless, Fetch::Rows)))
        .await;
    assert!(
        ended.failure().message.contains("more than 10000 rows"),
        "{:?}",
        ended.failure()
    );
    assert_eq!(warehouse.running().await, Vec::<String>::new());
}
