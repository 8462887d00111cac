//! Values that do not fit, and tasks that do not make a DAG.

use super::of;

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
    hint: write each task as `name:`, deeper than `tasks:`, with its fields deeper still
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
fn a_deadline_lacks_nothing_and_counts_from_something_known() {
    insta::assert_snapshot!(of("
dagrun_timeout: 0s
deadline:
  reference: logical_dat
  intervall: 45m
  callback: [slack]
tasks: {a: {operator: empty}}
"), @r#"
    error[D011]: `dagrun_timeout` of nothing would stop every run at once
     --> orders.yaml:2:17
      |
    2 | dagrun_timeout: 0s
      |                 ^^
    hint: leave it out for runs that may take as long as they like

    error[D011]: `logical_dat` is no value of `reference`
     --> orders.yaml:4:14
      |
    4 |   reference: logical_dat
      |              ^^^^^^^^^^^
    hint: did you mean `logical_date`?

    error[D007]: unknown field `intervall` of `deadline`
     --> orders.yaml:5:3
      |
    5 |   intervall: 45m
      |   ^^^^^^^^^
    hint: did you mean `interval`?
    "#);
    insta::assert_snapshot!(of("
deadline: {reference: noon, interval: 45m, callback: [slack]}
tasks: {a: {operator: empty}}
"), @r#"
    error[D011]: `noon` is no value of `reference`
     --> orders.yaml:2:23
      |
    2 | deadline: {reference: noon, interval: 45m, callback: [slack]}
      |                       ^^^^
    hint: it may be `queued_at`, `logical_date`, `average_runtime`, or a time of day such as `"09:00"`
    "#);
}
