//! Templates, SQL, and what a file pulls in.

use super::{of, problems};

#[test]
fn templates_are_checked_where_they_stand() {
    insta::assert_snapshot!(of("
params: {url: x}
tasks:
  a:
    operator: shell
    command: |
      echo start

        echo {{ params.ulr }}
  b:
    operator: http
    endpoint: '{{ outputs.a.x }}'
    run_if: outputs.a.
    response_check: '{{ response.status == 200 }}'
  c:
    operator: shell
    depends_on: a
    command: [echo, \"a\\tb {{ nobody }}\", '{{ outputs.a.x }}']
    env:
      X: >-
        folded
        {{ staging }}
"), @r#"
    error[D020]: this DAG has no parameter `ulr`; did you mean `url`?
     --> orders.yaml:9:17
      |
    9 |         echo {{ params.ulr }}
      |                 ^^^^^^^^^^
    hint: write `url`

    error[D020]: the outputs of `a` cannot be read here: no task of that name is upstream
      --> orders.yaml:12:19
       |
    12 |     endpoint: '{{ outputs.a.x }}'
       |                   ^^^^^^^^^^^
    hint: add `a` to `depends_on`

    error[D020]: the template cannot be read: unexpected end of input, expected identifier or integer
      --> orders.yaml:13:22
       |
    13 |     run_if: outputs.a.
       |                      ^

    error[D020]: `response_check` is an expression, not a template
      --> orders.yaml:14:21
       |
    14 |     response_check: '{{ response.status == 200 }}'
       |                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    hint: leave out the braces: `response_check: response.status == 200`

    error[D020]: unknown name `nobody`
      --> orders.yaml:18:30
       |
    18 |     command: [echo, "a\tb {{ nobody }}", '{{ outputs.a.x }}']
       |                              ^^^^^^

    error[D020]: unknown name `staging`
      --> orders.yaml:22:12
       |
    22 |         {{ staging }}
       |            ^^^^^^^
    hint: `staging` is known in checks only
    "#);
}

#[test]
fn misspelt_keywords_are_pointed_at_in_the_config_file() {
    insta::assert_snapshot!(problems(&[
        ("Build.yaml", "
tasks:
  build:
    for_each: {files: config/*.yaml}
    operator: build_table
    conn_id: dw
    config: '{{ file }}'
"),
        ("config/channel.yaml", "
table: channel
schema: analytics
main_sql: |
  SELECT userid,
    FIRST_VALUE(channel) OVER (parition by userid ordrer by ts
      ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS first_channel
  FROM raw_data.channel
output_check:
  - sql: SELEC COUNT(1) FROM {{ staging }}
    count: 1
"),
    ]), @r#"
    error[D021]: `parition` is no SQL keyword
     --> config/channel.yaml:6:32
      |
    6 |     FIRST_VALUE(channel) OVER (parition by userid ordrer by ts
      |                                ^^^^^^^^ misspelt?
    hint: did you mean `PARTITION BY`?

    error[D021]: `ordrer` is no SQL keyword
     --> config/channel.yaml:6:51
      |
    6 |     FIRST_VALUE(channel) OVER (parition by userid ordrer by ts
      |                                                   ^^^^^^ misspelt?
    hint: did you mean `ORDER BY`?

    error[D021]: `SELEC` is no SQL keyword
      --> config/channel.yaml:10:10
       |
    10 |   - sql: SELEC COUNT(1) FROM {{ staging }}
       |          ^^^^^ misspelt?
    hint: did you mean `SELECT`?
    "#);
}

#[test]
fn sql_that_cannot_be_read_is_a_warning() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: sql
    conn_id: dw
    sql: |
      SELECT approximate count(*) FROM t;
      SELECT a FROM t WHERE (a = 1
"), @r#"
    warning[D022]: this SQL could not be read: Expected: end of statement, found: (
     --> orders.yaml:7:31
      |
    7 |       SELECT approximate count(*) FROM t;
      |                               ^

    warning[D022]: this SQL could not be read: Expected: ), found: EOF
     --> orders.yaml:8:35
      |
    8 |       SELECT a FROM t WHERE (a = 1
      |                                   ^
    "#);
}

#[test]
fn a_value_spliced_into_sql_is_a_warning() {
    insta::assert_snapshot!(of("
params: {shop: a}
tasks:
  a:
    operator: sql
    conn_id: dw
    sql: DELETE FROM {{ params.shop | ident }} WHERE shop = '{{ params.shop }}' AND day = '{{ ds }}'
"), @r#"
    warning[D023]: a value is written into the SQL as it is
     --> orders.yaml:7:62
      |
    7 |     sql: DELETE FROM {{ params.shop | ident }} WHERE shop = '{{ params.shop }}' AND day = '{{ ds }}'
      |                                                              ^^^^^^^^^^^^^^^^^
    hint: bind it: `:name` here and `parameters: {name: …}`; for a table's or column's name add `| ident`
    "#);
}

#[test]
fn files_that_are_not_there_or_outside_are_named() {
    insta::assert_snapshot!(problems(&[
        ("etl/orders.yaml", "
tasks:
  a:
    operator: sql
    conn_id: dw
    sql: sql/orders.sql
  b:
    operator: build_table
    conn_id: dw
    config: ../../secret.yaml
  c:
    for_each: {files: conf/*.yaml}
    operator: empty
"),
        ("etl/sql/order.sql", "SELECT 1"),
    ]), @r#"
    error[D025]: there is no file `etl/sql/orders.sql`
     --> etl/orders.yaml:6:10
      |
    6 |     sql: sql/orders.sql
      |          ^^^^^^^^^^^^^^
    hint: did you mean `etl/sql/order.sql`? paths are relative to the DAG file

    error[D011]: `../../secret.yaml` leads out of the dags folder
      --> etl/orders.yaml:10:13
       |
    10 |     config: ../../secret.yaml
       |             ^^^^^^^^^^^^^^^^^
    hint: write a path relative to the DAG file

    error[D024]: no file matches `conf/*.yaml`
      --> etl/orders.yaml:12:23
       |
    12 |     for_each: {files: conf/*.yaml}
       |                       ^^^^^^^^^^^
    hint: the pattern is relative to the DAG file, so it is looked for in `etl/`
    "#);
}

#[test]
fn expansions_are_checked() {
    insta::assert_snapshot!(of("
tasks:
  a:
    for_each: {values: []}
    operator: empty
  b:
    for_each: {values: [x, x]}
    operator: empty
  c:
    for_each: {values: [a b]}
    operator: empty
  d:
    for_each: {value: [1]}
    operator: empty
  e:
    operator: empty
    depends_on: [a, b.x, b.y]
"), @r#"
    error[D024]: `values` is empty, so this makes no task
     --> orders.yaml:4:24
      |
    4 |     for_each: {values: []}
      |                        ^

    error[D014]: two tasks are called `b.x`
     --> orders.yaml:6:3
      |
    6 |   b:
      |   ^
    note: the first stands at orders.yaml:6:3

    error[D015]: `c.a b` has ` ` in it: names are made of letters, digits, `_`, `-` and `.`
     --> orders.yaml:9:3
      |
    9 |   c:
      |   ^

    error[D007]: unknown field `value` of `for_each`
      --> orders.yaml:13:16
       |
    13 |     for_each: {value: [1]}
       |                ^^^^^
    hint: did you mean `values`?

    error[D012]: task `e` waits for `b.y`, which this DAG does not define
      --> orders.yaml:17:26
       |
    17 |     depends_on: [a, b.x, b.y]
       |                          ^^^ no such task
    hint: did you mean `b.x`?
    "#);
}

#[test]
fn checks_are_checked() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: build_table
    conn_id: dw
    schema: s
    table: t
    main_sql: SELECT 1
    input_check:
      - sql: SELECT COUNT(1) FROM {{ staging }}
        count: many
    output_check:
      - sql: SELECT COUNT(1) FROM {{ staging }}
      - query: SELECT 1
        min: 3
"), @r#"
    error[D020]: unknown name `staging`
      --> orders.yaml:10:38
       |
    10 |       - sql: SELECT COUNT(1) FROM {{ staging }}
       |                                      ^^^^^^^
    hint: `staging` is known in checks only

    error[D010]: `count` must be a number, not a text
      --> orders.yaml:11:16
       |
    11 |         count: many
       |                ^^^^ a text
    hint: write it in digits, such as `count: 2`

    error[D009]: a check needs `count`, `max_count` or `equals`
      --> orders.yaml:13:9
       |
    13 |       - sql: SELECT COUNT(1) FROM {{ staging }}
       |         ^^^
    hint: `count: 1` asks for at least one

    error[D007]: unknown field `query` of a check; dagctl calls this `sql`
      --> orders.yaml:14:9
       |
    14 |       - query: SELECT 1
       |         ^^^^^
    hint: write `sql:`

    error[D007]: unknown field `min` of a check; dagctl calls this `count`
      --> orders.yaml:15:9
       |
    15 |         min: 3
       |         ^^^
    hint: write `count:`
    "#);
}

#[test]
fn a_problem_in_the_folder_defaults_points_there() {
    insta::assert_snapshot!(problems(&[
        ("etl/a.yaml", "tasks: {a: {operator: empty}}\n"),
        ("_defaults.yaml", "
dag_id: x
notifiers: {slack: {type: slak}}
default_args: {retries: many}
operator_defaults:
  htp: {execution_timeout: 1m}
  shell: {main_sql: x}
"),
    ]), @r#"
    error[D026]: `dag_id` is a field of one DAG, not of a folder
     --> _defaults.yaml:2:1
      |
    2 | dag_id: x
      | ^^^^^^

    error[D011]: `slak` is no type of notifier
     --> _defaults.yaml:3:27
      |
    3 | notifiers: {slack: {type: slak}}
      |                           ^^^^
    hint: it may be `slack`, `http`, `email`

    error[D010]: `retries` must be a whole number, not a text
     --> _defaults.yaml:4:25
      |
    4 | default_args: {retries: many}
      |                         ^^^^ a text
    hint: write it in digits, such as `retries: 2`

    error[D011]: unknown operator `htp`
     --> _defaults.yaml:6:3
      |
    6 |   htp: {execution_timeout: 1m}
      |   ^^^
    hint: did you mean `http`?

    error[D026]: `main_sql` is a field of `build_table`
     --> _defaults.yaml:7:11
      |
    7 |   shell: {main_sql: x}
      |           ^^^^^^^^
    "#);
}
