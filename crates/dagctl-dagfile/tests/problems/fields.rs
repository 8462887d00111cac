//! Fields that are unknown, misplaced or not there yet.

use super::of;

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
max_active_runs: 2
max_active_tasks: 4
schedule: null
on_failure_callback: [slack]
tasks:
  a:
    operator: build_table
    conn_id: dw
    schema: s
    table: t
    main_sql: SELECT 1
    swap: view
    max_change: {rows: 20%}
    max_active_tis_per_dag: 4
    on_retry_callback: [slack]
  c:
    operator: load_file
    conn_id: dw
    schema: s
    table: t
    file: x.json
    format: json
"), @r#"
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

    error[D008]: `format: json` does not work yet
      --> orders.yaml:23:13
       |
    23 |     format: json
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

    error[D026]: `sql` is a field of `sql`, `sql_check`, `sql_sensor`
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
fn a_notifier_that_cannot_tell_anybody_says_what_it_needs() {
    insta::assert_snapshot!(of("
on_failure_callback: [pager, http, {type: email}, {type: slack, chanel: x}, {type: email, to: kim}]
tasks:
  a: {operator: empty, on_retry_callback: [{text: x}]}
"), @r"
    error[D011]: unknown notifier `pager`
     --> orders.yaml:2:23
      |
    2 | on_failure_callback: [pager, http, {type: email}, {type: slack, chanel: x}, {type: email, to: kim}]
      |                       ^^^^^
    hint: define it under `notifiers:` of a `_defaults.yaml`, or use `slack`, `http`, `email`

    error[D009]: a notifier of type `http` needs `conn_id`, or a whole URL as `endpoint`
     --> orders.yaml:2:30
      |
    2 | on_failure_callback: [pager, http, {type: email}, {type: slack, chanel: x}, {type: email, to: kim}]
      |                              ^^^^
    hint: write `{type: http, conn_id: NAME}`; `dagctl connections list` shows which there are

    error[D009]: a notifier of type `email` needs the field `to`
     --> orders.yaml:2:43
      |
    2 | on_failure_callback: [pager, http, {type: email}, {type: slack, chanel: x}, {type: email, to: kim}]
      |                                           ^^^^^

    error[D007]: unknown field `chanel` of a notifier
     --> orders.yaml:2:65
      |
    2 | on_failure_callback: [pager, http, {type: email}, {type: slack, chanel: x}, {type: email, to: kim}]
      |                                                                 ^^^^^^
    hint: did you mean `channel`?

    error[D011]: `kim` is no address
     --> orders.yaml:2:95
      |
    2 | on_failure_callback: [pager, http, {type: email}, {type: slack, chanel: x}, {type: email, to: kim}]
      |                                                                                               ^^^
    hint: write it as `name@example.com`

    error[D009]: a notifier needs the field `type`
     --> orders.yaml:4:45
      |
    4 |   a: {operator: empty, on_retry_callback: [{text: x}]}
      |                                             ^^^^
    ");
}
