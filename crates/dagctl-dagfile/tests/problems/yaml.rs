//! What is not YAML, or not the YAML that is taken.

use super::{brief, of};

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
fn an_unquoted_cron_expression_is_told_to_be_quoted() {
    insta::assert_snapshot!(of("schedule: * 2 * * *  # at night\ntasks: {}\n"), @r#"
    error[D001]: a text that starts with `*` needs quotes
     --> orders.yaml:1:11
      |
    1 | schedule: * 2 * * *  # at night
      |           ^ YAML takes `*` for an alias
    hint: quote it: `"* 2 * * *"`
    "#);
    let step = brief("schedule: */5 * * * *\ntasks: {}\n");
    assert!(step[0].ends_with("quote it: `\"*/5 * * * *\"`"), "{step:?}");
    let listed = brief("schedule:\n  - * * * * *\ntasks: {}\n");
    assert!(
        listed[0].ends_with("quote it: `\"* * * * *\"`"),
        "{listed:?}"
    );
    let alias = brief("schedule: *nightly\ntasks: {}\n");
    assert!(
        alias[0].contains("an anchor (`&name`) must stand"),
        "{alias:?}"
    );
}

#[test]
fn a_key_between_two_depths_is_told_which_it_may_have() {
    for (text, hint) in [
        (
            "tasks:\n  a:\n    operator: shell\n   command: echo\n",
            "4:4: `command` is indented by 3 spaces, which fits neither level: \
             use 4 to stand beside `operator`, or 2 beside `a`",
        ),
        (
            "tasks:\n  a:\n    operator: shell\n     command: echo\n",
            "4:13: `command` is indented by 5 spaces, deeper than `operator`, which has a value already: \
             use 4 to stand beside it",
        ),
        (
            "dag_id: x\n tasks:\n  a: {operator: empty}\n",
            "2:7: `tasks` is indented by 1 space, deeper than `dag_id`, which has a value already: \
             use 0 to stand beside it",
        ),
    ] {
        assert_eq!(brief(text), [format!("D001 {hint}")]);
    }
}
