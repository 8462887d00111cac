//! What to type instead.

use super::{brief, of};

#[test]
fn tasks_beside_tasks_are_told_to_be_indented() {
    assert_eq!(
        brief("dag_id: x\ntasks:\na:\n  operator: empty\nextract_all:\n  operator: empty\n"),
        [
            "D009 2:1: indent `a`, `extract_all` below `tasks:`",
            "D007 3:1: indent it below `tasks:`",
            "D007 5:1: indent it below `tasks:`",
        ]
    );
}

#[test]
fn fields_beside_their_task_are_told_to_be_indented() {
    insta::assert_snapshot!(of("
tasks:
  a:
  operator: sql
  sql: SELECT 1
  parameters: {x: 1}
  b:
    operator: empty
    depends_on: a
"), @r#"
    error[D010]: `operator` stands beside the task `a`, not in it
     --> orders.yaml:4:3
      |
    4 |   operator: sql
      |   ^^^^^^^^ as deep as `a`
    hint: indent `operator`, `sql`, `parameters` below `a:`
    "#);
    assert_eq!(
        brief("tasks:\n  a:\n    operator: shell\n  retries: 2\n  command: echo\n"),
        ["D010 4:3: indent `retries`, `command` below `a:`"]
    );
    assert_eq!(
        brief(
            "tasks:\n  sql: {operator: empty}\n  http: {operator: empty}\n  file: {operator: empty}\n"
        ),
        [""; 0]
    );
}

#[test]
fn abbreviated_time_zones_lead_to_a_place() {
    for (abbreviation, hint) in [
        ("KST", "write an IANA name such as `Asia/Seoul`"),
        ("jst", "write an IANA name such as `Asia/Tokyo`"),
        ("IST", "write an IANA name such as `Asia/Kolkata`"),
        ("PST", "write an IANA name such as `America/Los_Angeles`"),
        ("Asia/Seol", "did you mean `Asia/Seoul`?"),
    ] {
        let text = format!("timezone: {abbreviation}\ntasks: {{a: {{operator: empty}}}}\n");
        assert_eq!(brief(&text), [format!("D017 1:11: {hint}")]);
    }
}

#[test]
fn a_misspelt_notifier_is_unknown() {
    let said = of("on_failure_callback: [slak]\ntasks: {a: {operator: empty}}\n");
    assert!(
        said.starts_with("error[D011]: unknown notifier `slak`"),
        "{said}"
    );
    assert!(said.ends_with("hint: did you mean `slack`?"), "{said}");
}

#[test]
fn a_schedule_in_words_leads_to_the_one_meant() {
    for (words, hint) in [
        ("every day", "write `\"@daily\"`"),
        ("Every hour", "write `\"@hourly\"`"),
        ("every 5 minutes", "write `{every: 5m}`"),
        ("each week", "write `\"@weekly\"`"),
    ] {
        let text = format!("schedule: {words}\ntasks: {{a: {{operator: empty}}}}\n");
        assert_eq!(brief(&text), [format!("D018 1:11: {hint}")]);
    }
}

#[test]
fn numbers_are_written_in_digits_and_without_quotes() {
    assert_eq!(
        brief("max_active_runs: \"1\"\ntasks:\n  a: {operator: empty, retries: two}\n"),
        [
            "D010 1:18: leave out the quotes: `max_active_runs: 1`",
            "D010 3:33: write it in digits: `retries: 2`",
        ]
    );
}

#[test]
fn a_missing_connection_and_a_check_without_a_dash_are_told_what_to_add() {
    let said = brief(
        "
tasks:
  a:
    operator: build_table
    schema: s
    table: t
    main_sql: SELECT 1
    input_check:
      sql: SELECT 1
      count: 1
",
    );
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("D009 3:3: add `conn_id:` with the name of a connection"),
        "{said:?}"
    );
    assert!(
        said[1].ends_with("start each check with a dash: `- sql: …`"),
        "{said:?}"
    );
}

#[test]
fn words_of_other_tools_lead_to_what_does_the_work_here() {
    insta::assert_snapshot!(of("
default_args: {email_on_failure: true}
tasks:
  a:
    operator: shell
    python_callable: main
"), @r#"
    error[D007]: unknown field `email_on_failure`
     --> orders.yaml:2:16
      |
    2 | default_args: {email_on_failure: true}
      |                ^^^^^^^^^^^^^^^^
    hint: mails are sent by a notifier: write `on_failure_callback: [{type: email, to: NAME@HOST}]`

    error[D007]: unknown field `python_callable`
     --> orders.yaml:6:5
      |
    6 |     python_callable: main
      |     ^^^^^^^^^^^^^^^
    hint: Python functions are run as scripts: write `operator: shell` with `interpreter: python3`, and the script as `command`
    "#);
}

#[test]
fn a_field_or_filter_that_resembles_none_is_told_some() {
    let said = of("
tasks:
  a:
    operator: http
    endpoint: '{{ ds | frobnicate }}'
    wibble_wobble: 1
");
    assert!(
        said.contains("hint: among the filters are `default`"),
        "{said}"
    );
    assert!(
        said.contains("note: the fields here are `conn_id`, `endpoint`, `method`"),
        "{said}"
    );
    assert!(said.contains(" more"), "{said}");
}
