//! `build_table`: what is built, what is kept, what a failure leaves.

use dagctl_core::check::{Bounds, Check};
use dagctl_core::operator::{Operator, Swap};
use dagctl_core::outcome::FailureKind;
use dagctl_testkit::warehouse;
use serde_json::json;

use crate::support::{Warehouse, at_least, build, start};

#[tokio::test]
async fn a_summary_equals_what_its_query_gives_and_follows_the_raw_data() {
    let warehouse = Warehouse::of(warehouse::database().await).await;
    let query = "SELECT TO_CHAR(A.ts, 'YYYY-MM') AS month, COUNT(DISTINCT B.userid) AS mau
         FROM raw_data.session_timestamp A
         JOIN raw_data.user_session_channel B ON A.sessionid = B.sessionid
         GROUP BY 1";
    let mut spec = build("mau_summary", &format!("{query} ; -- the end"));
    spec.target.input_check = vec![at_least(
        100_000.0,
        "SELECT COUNT(1) FROM raw_data.session_timestamp",
    )];
    spec.target.output_check = vec![at_least(6.0, "SELECT COUNT(1) FROM {{ staging }};")];
    let difference = format!(
        "select count(*) from (({query}) except all table analytics.mau_summary
         union all (table analytics.mau_summary except all ({query}))) as it"
    );

    let ended = warehouse.build(&spec).await;
    assert_eq!(
        json!(ended.outputs()),
        json!({"table": "analytics.mau_summary", "rows": 7, "published": true, "strategy": "rename"})
    );
    assert_eq!(warehouse.text(&difference).await, "0");
    for part in [
        "input_check 1 of 1: expected at least 100000, got 100474 – ok",
        "output_check 1 of 1: expected at least 6, got 7 – ok",
        "→ 7 rows in ",
    ] {
        assert!(ended.log.contains(part), "{part}\n{}", ended.log);
    }

    warehouse
        .execute("delete from raw_data.session_timestamp where ts < '2019-06-01'")
        .await;
    spec.target.input_check = vec![];
    let ended = warehouse.build(&spec).await;
    assert_eq!(ended.outputs()["rows"], json!(6));
    assert_eq!(ended.strategy(), "rename");
    assert_eq!(warehouse.text(&difference).await, "0");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn builds_that_publish_for_the_first_time_at_the_same_moment_all_succeed() {
    let warehouse = Warehouse::new().await;
    let mut spec = build("t", "select n as id from generate_series(1, 10) as n");
    spec.target.primary_key = vec!["id".to_owned()];
    let builds: Vec<_> = (0..6)
        .map(|_| start(warehouse.attempt(Operator::BuildTable(spec.clone()))))
        .collect();
    for build in builds {
        assert_eq!(build.ended().await.outputs()["rows"], json!(10));
    }
    assert_eq!(
        warehouse.text("select count(*) from analytics.t").await,
        "10"
    );
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

/// Everything about a table that must outlive a build, as text.
const SHAPE: &str = "
    select string_agg(it, e'\\n' order by it) from (
        select format('column %s %s %s %s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull,
            pg_get_expr(adbin, adrelid), attstattarget, attstorage, col_description(attrelid, attnum))
        from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where attrelid = 'analytics.t'::regclass and attnum > 0 and not attisdropped
        union all select pg_get_indexdef(indexrelid) || coalesce(obj_description(indexrelid, 'pg_class'), '') || indisclustered
        from pg_index where indrelid = 'analytics.t'::regclass
        union all select format('constraint %s %s %s', conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'))
        from pg_constraint where conrelid = 'analytics.t'::regclass
        union all select format('table %s %s %s %s %s %s', reloptions, relowner::regrole, relrowsecurity, relforcerowsecurity,
            relreplident, obj_description(oid, 'pg_class')) from pg_class where oid = 'analytics.t'::regclass
        union all select format('grant %s %s %s', grantee::regrole, privilege_type, is_grantable)
        from pg_class, aclexplode(relacl) where oid = 'analytics.t'::regclass
        union all select format('column grant %s %s %s', attname, grantee::regrole, privilege_type)
        from pg_attribute, aclexplode(attacl) where attrelid = 'analytics.t'::regclass
        union all select format('policy %s %s %s %s %s', policyname, permissive, roles, cmd, qual)
        from pg_policies where tablename = 't'
    ) as it(it)";

#[tokio::test]
async fn the_table_keeps_everything_that_hung_on_it() {
    let warehouse = Warehouse::new().await;
    // Roles belong to the whole server, which other tests share.
    let owner = format!("owner_{}", std::process::id());
    let reader = format!("reader_{}", std::process::id());
    warehouse
        .execute(&format!(
            "drop role if exists {owner}; drop role if exists {reader};
             create role {owner}; create role {reader};
             grant create, usage on schema analytics to {owner};
             create table analytics.other (id int primary key);
             insert into analytics.other values (1), (2);
             create table analytics.t (id int primary key, word text not null default 'x' || lower('Y'), n int check (n > 0),
                 other int references analytics.other) with (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
             alter table analytics.t add constraint t_word_is_unique unique (word);
             create index \"odd Name\" on analytics.t (lower(word)) where n > 1;
             create unique index t_n on analytics.t using btree (n desc nulls last) include (word);
             comment on index analytics.t_n is 'by number';
             comment on constraint t_n_check on analytics.t is 'positive';
             alter table analytics.t cluster on t_n;
             alter table analytics.t alter n set statistics 500;
             alter table analytics.t alter word set storage external;
             alter table analytics.t owner to {owner};
             grant select on analytics.t to {reader} with grant option;
             grant update (word) on analytics.t to {reader};
             grant select on analytics.t to public;
             create policy mine on analytics.t as restrictive for select to {reader} using (n > 1);
             alter table analytics.t enable row level security;
             comment on table analytics.t is 'it''s kept';
             comment on column analytics.t.word is 'a \\\\ word';
             alter default privileges in schema analytics grant delete on tables to {reader};"
        ))
        .await;
    let before = warehouse.text(SHAPE).await;
    let oid = warehouse.text("select 'analytics.t'::regclass::oid").await;
    let spec = build(
        "t",
        "select x as id, 'word ' || x as word, x as n, x as other from generate_series(1, 2) as x",
    );
    for _ in 0..2 {
        let ended = warehouse.build(&spec).await;
        assert_eq!(ended.strategy(), "rename", "{}", ended.log);
        assert_eq!(warehouse.text(SHAPE).await, before, "{}", ended.log);
    }
    assert_ne!(
        warehouse.text("select 'analytics.t'::regclass::oid").await,
        oid
    );
    assert_eq!(
        warehouse.text("select count(*) from analytics.t").await,
        "2"
    );
    warehouse
        .execute(&format!(
            "drop schema analytics cascade; drop role {owner}; drop role {reader}"
        ))
        .await;
}

#[tokio::test]
async fn views_and_views_of_views_show_the_new_rows_and_keep_their_rights() {
    let warehouse = Warehouse::new().await;
    let spec = |n: u32| {
        build(
            "t",
            &format!("select x, x * {n} as y from generate_series(1, 3) as x"),
        )
    };
    warehouse.build(&spec(1)).await.outputs();
    warehouse
        .execute(
            "create view analytics.v with (security_barrier = true) as select y, x from analytics.t where x > 1;
             create view analytics.w as select sum(y) from analytics.v;
             create view analytics.both as select t.y from analytics.t join analytics.v using (x);
             comment on view analytics.v is 'kept'; grant select on analytics.v to public",
        )
        .await;
    let ended = warehouse.build(&spec(10)).await;
    assert_eq!(ended.strategy(), "rename", "{}", ended.log);
    assert!(ended.log.contains("2 views re-pointed"), "{}", ended.log);
    assert_eq!(warehouse.text("select * from analytics.w").await, "50");
    assert_eq!(
        warehouse
            .column("select y from analytics.both order by 1")
            .await,
        ["20", "30"]
    );
    let kept =
        "select concat(obj_description(oid, 'pg_class'), reloptions, relacl::text like '%=r/%')
        from pg_class where oid = 'analytics.v'::regclass";
    assert_eq!(warehouse.text(kept).await, "kept{security_barrier=true}t");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_column_that_a_view_reads_may_not_change_its_type() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 1 as x, 2 as y"))
        .await
        .outputs();
    warehouse
        .execute("create view analytics.v as select x from analytics.t")
        .await;
    let ended = warehouse
        .build(&build("t", "select 'text' as x, 3 as y"))
        .await;
    let message = &ended.failure().message;
    assert!(
        message.contains("view analytics.v cannot read the new"),
        "{message}"
    );
    assert!(message.contains("the old table stands"), "{message}");
    assert_eq!(warehouse.text("select y from analytics.t").await, "2");
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
    // What the view does not read may.
    let ended = warehouse
        .build(&build("t", "select 'new'::text as z, 5 as x"))
        .await;
    assert_eq!(ended.strategy(), "rename");
    assert_eq!(warehouse.text("select x from analytics.v").await, "5");
}

#[tokio::test]
async fn what_cannot_be_renamed_gets_its_rows_replaced_and_the_log_says_why() {
    let warehouse = Warehouse::new().await;
    let cases = [
        (
            "create table analytics.t (x int, y int); create materialized view analytics.m as select x from analytics.t",
            "materialized view analytics.m reads it",
        ),
        (
            "create table analytics.t (x int, y int); create function analytics.f() returns setof analytics.t
             language sql as 'table analytics.t'",
            "function analytics.f() uses its row type",
        ),
        (
            "create table analytics.t (x int, y int); create function analytics.f() returns bigint
             language sql begin atomic select count(*) from analytics.t; end",
            "function analytics.f() depends on it",
        ),
        (
            "create table analytics.t (x int, y int) partition by range (x);
             create table analytics.t1 partition of analytics.t default",
            "the table is partitioned",
        ),
        (
            "create table analytics.t (x int primary key, y int); create publication p for table analytics.t",
            "it is in publication p",
        ),
        (
            "create table analytics.t (x int, y int, z int generated always as (x + y) stored, id serial)",
            "column z is an identity or generated column; sequence analytics.t_id_seq belongs to it",
        ),
        (
            "create table analytics.t (x int, y int); create function analytics.g() returns trigger
             language plpgsql as 'begin return new; end';
             create trigger watch before insert on analytics.t for each row execute function analytics.g()",
            "it has trigger watch",
        ),
    ];
    for (setup, reason) in cases {
        warehouse
            .execute(&format!("drop schema analytics cascade; create schema analytics; drop publication if exists p; {setup}"))
            .await;
        warehouse
            .execute("insert into analytics.t (x, y) values (0, 0)")
            .await;
        let oid = warehouse.text("select 'analytics.t'::regclass::oid").await;
        let ended = warehouse
            .build(&build(
                "t",
                "select x, x as y from generate_series(1, 3) as x",
            ))
            .await;
        assert_eq!(ended.strategy(), "replace_rows", "{reason}");
        assert!(
            ended.log.contains(&format!("publishing by rows: {reason}")),
            "{reason}\n{}",
            ended.log
        );
        assert_eq!(
            warehouse.text("select 'analytics.t'::regclass::oid").await,
            oid
        );
        assert_eq!(
            warehouse
                .text("select string_agg(x::text, ',' order by x) from analytics.t")
                .await,
            "1,2,3"
        );
        assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn rows_that_others_refer_to_are_matched_by_their_key() {
    let warehouse = Warehouse::new().await;
    warehouse
        .execute(
            "create table analytics.t (x int primary key, y text);
             insert into analytics.t values (1, 'old'), (2, 'old'), (3, 'old');
             create table analytics.child (x int references analytics.t on delete cascade);
             insert into analytics.child values (1), (2)",
        )
        .await;
    let ended = warehouse
        .build(&build(
            "t",
            "select x, 'new' as y from generate_series(2, 4) as x",
        ))
        .await;
    assert_eq!(ended.strategy(), "merge_rows", "{}", ended.log);
    assert_eq!(
        warehouse
            .column("select x || y from analytics.t order by x")
            .await,
        ["2new", "3new", "4new"]
    );
    assert_eq!(
        warehouse.column("select x from analytics.child").await,
        ["2"]
    );
}

#[tokio::test]
async fn rows_are_not_replaced_where_the_columns_do_not_fit() {
    let warehouse = Warehouse::new().await;
    warehouse
        .execute("create table analytics.t as select 1 as x, 2 as y")
        .await;
    let mut spec = build("t", "select 1 as x, 2 as y, 3 as z");
    spec.target.swap = Swap::ReplaceRows;
    let ended = warehouse.build(&spec).await;
    assert!(
        ended.failure().message.contains("it has no column `z`"),
        "{:?}",
        ended.failure()
    );
    spec.main_sql = "select 5 as y".to_owned();
    let ended = warehouse.build(&spec).await;
    assert!(
        ended.failure().message.contains("lack its column `x`"),
        "{:?}",
        ended.failure()
    );
    spec.main_sql = "select 5 as y, 6 as x".to_owned();
    let ended = warehouse.build(&spec).await;
    assert_eq!(ended.strategy(), "replace_rows");
    assert_eq!(
        warehouse.text("select x * 10 + y from analytics.t").await,
        "65"
    );
}

#[tokio::test]
async fn a_failure_leaves_the_old_table_untouched_and_no_staging_table() {
    let warehouse = Warehouse::new().await;
    warehouse
        .build(&build("t", "select 1 as x"))
        .await
        .outputs();
    let oid = warehouse.text("select 'analytics.t'::regclass::oid").await;
    let many = "select x from generate_series(1, 3) as x";
    let check = |sql: &str| Check {
        sql: sql.to_owned(),
        bounds: Bounds {
            max_count: Some(2.0),
            ..Bounds::default()
        },
    };
    let mut cases = vec![];
    let mut spec = build("t", many);
    spec.target.input_check = vec![
        at_least(5.0, "select count(*) from analytics.t"),
        check("select 9"),
    ];
    cases.push((spec, "check", "expected at least 5, got 1"));
    let mut spec = build("t", many);
    spec.target.output_check = vec![check("select count(*) from {{ staging }}")];
    cases.push((
        spec,
        "check",
        "output_check 1 of 1: expected at most 2, got 3",
    ));
    let mut spec = build("t", many);
    spec.target.output_check = vec![check("select x from {{ staging }}")];
    cases.push((
        spec,
        "check",
        "one row with one number, but this gave 3 rows",
    ));
    cases.push((
        build("t", "select 1 as x where false"),
        "check",
        "`allow_empty: true`",
    ));
    cases.push((
        build(
            "t",
            "select x,\n count(*) over (parition by x)\nfrom generate_series(1, 3) as x",
        ),
        "sqlstate_42601",
        "  2 |  count(*) over (parition by x)\n    |                          ^",
    ));
    cases.push((
        build("t", "select * from nowhere"),
        "sqlstate_42P01",
        "relation \"nowhere\" does not exist",
    ));
    cases.push((
        build("t", "select 1; select 2"),
        "definition",
        "it holds 2 statements",
    ));
    let mut spec = build(
        "t",
        "select x / 2 as x, 1 as y from generate_series(1, 5) as x",
    );
    spec.target.primary_key = vec!["x".to_owned(), "y".to_owned()];
    cases.push((
        spec,
        "check",
        "duplicates, such as\n  (1, 1) 2 times\n  (2, 1) 2 times",
    ));
    let mut spec = build("t", "select null::int as x");
    spec.target.primary_key = vec!["x".to_owned()];
    cases.push((spec, "check", "expected no null, got 1 rows"));
    for (spec, code, message) in cases {
        let ended = warehouse.build(&spec).await;
        let failure = ended.failure();
        assert_eq!(failure.kind.code(), code, "{failure:?}");
        assert!(
            failure.message.contains(message),
            "{message}\n{}",
            failure.message
        );
        assert_eq!(
            warehouse.text("select 'analytics.t'::regclass::oid").await,
            oid
        );
        assert_eq!(warehouse.text("select x from analytics.t").await, "1");
        assert_eq!(
            warehouse.leftovers().await,
            Vec::<String>::new(),
            "{message}"
        );
    }
}

#[tokio::test]
async fn every_check_that_does_not_hold_is_told() {
    let warehouse = Warehouse::new().await;
    let mut spec = build("t", "select 1 as x");
    spec.target.output_check = vec![
        at_least(2.0, "select count(*) from {{ staging }}"),
        at_least(1.0, "select count(*) from {{ staging }}"),
        at_least(3.0, "select max(x) from {{ staging }}"),
    ];
    let ended = warehouse.build(&spec).await;
    assert_eq!(ended.failure().kind, FailureKind::Check);
    let message = &ended.failure().message;
    assert!(
        message.contains("output_check 1 of 3") && message.contains("output_check 3 of 3"),
        "{message}"
    );
    assert!(!message.contains("output_check 2 of 3"), "{message}");
}

#[tokio::test]
async fn a_table_without_rows_is_published_where_that_is_allowed() {
    let warehouse = Warehouse::new().await;
    let mut spec = build("t", "select 1 as x where false");
    spec.target.allow_empty = true;
    assert_eq!(warehouse.build(&spec).await.outputs()["rows"], json!(0));
    assert_eq!(warehouse.build(&spec).await.strategy(), "rename");
}

#[tokio::test]
async fn the_primary_key_of_the_task_becomes_the_tables() {
    let warehouse = Warehouse::new().await;
    let mut spec = build("t", "select x, 1 as y from generate_series(1, 3) as x");
    spec.target.primary_key = vec!["x".to_owned()];
    let key = "select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid = 'analytics.t'::regclass and contype = 'p'";
    for _ in 0..2 {
        warehouse.build(&spec).await.outputs();
        assert_eq!(warehouse.text(key).await, "t_pkey PRIMARY KEY (x)");
    }
    spec.target.primary_key = vec!["y".to_owned(), "x".to_owned()];
    warehouse.build(&spec).await.outputs();
    assert_eq!(warehouse.text(key).await, "t_pkey PRIMARY KEY (y, x)");
}

#[tokio::test]
async fn replaced_tables_are_kept_up_to_the_number_asked_for() {
    let warehouse = Warehouse::new().await;
    let spec = |n: u32| {
        let mut spec = build("t", &format!("select {n} as x"));
        spec.target.primary_key = vec!["x".to_owned()];
        spec.target.keep_versions = 2;
        spec
    };
    for n in 1..=5 {
        warehouse.build(&spec(n)).await.outputs();
    }
    let kept = warehouse
        .column("select relname from pg_class where relkind = 'r' and relname ~ '^t__[0-9]{8}T[0-9]{9}$' order by 1")
        .await;
    assert_eq!(kept.len(), 2, "{kept:?}");
    let to_be_dropped = "select count(*) from analytics.dagctl_build where staging is not null";
    assert_eq!(warehouse.text(to_be_dropped).await, "0");
    assert_eq!(
        warehouse
            .text(&format!("select x from analytics.\"{}\"", kept[0]))
            .await,
        "3"
    );
    assert_eq!(
        warehouse
            .text(&format!("select x from analytics.\"{}\"", kept[1]))
            .await,
        "4"
    );
    assert_eq!(warehouse.text("select x from analytics.t").await, "5");
}

#[tokio::test]
async fn a_name_as_long_as_names_get_is_built() {
    let warehouse = Warehouse::new().await;
    let name = "요약".repeat(10) + "abc";
    assert_eq!(name.len(), 63);
    for _ in 0..2 {
        let mut spec = build(&name, "select 1 as x");
        spec.target.primary_key = vec!["x".to_owned()];
        assert_eq!(warehouse.build(&spec).await.strategy(), "rename");
    }
    let ended = warehouse
        .build(&build(&(name + "d"), "select 1 as x"))
        .await;
    assert!(ended.failure().message.contains("longer than 63 bytes"));
}

#[tokio::test]
async fn a_missing_schema_and_a_name_that_is_a_view_are_explained() {
    let warehouse = Warehouse::new().await;
    let mut spec = build("t", "select 1 as x");
    spec.target.schema = "nowhere".to_owned();
    let ended = warehouse.build(&spec).await;
    assert!(
        ended.failure().message.contains("create schema nowhere"),
        "{:?}",
        ended.failure()
    );
    warehouse
        .execute("create view analytics.t as select 1 as x")
        .await;
    let ended = warehouse.build(&build("t", "select 1 as x")).await;
    assert!(
        ended.failure().message.contains("is a view"),
        "{:?}",
        ended.failure()
    );
}

#[tokio::test]
async fn the_redshift_dialect_builds_with_plain_statements() {
    let mut warehouse = Warehouse::new().await;
    warehouse.connection.conn_type = "redshift".to_owned();
    let spec = build("t", "select x from generate_series(1, 3) as x");
    assert_eq!(warehouse.build(&spec).await.strategy(), "rename");
    let ended = warehouse.build(&spec).await;
    assert_eq!(ended.strategy(), "replace_rows");
    assert_eq!(
        warehouse.text("select count(*) from analytics.t").await,
        "3"
    );
    assert_eq!(warehouse.leftovers().await, Vec::<String>::new());
}
