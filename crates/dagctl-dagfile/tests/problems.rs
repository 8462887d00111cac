//! One bad file, one rendering.

use std::collections::BTreeMap;

use dagctl_dagfile::parse_version;

/// Every problem of the files, as printed. The first file is the DAG.
fn problems(files: &[(&str, &str)]) -> String {
    let texts: BTreeMap<String, String> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    let (_, diagnostics) = parse_version(&texts, files[0].0);
    let rendered: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    rendered.join("\n\n")
}

/// The problems of one DAG file.
fn of(text: &str) -> String {
    problems(&[("orders.yaml", text)])
}

#[test]
fn an_unquoted_preset_is_told_to_be_quoted() {
    insta::assert_snapshot!(of("dag_id: orders\nschedule: @daily  # at midnight\ntasks: {}\n"), @r#"
    error[D001]: not YAML: unexpected character `@`
     --> orders.yaml:2:11
      |
    2 | schedule: @daily  # at midnight
      |           ^ YAML reserves `@`
    hint: quote it: `"@daily"`
    "#);
}

#[test]
fn an_unquoted_template_is_told_to_be_quoted() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: shell
    command: {{ params.command }}
"), @r#"
    error[D006]: a text that starts with `{{` needs quotes
     --> orders.yaml:5:14
      |
    5 |     command: {{ params.command }}
      |              ^^^^^^^^^^^^^^^^^^^^ YAML takes this for a map
    hint: quote it: `"{{ params.command }}"`
    "#);
}

#[test]
fn an_unquoted_template_within_a_text_is_told_to_be_quoted() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: http
    endpoint: {{ params.url }}/latest
"), @r#"
    error[D006]: a text that starts with `{{` needs quotes
     --> orders.yaml:5:15
      |
    5 |     endpoint: {{ params.url }}/latest
      |               ^^^^^^^^^^^^^^^^^^^^^^^ YAML takes this for a map
    hint: quote it: `"{{ params.url }}/latest"`
    "#);
}

#[test]
fn a_tab_is_told_to_be_spaces() {
    insta::assert_snapshot!(of("tasks:\n\ta:\n"), @r#"
    error[D001]: not YAML: tabs disallowed within this context (block indentation)
     --> orders.yaml:2:2
      |
    2 |     a:
      |     ^
    hint: indent with spaces
    "#);
}

#[test]
fn every_key_that_stands_twice_is_named_with_both_places() {
    insta::assert_snapshot!(of("
dag_id: a
tasks:
  a:
    operator: empty
    retries: 1
    retries: 2
dag_id: b
"), @r#"
    error[D002]: `retries` stands twice in one map
     --> orders.yaml:7:5
      |
    7 |     retries: 2
      |     ^^^^^^^ again
    note: it stands first at orders.yaml:6:5

    error[D002]: `dag_id` stands twice in one map
     --> orders.yaml:8:1
      |
    8 | dag_id: b
      | ^^^^^^ again
    note: it stands first at orders.yaml:2:1
    "#);
}

#[test]
fn a_tag_and_a_second_document_are_refused() {
    insta::assert_snapshot!(of("dag_id: !python/name x\n"), @r#"
    error[D001]: not YAML: unsupported tag `!python/name`
     --> orders.yaml:1:22
      |
    1 | dag_id: !python/name x
      |                      ^
    hint: tags (`!name`) mean nothing here: remove it
    "#);
    insta::assert_snapshot!(of("tasks: {}\n---\ntasks: {}\n"), @r#"
    error[D001]: a second YAML document starts here
     --> orders.yaml:3:1
      |
    3 | tasks: {}
      | ^
    hint: one file holds one DAG: remove the `---`
    "#);
}

#[test]
fn every_problem_comes_in_one_go() {
    insta::assert_snapshot!(of("
dag_id: my orders
timezone: Seoul
start_date: 2021/12/1
end_date: soon
catchup: yes
max_active_runs: 0
tags: {a: b}
tasks:
  a: {operator: empty, retries: -1}
"), @r#"
    error[D015]: `dag_id`: `my orders` has ` ` in it: names are made of letters, digits, `_`, `-` and `.`
     --> orders.yaml:2:9
      |
    2 | dag_id: my orders
      |         ^^^^^^^^^
    hint: for a readable title use `description`

    error[D017]: `Seoul` is not a time zone
     --> orders.yaml:3:11
      |
    3 | timezone: Seoul
      |           ^^^^^
    hint: did you mean `Asia/Seoul`?

    error[D017]: `start_date`: `2021/12/1` is not a date
     --> orders.yaml:4:13
      |
    4 | start_date: 2021/12/1
      |             ^^^^^^^^^
    hint: write `2021-12-01`

    error[D017]: `end_date`: `soon` is not a date
     --> orders.yaml:5:11
      |
    5 | end_date: soon
      |           ^^^^
    hint: write `2026-01-31` or `2026-01-31T08:00:00`

    error[D011]: `yes` is no value of `catchup`
     --> orders.yaml:6:10
      |
    6 | catchup: yes
      |          ^^^
    hint: it may be `false`, `true` or `latest`

    error[D011]: `max_active_runs` must be 1 or more, not 0
     --> orders.yaml:7:18
      |
    7 | max_active_runs: 0
      |                  ^

    error[D010]: `tags` must be a list of texts, not a map
     --> orders.yaml:8:7
      |
    8 | tags: {a: b}
      |       ^ a map

    error[D011]: `retries` must be 0 or more, not -1
      --> orders.yaml:10:33
       |
    10 |   a: {operator: empty, retries: -1}
       |                                 ^^
    "#);
}

#[test]
fn other_tools_words_are_recognised() {
    insta::assert_snapshot!(of("
schedule_interval: null
name: orders
tasks:
  a:
    operator: shell
    bash_command: echo hi
    needs: b
    task_id: a
    when: true
  b:
    operator: BashOperator
  c:
    operator: PythonOperator
"), @r#"
    error[D007]: unknown field `schedule_interval`; dagctl calls this `schedule`
     --> orders.yaml:2:1
      |
    2 | schedule_interval: null
      | ^^^^^^^^^^^^^^^^^
    hint: write `schedule:`

    error[D007]: unknown field `name`; dagctl calls this `dag_id`
     --> orders.yaml:3:1
      |
    3 | name: orders
      | ^^^^
    hint: write `dag_id:`

    error[D007]: unknown field `bash_command`; dagctl calls this `command`
     --> orders.yaml:7:5
      |
    7 |     bash_command: echo hi
      |     ^^^^^^^^^^^^
    hint: write `command:`

    error[D007]: unknown field `needs`; dagctl calls this `depends_on`
     --> orders.yaml:8:5
      |
    8 |     needs: b
      |     ^^^^^
    hint: write `depends_on:`

    error[D007]: unknown field `task_id`
     --> orders.yaml:9:5
      |
    9 |     task_id: a
      |     ^^^^^^^
    hint: a task's name is its key under `tasks`

    error[D007]: unknown field `when`; dagctl calls this `run_if`
      --> orders.yaml:10:5
       |
    10 |     when: true
       |     ^^^^
    hint: write `run_if:`

    error[D011]: unknown operator `BashOperator`; dagctl calls this `shell`
      --> orders.yaml:12:15
       |
    12 |     operator: BashOperator
       |               ^^^^^^^^^^^^
    hint: write `operator: shell`

    error[D011]: unknown operator `PythonOperator`; dagctl calls this `shell`
      --> orders.yaml:14:15
       |
    14 |     operator: PythonOperator
       |               ^^^^^^^^^^^^^^
    hint: write `operator: shell` with `interpreter: python3`, or `command: [python3, …]`
    "#);
}

#[test]
fn a_typo_in_a_field_gets_the_nearest() {
    insta::assert_snapshot!(of("
shedule: null
tasks:
  a:
    operator: shell
    comand: echo hi
"), @r#"
    error[D007]: unknown field `shedule`
     --> orders.yaml:2:1
      |
    2 | shedule: null
      | ^^^^^^^
    hint: did you mean `schedule`?

    error[D007]: unknown field `comand`
     --> orders.yaml:6:5
      |
    6 |     comand: echo hi
      |     ^^^^^^
    hint: did you mean `command`?
    "#);
}

#[test]
fn what_does_not_work_yet_is_refused_by_name() {
    insta::assert_snapshot!(of("
dagrun_timeout: 1h
deadline: {reference: queued_at}
schedule: {assets: [a.b]}
on_failure_callback: [oncall]
tasks:
  a:
    operator: build_table
    conn_id: dw
    schema: s
    table: t
    main_sql: SELECT 1
    swap: view
    max_change: {rows: 20%}
    trigger_rule: none_failed
    depends_on_past: true
    expand: {x: [1]}
    on_retry_callback: [slack]
  b:
    operator: sql_sensor
  c:
    operator: load_file
    conn_id: dw
    schema: s
    table: t
    file: x.json
    format: json
"), @r#"
    error[D008]: `dagrun_timeout` does not work yet
     --> orders.yaml:2:1
      |
    2 | dagrun_timeout: 1h
      | ^^^^^^^^^^^^^^ not yet

    error[D008]: `deadline` does not work yet
     --> orders.yaml:3:1
      |
    3 | deadline: {reference: queued_at}
      | ^^^^^^^^ not yet

    error[D008]: a schedule on assets does not work yet
     --> orders.yaml:4:12
      |
    4 | schedule: {assets: [a.b]}
      |            ^^^^^^ not yet

    error[D008]: notifier `oncall` does not work yet
     --> orders.yaml:5:23
      |
    5 | on_failure_callback: [oncall]
      |                       ^^^^^^
    hint: the only notifier so far is `slack`

    error[D008]: `swap: view` does not work yet
      --> orders.yaml:13:11
       |
    13 |     swap: view
       |           ^^^^
    hint: what works is `rename`, `replace_rows`

    error[D008]: `max_change` does not work yet
      --> orders.yaml:14:5
       |
    14 |     max_change: {rows: 20%}
       |     ^^^^^^^^^^ not yet

    error[D008]: `trigger_rule: none_failed` does not work yet
      --> orders.yaml:15:19
       |
    15 |     trigger_rule: none_failed
       |                   ^^^^^^^^^^^
    hint: what works is `all_success`, `all_done`, `one_failed`

    error[D008]: `depends_on_past` does not work yet
      --> orders.yaml:16:5
       |
    16 |     depends_on_past: true
       |     ^^^^^^^^^^^^^^^ not yet

    error[D008]: `expand` does not work yet
      --> orders.yaml:17:5
       |
    17 |     expand: {x: [1]}
       |     ^^^^^^ not yet

    error[D008]: `on_retry_callback` does not work yet
      --> orders.yaml:18:5
       |
    18 |     on_retry_callback: [slack]
       |     ^^^^^^^^^^^^^^^^^ not yet

    error[D008]: operator `sql_sensor` does not work yet
      --> orders.yaml:20:15
       |
    20 |     operator: sql_sensor
       |               ^^^^^^^^^^ not yet

    error[D008]: `format: json` does not work yet
      --> orders.yaml:27:13
       |
    27 |     format: json
       |             ^^^^
    hint: what works is `csv`
    "#);
}

#[test]
fn a_field_in_the_wrong_place_is_told_where_it_belongs() {
    insta::assert_snapshot!(of("
retries: 2
default_args:
  start_date: 2021-12-10
  depends_on: a
tasks:
  a:
    operator: shell
    command: x
    sql: SELECT 1
    catchup: true
"), @r#"
    error[D026]: `retries` is a field of a task; for all tasks it goes under `default_args`
     --> orders.yaml:2:1
      |
    2 | retries: 2
      | ^^^^^^^

    error[D026]: `start_date` is a field of the DAG, not a default
     --> orders.yaml:4:3
      |
    4 |   start_date: 2021-12-10
      |   ^^^^^^^^^^
    hint: move `start_date` beside `tasks`

    error[D026]: `depends_on` is a field of one task, not a default
     --> orders.yaml:5:3
      |
    5 |   depends_on: a
      |   ^^^^^^^^^^

    error[D026]: `sql` is a field of `sql`, `sql_check`
      --> orders.yaml:10:5
       |
    10 |     sql: SELECT 1
       |     ^^^

    error[D026]: `catchup` is a field of the DAG; it stands beside `tasks`
      --> orders.yaml:11:5
       |
    11 |     catchup: true
       |     ^^^^^^^
    "#);
}

#[test]
fn a_bare_number_is_no_duration() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: empty
    retry_delay: 30
    execution_timeout: timedelta(minutes=5)
    max_retry_delay: 5 minutes
"), @r#"
    error[D016]: `retry_delay`: `30` has no unit
     --> orders.yaml:5:18
      |
    5 |     retry_delay: 30
      |                  ^^
    hint: seconds or minutes? write `30s` or `30m`

    error[D016]: `execution_timeout`: `timedelta(minutes=5)` is not a duration
     --> orders.yaml:6:24
      |
    6 |     execution_timeout: timedelta(minutes=5)
      |                        ^^^^^^^^^^^^^^^^^^^^
    hint: dagctl writes durations as `30s`, `5m`, `1h30m` or `2d`

    error[D016]: `max_retry_delay`: `minutes` is not a unit of time
     --> orders.yaml:7:22
      |
    7 |     max_retry_delay: 5 minutes
      |                      ^^^^^^^^^
    hint: write `30s`, `5m`, `1h30m` or `2d`
    "#);
}

#[test]
fn a_bad_schedule_is_explained() {
    insta::assert_snapshot!(of("schedule: None\ntasks: {a: {operator: empty}}\n"), @r#"
    error[D018]: `None` has 1 field; a cron expression has exactly five: minute, hour, day of month, month, day of week
     --> orders.yaml:1:11
      |
    1 | schedule: None
      |           ^^^^
    hint: for a DAG that only runs when triggered, write `null`
    "#);
    insta::assert_snapshot!(of("schedule: '0 25 * * *'\ntasks: {a: {operator: empty}}\n"), @r#"
    error[D018]: the hour `25` in `0 25 * * *` is out of range; allowed are 0-23, `*`, lists `2,14`, ranges `9-17` and steps `*/6`
     --> orders.yaml:1:14
      |
    1 | schedule: '0 25 * * *'
      |              ^^
    "#);
    insta::assert_snapshot!(of("schedule: dayly\ntasks: {a: {operator: empty}}\n"), @r#"
    error[D018]: `dayly` has 1 field; a cron expression has exactly five: minute, hour, day of month, month, day of week
     --> orders.yaml:1:11
      |
    1 | schedule: dayly
      |           ^^^^^
    hint: did you mean `"@daily"`?
    "#);
    insta::assert_snapshot!(of("schedule: {every: 15}\ntasks: {a: {operator: empty}}\n"), @r#"
    error[D016]: `every`: `15` has no unit
     --> orders.yaml:1:19
      |
    1 | schedule: {every: 15}
      |                   ^^
    hint: seconds or minutes? write `15s` or `15m`
    "#);
}

#[test]
fn catchup_needs_a_start_date() {
    insta::assert_snapshot!(of("
schedule: '@daily'
catchup: latest
tasks: {a: {operator: empty}}
"), @r#"
    error[D027]: `catchup` needs a `start_date`: since when?
     --> orders.yaml:3:10
      |
    3 | catchup: latest
      |          ^^^^^^
    hint: add `start_date: 2026-01-31`, or write `catchup: false`
    "#);
}

#[test]
fn an_unknown_upstream_gets_the_nearest_task() {
    insta::assert_snapshot!(of("
tasks:
  extract: {operator: empty}
  transform: {operator: empty}
  load:
    operator: empty
    depends_on: [extract, transfrom]
"), @r#"
    error[D012]: task `load` waits for `transfrom`, which this DAG does not define
     --> orders.yaml:7:27
      |
    7 |     depends_on: [extract, transfrom]
      |                           ^^^^^^^^^ no such task
    hint: did you mean `transform`?
    "#);
}

#[test]
fn a_cycle_is_named_task_by_task() {
    insta::assert_snapshot!(of("
tasks:
  a: {operator: empty, depends_on: c}
  b: {operator: empty, depends_on: a}
  c: {operator: empty, depends_on: b}
  d: {operator: empty, depends_on: d}
"), @r#"
    error[D013]: tasks wait for each other: b → c → a → b
     --> orders.yaml:4:36
      |
    4 |   b: {operator: empty, depends_on: a}
      |                                    ^ closes the circle
    hint: take one of these tasks out of another's `depends_on`

    error[D013]: task `d` waits for itself
     --> orders.yaml:6:36
      |
    6 |   d: {operator: empty, depends_on: d}
      |                                    ^ closes the circle
    hint: take it out of its own `depends_on`
    "#);
}

#[test]
fn a_task_without_operator_gets_a_guess() {
    insta::assert_snapshot!(of("
tasks:
  a:
    sql: SELECT 1
  b: echo
  c:
"), @r#"
    error[D009]: task `a` needs the field `operator`
     --> orders.yaml:3:3
      |
    3 |   a:
      |   ^
    hint: add `operator: sql`

    error[D010]: task `b` must be a map of fields
     --> orders.yaml:5:3
      |
    5 |   b: echo
      |   ^
    hint: the least is `operator:` and what it needs

    error[D010]: task `c` must be a map of fields
     --> orders.yaml:6:3
      |
    6 |   c:
      |   ^
    hint: the least is `operator:` and what it needs
    "#);
}

#[test]
fn tasks_as_a_list_are_told_to_be_a_map() {
    insta::assert_snapshot!(of("
tasks:
  - operator: empty
"), @r#"
    error[D010]: `tasks` must be a map of names to tasks, not a list
     --> orders.yaml:2:1
      |
    2 | tasks:
      | ^^^^^
    hint: write each task as `name:` with its fields below, without `-`
    "#);
    insta::assert_snapshot!(of("tasks:\n"), @r#"
    error[D009]: a DAG needs at least one task
     --> orders.yaml:1:1
      |
    1 | tasks:
      | ^^^^^
    "#);
}

#[test]
fn a_file_without_tasks_is_no_dag() {
    insta::assert_snapshot!(of("dag_id: a\ntask:\n  a: {operator: empty}\n"), @r#"
    error[D005]: this file has no `tasks`, and no DAG refers to it
     --> orders.yaml:2:1
      |
    2 | task:
      | ^^^^ unknown field
    hint: dagctl calls this `tasks`, not `task`
    "#);
    insta::assert_snapshot!(of("- a\n- b\n"), @r#"
    error[D005]: a DAG file is a map of fields, not a list
     --> orders.yaml:1:1
      |
    1 | - a
      | ^
    hint: name it as the `config` of a task, hide it in `.dagignore`, or give it `tasks:`
    "#);
    insta::assert_snapshot!(of(""), @r#"
    error[D005]: this file is empty
     --> orders.yaml:1:1
      |
    1 |
      | ^
    hint: name it as the `config` of a task, hide it in `.dagignore`, or give it `tasks:`
    "#);
}

#[test]
fn params_are_checked_against_their_own_type() {
    insta::assert_snapshot!(of("
params:
  n: {type: integer, default: abc}
  m: {type: int, min: 3}
  o: {type: string, enum: [a, b], default: c}
  p: {type: string, pattern: x}
  a b: 1
tasks: {a: {operator: empty}}
"), @r#"
    error[D019]: param `n` must be an integer; found the string `"abc"`
     --> orders.yaml:3:31
      |
    3 |   n: {type: integer, default: abc}
      |                               ^^^ its own default

    error[D011]: `int` is no type of JSON Schema
     --> orders.yaml:4:13
      |
    4 |   m: {type: int, min: 3}
      |             ^^^
    hint: did you mean `integer`?

    error[D007]: unknown field `min` of a param; dagctl calls this `minimum`
     --> orders.yaml:4:18
      |
    4 |   m: {type: int, min: 3}
      |                  ^^^
    hint: write `minimum:`

    error[D019]: param `o` must be one of `"a"`, `"b"`; found `"c"`
     --> orders.yaml:5:44
      |
    5 |   o: {type: string, enum: [a, b], default: c}
      |                                            ^ its own default

    error[D008]: `pattern` of a param does not work yet
     --> orders.yaml:6:21
      |
    6 |   p: {type: string, pattern: x}
      |                     ^^^^^^^ not yet

    error[D015]: `a b` has ` ` in it: names are made of letters, digits, `_`, `-` and `.`
     --> orders.yaml:7:3
      |
    7 |   a b: 1
      |   ^^^
    "#);
}

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
notifiers: {slack: {type: slack}}
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

    error[D008]: `notifiers` does not work yet
     --> _defaults.yaml:3:1
      |
    3 | notifiers: {slack: {type: slack}}
      | ^^^^^^^^^ not yet

    error[D010]: `retries` must be a whole number, not a text
     --> _defaults.yaml:4:25
      |
    4 | default_args: {retries: many}
      |                         ^^^^ a text

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
