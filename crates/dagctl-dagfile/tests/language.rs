//! What a good file means.

#![expect(
    clippy::unwrap_used,
    reason = "a set-up that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use dagctl_core::callback::{Callback, EmailNotifier, HttpNotifier, Notifier, SlackNotifier};
use dagctl_core::dag::{Catchup, Dag, TriggerRule};
use dagctl_core::limits::{Deadline, DeadlineReference, RunLimits};
use dagctl_core::operator::{Fetch, Operator, ShellCommand, Swap};
use dagctl_core::params::ParamType;
use dagctl_core::retry::RetryOn;
use dagctl_core::schedule::Schedule;
use dagctl_dagfile::parse_version;
use serde_json::json;

/// The DAG of the first file, which must have no problem at all.
fn dag(files: &[(&str, &str)]) -> Dag {
    let texts: BTreeMap<String, String> = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect();
    let (dag, diagnostics) = parse_version(&texts, files[0].0);
    let rendered: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(rendered, Vec::<String>::new());
    dag.unwrap()
}

fn one(text: &str) -> Dag {
    dag(&[("orders.yaml", text)])
}

fn ids(dag: &Dag) -> Vec<&str> {
    dag.tasks().iter().map(|it| it.task_id.as_str()).collect()
}

#[test]
fn every_dag_level_field_is_read() {
    let dag = one("
dag_id: Build_Summary
description: Builds
doc_md: |
  # Title
tags: [summary, 1.10, 0755]
schedule: [\"@daily\", \"30 9 * * 1-5\"]
timezone: Asia/Seoul
start_date: 2021-12-10
end_date: 2022-12-10T08:30:00
catchup: latest
max_active_runs: 2
max_active_tasks: 4
is_paused_upon_creation: true
dagrun_timeout: 2h
dagrun_retries: 2
dagrun_retry_delay: 10m
max_consecutive_failed_dag_runs: 3
deadline: {reference: 09:30, interval: 45m, callback: [slack]}
on_failure_callback: [slack]
on_success_callback:
  - {type: slack, text: 'done {{ run_id }}', channel: '#data', username: Data GOD, icon_emoji: ':tada:', slack_webhook_conn_id: hook}
tasks:
  a: {operator: empty}
");
    let spec = &dag.spec;
    assert_eq!(spec.dag_id.as_str(), "Build_Summary");
    assert_eq!(spec.file, "orders.yaml");
    assert_eq!(spec.doc_md.as_deref(), Some("# Title\n"));
    assert_eq!(spec.tags, ["summary", "1.10", "0755"]);
    assert_eq!(spec.schedule.text(), "@daily, 30 9 * * 1-5");
    assert_eq!(spec.timezone.iana_name(), Some("Asia/Seoul"));
    assert_eq!(
        spec.start_date.map(|it| it.to_string()).as_deref(),
        Some("2021-12-10T00:00:00")
    );
    assert_eq!(
        spec.end_date.map(|it| it.to_string()).as_deref(),
        Some("2022-12-10T08:30:00")
    );
    assert_eq!(spec.catchup, Catchup::Latest);
    assert_eq!((spec.max_active_runs, spec.max_active_tasks), (2, 4));
    assert!(spec.is_paused_upon_creation);
    let minutes = |it: u64| Duration::from_secs(60 * it);
    assert_eq!(
        spec.limits,
        RunLimits {
            dagrun_timeout: Some(minutes(120)),
            dagrun_retries: 2,
            dagrun_retry_delay: minutes(10),
            max_consecutive_failed_dag_runs: 3,
            deadline: Some(Deadline {
                reference: DeadlineReference::TimeOfDay(jiff::civil::time(9, 30, 0, 0)),
                interval: minutes(45),
                callback: vec![Callback::slack()],
            }),
        }
    );
    assert_eq!(spec.on_failure_callback, [Callback::slack()]);
    assert_eq!(
        spec.on_success_callback,
        [Callback::new(
            "slack",
            Notifier::Slack(SlackNotifier {
                slack_webhook_conn_id: Some("hook".to_owned()),
                text: Some("done {{ run_id }}".to_owned()),
                channel: Some("#data".to_owned()),
                username: "Data GOD".to_owned(),
                icon_emoji: ":tada:".to_owned(),
            })
        )]
    );
}

#[test]
fn a_file_of_three_lines_is_a_dag_with_the_defaults() {
    let dag = one("tasks:\n  a:\n    operator: empty\n");
    assert_eq!(dag.spec.dag_id.as_str(), "orders");
    assert_eq!(dag.spec.schedule, Schedule::Manual);
    assert_eq!(dag.spec.catchup, Catchup::No);
    assert_eq!(
        (dag.spec.max_active_runs, dag.spec.max_active_tasks),
        (16, 16)
    );
    let task = &dag.tasks()[0];
    assert_eq!(task.retry.retries, 0);
    assert_eq!(task.retry.retry_on, [RetryOn::Transient]);
    assert_eq!(task.pool.as_str(), "default_pool");
    assert_eq!(
        (task.priority_weight, task.trigger_rule),
        (1, TriggerRule::AllSuccess)
    );
}

#[test]
fn a_date_with_an_offset_is_turned_to_the_dags_zone() {
    let dag = one("
timezone: Asia/Seoul
start_date: 2021-12-10T00:00:00Z
schedule: {every: 1h30m}
tasks: {a: {operator: empty}}
");
    assert_eq!(
        dag.spec.start_date.map(|it| it.to_string()).as_deref(),
        Some("2021-12-10T09:00:00")
    );
    assert_eq!(
        dag.spec.schedule,
        Schedule::Every(Duration::from_secs(5400))
    );
}

#[test]
fn the_nearest_default_wins_whole_value_by_whole_value() {
    let dag = dag(&[
        (
            "etl/orders.yaml",
            "
default_args: {retries: 4, on_failure_callback: null, conn_id: mine}
tasks:
  a: {operator: shell, command: x, retries: 5}
  b: {operator: sql, sql: SELECT 1}
  c: {operator: empty, pool: null}
",
        ),
        (
            "etl/_defaults.yaml",
            "
tags: [etl]
default_args: {retries: 3, pool: near, on_failure_callback: [slack]}
operator_defaults:
  sql: {execution_timeout: 1m, fetch: rows}
",
        ),
        (
            "_defaults.yaml",
            "
tags: [all, top]
timezone: Asia/Seoul
default_args: {pool: far, owner: data, conn_id: far, fetch: value}
operator_defaults:
  sql: {execution_timeout: 9m, retry_on: [any]}
",
        ),
    ]);
    assert_eq!(dag.spec.tags, ["etl"]);
    assert_eq!(dag.spec.timezone.iana_name(), Some("Asia/Seoul"));
    let [a, b, c] = dag.tasks() else { panic!() };
    assert_eq!((a.retry.retries, b.retry.retries), (5, 4));
    assert_eq!((a.pool.as_str(), c.pool.as_str()), ("near", "default_pool"));
    assert_eq!(a.owner.as_deref(), Some("data"));
    assert_eq!(b.execution_timeout, Some(Duration::from_secs(60)));
    assert_eq!(a.execution_timeout, None);
    assert_eq!(b.retry.retry_on, [RetryOn::Any]);
    assert!(a.on_failure_callback.is_empty());
    let Operator::Sql(sql) = &b.operator else {
        panic!()
    };
    assert_eq!((sql.conn_id.as_str(), sql.fetch), ("mine", Fetch::Rows));
}

#[test]
fn an_expansion_over_files_makes_one_task_a_file() {
    let dag = dag(&[
        (
            "Build.yaml",
            "
tasks:
  build:
    for_each: {files: config/*_summary.yaml}
    operator: build_table
    conn_id: dw
    config: \"{{ file }}\"
    swap: rename
    keep_versions: 3
  report:
    operator: empty
    depends_on: build
  mail:
    operator: shell
    depends_on: build.nps_summary
    command: [echo, done]
",
        ),
        (
            "config/nps_summary.yaml",
            "
schema: analytics
table: nps_summary
main_sql: sql/nps.sql
primary_key: [date]
swap: replace_rows
output_check:
  - {sql: 'SELECT COUNT(1) FROM {{ staging }}', count: 12, max_count: 1.5e3}
",
        ),
        (
            "config/mau_summary.yaml",
            "schema: analytics\ntable: mau\nmain_sql: SELECT 1 AS a\n",
        ),
        ("sql/nps.sql", "SELECT 2 AS date\n"),
    ]);
    assert_eq!(
        ids(&dag),
        ["build.mau_summary", "build.nps_summary", "report", "mail"]
    );
    let report = dag.index_of("report").unwrap();
    assert_eq!(dag.upstream(report).len(), 2);
    let mail = dag.index_of("mail").unwrap();
    assert_eq!(
        dag.upstream(mail),
        [dag.index_of("build.nps_summary").unwrap()]
    );
    let Operator::BuildTable(nps) = &dag.tasks()[1].operator else {
        panic!()
    };
    assert_eq!(nps.main_sql, "SELECT 2 AS date\n");
    // The config file is nearer to its table than the task.
    assert_eq!(
        (nps.target.swap, nps.target.keep_versions),
        (Swap::ReplaceRows, 3)
    );
    assert_eq!(nps.target.output_check[0].bounds.count, Some(12.0));
    assert_eq!(nps.target.output_check[0].bounds.max_count, Some(1500.0));
}

#[test]
fn an_expansion_over_values_and_a_matrix_replaces_its_names() {
    let dag = one("
tasks:
  load:
    for_each: {values: [kr, 2024, 1.10]}
    operator: shell
    command: [load, '{{ value }}', '{{value}}-{{ ds }}']
    retries: '{{ value }}0'
    env: {SHOP: '{{ value }}'}
    run_if: \"'{{ value }}' != 'kr'\"
  join:
    for_each: {matrix: {shop: [a, b], year: [2023, 2024]}}
    operator: shell
    depends_on: load.kr
    command: echo {{ matrix.shop }} {{ matrix.year }}
"
    .replace("    retries: '{{ value }}0'\n", "")
    .as_str());
    assert_eq!(
        ids(&dag),
        [
            "load.kr",
            "load.2024",
            "load.1.10",
            "join.a_2023",
            "join.a_2024",
            "join.b_2023",
            "join.b_2024"
        ]
    );
    let Operator::Shell(shell) = &dag.tasks()[2].operator else {
        panic!()
    };
    let argv = ["load", "1.10", "1.10-{{ ds }}"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(shell.command, ShellCommand::Argv(argv));
    assert_eq!(dag.tasks()[0].run_if.as_deref(), Some("'kr' != 'kr'"));
    let Operator::Shell(shell) = &dag.tasks()[6].operator else {
        panic!()
    };
    let text = "echo b 2024".to_owned();
    let interpreter = "sh".to_owned();
    assert_eq!(shell.command, ShellCommand::Script { interpreter, text });
}

#[test]
fn merge_keys_and_anchors_work() {
    let dag = one("
default_args: &d {retries: 2}
tasks:
  a: &a
    operator: shell
    command: [echo, a]
    retries: 3
  b:
    <<: *a
    command: [echo, b]
");
    assert_eq!(dag.tasks()[1].retry.retries, 3);
    let Operator::Shell(shell) = &dag.tasks()[1].operator else {
        panic!()
    };
    assert_eq!(
        shell.command,
        ShellCommand::Argv(vec!["echo".into(), "b".into()])
    );
}

#[test]
fn texts_stay_as_they_were_written() {
    let dag = one("
tasks:
  a:
    operator: shell
    command: [run, 1.10, 0755, 2021-12-10, no, 1_000, 0x1F, true]
    env: {VERSION: 1.10, EMPTY: }
  b:
    operator: sql
    conn_id: dw
    sql: SELECT :n, :t, :day, :no, :yes, :nothing
    parameters: {n: 3, t: 1.5, day: 2021-12-10, no: no, yes: true, nothing: null}
");
    let Operator::Shell(shell) = &dag.tasks()[0].operator else {
        panic!()
    };
    let ShellCommand::Argv(argv) = &shell.command else {
        panic!()
    };
    assert_eq!(
        argv.join(" "),
        "run 1.10 0755 2021-12-10 no 1_000 0x1F true"
    );
    assert_eq!(shell.env[0].1, "1.10");
    assert_eq!(shell.env[1].1, "");
    assert_eq!(dag.tasks()[0].retry.retry_on, [RetryOn::Any]);
    let Operator::Sql(sql) = &dag.tasks()[1].operator else {
        panic!()
    };
    assert_eq!(
        serde_json::Value::Object(sql.parameters.clone()),
        json!({"n": 3, "t": 1.5, "day": "2021-12-10", "no": "no", "yes": true, "nothing": null})
    );
}

#[test]
fn params_have_types() {
    let dag = one("
params:
  url: {type: string, format: uri, default: 'https://example.com/x.csv', description: Source}
  n: 3
  when: 2021-12-10
  list: [1, a]
  needed: {type: [integer, 'null'], minimum: 1, maximum: 9}
tasks:
  a: {operator: shell, command: 'echo {{ params.url }} {{ params.needed }}'}
");
    let params = &dag.spec.params;
    let types: Vec<_> = params.iter().map(|it| it.types.clone()).collect();
    assert_eq!(
        types,
        [
            vec![ParamType::String],
            vec![ParamType::Integer],
            vec![ParamType::String],
            vec![ParamType::Array],
            vec![ParamType::Integer, ParamType::Null],
        ]
    );
    assert_eq!(params[4].default, None);
    assert_eq!(params[2].default, Some(json!("2021-12-10")));
}

#[test]
fn a_misspelt_keyword_leaves_the_dag() {
    let texts = BTreeMap::from([(
        "a.yaml".to_owned(),
        "tasks: {a: {operator: sql, conn_id: dw, sql: SELEC 1}}".to_owned(),
    )]);
    let (dag, diagnostics) = parse_version(&texts, "a.yaml");
    assert!(dag.is_some() && diagnostics[0].is_error());
}

#[test]
fn a_diagnostic_is_json_as_well() {
    let texts = BTreeMap::from([(
        "a.yaml".to_owned(),
        "tasks: {a: {operator: emty}}".to_owned(),
    )]);
    let (_, diagnostics) = parse_version(&texts, "a.yaml");
    assert_eq!(
        serde_json::to_value(&diagnostics).unwrap(),
        json!([{
            "code": "D011",
            "severity": "error",
            "message": "unknown operator `emty`",
            "file": "a.yaml",
            "span": {"line": 1, "column": 23, "start": 22, "end": 26},
            "label": null,
            "hint": "did you mean `empty`?",
            "notes": [],
        }])
    );
}

#[test]
fn a_notifier_of_the_nearest_folder_is_named_refined_and_sharpened_where_it_is_used() {
    let dag = dag(&[
        (
            "etl/orders.yaml",
            "
on_failure_callback: [oncall, slack, {type: oncall, endpoint: /now, after_failures: 3}]
tasks:
  a:
    operator: empty
    on_retry_callback: slack
    on_skipped_callback: [{type: email, to: [kim@example.com, lee@example.com], subject: '{{ error.summary }}'}]
",
        ),
        (
            "etl/_defaults.yaml",
            "notifiers: {slack: {type: slack, channel: '#etl', recovered: true}}\n",
        ),
        (
            "_defaults.yaml",
            "
notifiers:
  slack: {type: slack, channel: '#all', username: far}
  oncall:
    type: http
    conn_id: pager
    data: {dag: '{{ dag.dag_id }}', error: '{{ error.summary }}'}
",
        ),
    ]);
    let pager = HttpNotifier {
        conn_id: Some("pager".to_owned()),
        data: Some(json!({"dag": "{{ dag.dag_id }}", "error": "{{ error.summary }}"})),
        ..HttpNotifier::default()
    };
    let slack = Callback {
        recovered: true,
        ..Callback::new(
            "slack",
            Notifier::Slack(SlackNotifier {
                channel: Some("#etl".to_owned()),
                ..SlackNotifier::default()
            }),
        )
    };
    let now = HttpNotifier {
        endpoint: "/now".to_owned(),
        ..pager.clone()
    };
    assert_eq!(
        dag.spec.on_failure_callback,
        [
            Callback::new("oncall", Notifier::Http(pager)),
            slack.clone(),
            Callback {
                after_failures: 3,
                ..Callback::new("oncall", Notifier::Http(now))
            },
        ]
    );
    let task = &dag.tasks()[0];
    assert_eq!(task.on_retry_callback, [slack]);
    let mail = EmailNotifier {
        to: vec!["kim@example.com".to_owned(), "lee@example.com".to_owned()],
        subject: Some("{{ error.summary }}".to_owned()),
        ..EmailNotifier::default()
    };
    assert_eq!(
        task.on_skipped_callback,
        [Callback::new("email", Notifier::Email(mail))]
    );
}

#[test]
fn every_trigger_rule_is_read() {
    for rule in TriggerRule::ALL {
        let dag = one(&format!(
            "tasks:\n  a: {{operator: empty}}\n  b: {{operator: empty, depends_on: a, trigger_rule: {}}}\n",
            rule.name()
        ));
        assert_eq!(dag.tasks()[1].trigger_rule, rule);
    }
}

#[test]
fn a_branch_follows_tasks_expansions_and_groups_directly_below_it() {
    let dag = one("
tasks:
  how:
    operator: branch
    branches:
      - when: params.full
        follow: [build, staging]
      - follow: small
  build: {operator: empty, for_each: {values: [a, b]}, depends_on: how}
  load: {operator: empty, group: staging, depends_on: how}
  check: {operator: empty, group: staging, depends_on: staging.load}
  small: {operator: empty, depends_on: how}
params: {full: true}
");
    let Operator::Branch(branch) = &dag.tasks()[0].operator else {
        panic!("{:?}", dag.tasks()[0]);
    };
    let followed = |at: usize| -> Vec<&str> {
        let follow = branch.options[at].follow.iter();
        follow.map(|it| it.as_str()).collect()
    };
    assert_eq!(followed(0), ["build.a", "build.b", "staging.load"]);
    assert_eq!(followed(1), ["small"]);
    assert_eq!(branch.options[0].when.as_deref(), Some("params.full"));
    assert_eq!(branch.options[1].when, None);
}

#[test]
fn to_wait_for_a_group_is_to_wait_for_its_last_tasks_but_teardowns() {
    let dag = one("
default_args: {trigger_rule: all_done}
tasks:
  create: {operator: empty, group: etl}
  load: {operator: empty, group: etl, depends_on: etl.create}
  each: {operator: empty, group: etl.deep, for_each: {values: [x, y]}, depends_on: etl.create}
  after_deep: {operator: empty, group: etl, depends_on: etl.deep}
  drop: {operator: empty, group: etl, depends_on: [etl.load, etl.after_deep], teardown: {setups: [etl.create]}}
  report: {operator: empty, depends_on: etl}
  one: {operator: empty, depends_on: etl.deep.each.x}
");
    let task = |name: &str| dag.task(dag.index_of(name).unwrap()).unwrap();
    let upstream = |name: &str| -> Vec<&str> {
        let task = task(name);
        task.depends_on.iter().map(|it| it.as_str()).collect()
    };
    assert_eq!(upstream("report"), ["etl.load", "etl.after_deep"]);
    assert_eq!(
        upstream("etl.after_deep"),
        ["etl.deep.each.x", "etl.deep.each.y"]
    );
    assert_eq!(upstream("one"), ["etl.deep.each.x"]);
    let drop = task("etl.drop");
    let setups = &drop.teardown.as_ref().unwrap().setups;
    assert_eq!(setups[0].as_str(), "etl.create");
    assert_eq!(drop.trigger_rule, TriggerRule::AllDoneSetupSuccess);
    assert_eq!(task("report").trigger_rule, TriggerRule::AllDone);
}

#[test]
fn the_run_before_and_allowed_failures_are_read() {
    let dag = one("
tasks:
  a: {operator: latest_only, allow_failure: true}
  b: {operator: empty, depends_on_past: true}
  c: {operator: empty, wait_for_downstream: true}
");
    let tasks = dag.tasks();
    assert_eq!(tasks[0].operator, Operator::LatestOnly);
    let flags = |at: usize| {
        let it = &tasks[at];
        (it.allow_failure, it.depends_on_past, it.wait_for_downstream)
    };
    assert_eq!(flags(0), (true, false, false));
    assert_eq!(flags(1), (false, true, false));
    assert_eq!(flags(2), (false, true, true));
}
