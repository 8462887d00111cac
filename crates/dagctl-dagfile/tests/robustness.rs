//! Hostile and broken input: no panic, no long wait.

use std::collections::BTreeMap;

use dagctl_dagfile::{Diagnostic, parse_version};
use proptest::prelude::*;

fn diagnostics(text: &str) -> Vec<Diagnostic> {
    let texts = BTreeMap::from([("a.yaml".to_owned(), text.to_owned())]);
    parse_version(&texts, "a.yaml").1
}

fn codes(text: &str) -> Vec<&'static str> {
    diagnostics(text)
        .iter()
        .map(|it| it.code.as_str())
        .collect()
}

#[test]
fn deep_nesting_is_a_diagnostic() {
    for open in ["- ", "[", "{a: ", "? ", "[[{a: ["] {
        assert_eq!(codes(&open.repeat(20_000)), ["D003"], "{open}");
    }
}

#[test]
fn an_alias_bomb_is_a_diagnostic() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for it in 1..9 {
        let alias = format!("*a{},", it - 1).repeat(9);
        bomb.push_str(&format!(
            "a{it}: &a{it} [{}]\n",
            alias.trim_end_matches(',')
        ));
    }
    assert_eq!(codes(&bomb), ["D003"]);
}

#[test]
fn limits_hold_at_the_limit_and_one_beyond() {
    let tasks = |count: usize| {
        let lines: String = (0..count)
            .map(|it| format!("  t{it}: {{operator: empty}}\n"))
            .collect();
        format!("tasks:\n{lines}")
    };
    assert_eq!(codes(&tasks(20_000)), Vec::<&str>::new());
    assert_eq!(codes(&tasks(20_001)), ["D028"]);
    let params = |count: usize| {
        let lines: String = (0..count).map(|it| format!("  p{it}: 1\n")).collect();
        format!("params:\n{lines}tasks: {{a: {{operator: empty}}}}\n")
    };
    assert_eq!(codes(&params(500)), Vec::<&str>::new());
    assert_eq!(codes(&params(501)), ["D028"]);
    let edges = |children: usize| {
        let parents: Vec<_> = (0..250).map(|it| format!("p{it}")).collect();
        let mut text = "tasks:\n".to_owned();
        for it in &parents {
            text.push_str(&format!("  {it}: {{operator: empty}}\n"));
        }
        text.push_str("  all:\n    for_each: {matrix: {x: [");
        let values: Vec<_> = (0..children).map(|it| it.to_string()).collect();
        text.push_str(&values.join(", "));
        text.push_str(&format!(
            "]}}}}\n    operator: empty\n    depends_on: [{}]\n",
            parents.join(", ")
        ));
        text
    };
    assert_eq!(codes(&edges(200)), Vec::<&str>::new());
    assert_eq!(codes(&edges(201)), ["D028"]);
    let sized = |bytes: usize| {
        let text = "tasks: {a: {operator: empty}}\n#";
        format!("{text}{}", "x".repeat(bytes - text.len()))
    };
    assert_eq!(codes(&sized(1024 * 1024)), Vec::<&str>::new());
    assert_eq!(codes(&sized(1024 * 1024 + 1)), ["D003"]);
    let value = |bytes: usize| {
        format!(
            "params: {{p: {}}}\ntasks: {{a: {{operator: empty}}}}\n",
            "x".repeat(bytes)
        )
    };
    assert_eq!(codes(&value(64 * 1024 - 2)), Vec::<&str>::new());
    assert_eq!(codes(&value(64 * 1024 - 1)), ["D019"]);
}

#[test]
fn a_matrix_that_explodes_is_a_diagnostic() {
    let list: Vec<_> = (0..100).map(|it| it.to_string()).collect();
    let list = list.join(", ");
    let text = format!(
        "tasks: {{a: {{operator: empty, for_each: {{matrix: {{a: [{list}], b: [{list}], c: [{list}]}}}}}}}}"
    );
    assert_eq!(codes(&text), ["D028"]);
}

#[test]
fn a_problem_shared_by_thousands_of_members_is_said_once() {
    let values: Vec<_> = (0..5_000).map(|it| it.to_string()).collect();
    let dag = format!(
        "tasks: {{a: {{operator: build_table, conn_id: dw, config: c.yaml, for_each: {{values: [{}]}}}}}}",
        values.join(", ")
    );
    let config = format!(
        "schema: s\ntable: t\nmain_sql: SELEC 1\nx: 1\n# {}",
        "x".repeat(500_000)
    );
    let texts = BTreeMap::from([("a.yaml".to_owned(), dag), ("c.yaml".to_owned(), config)]);
    let (_, diagnostics) = parse_version(&texts, "a.yaml");
    let codes: Vec<_> = diagnostics.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(codes, ["D021", "D007"]);
}

#[test]
fn sql_that_nests_deeply_answers() {
    let sql = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let text = format!("tasks: {{a: {{operator: sql, conn_id: dw, sql: '{sql}'}}}}");
    assert_eq!(codes(&text), ["D022"]);
}

/// Lines that a DAG file is made of, in any order and with any indentation.
fn any_lines() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "tasks:",
        "a:",
        "b:",
        "operator: sql",
        "operator: shell",
        "operator: build_table",
        "operator: load_file",
        "operator: http",
        "sql: SELECT * FORM t WHERE a = {{ ds }}",
        "sql: |",
        "command: >-",
        "command: [a, 'b', \"c\\n{{ x\"]",
        "depends_on: [a, b]",
        "for_each: {values: [1, x]}",
        "for_each: {files: '*.yaml'}",
        "config: \"{{ file }}\"",
        "schedule: '@daily'",
        "schedule: {every: 5m}",
        "params:",
        "default_args:",
        "- x",
        "<<: *a",
        "&a",
        "x: *a",
        "run_if: \"a \u{e9}",
        "{{ é }} \u{1f600}",
        "'",
        "\"",
        "\t",
        "? [a]",
        "# c",
        "---",
        "%YAML 1.2",
        "on_failure_callback: [slack]",
        "output_check:",
        "- sql: SELECT COUNT(1) FROM {{ stagin }}",
        "count: 1",
        "start_date: 2021-13-01",
        "data: {a: [{{ x }}]}",
        "outputs: {a: \"{{ outputs.a.b }}\"}",
        "!!str a: 1",
        "\u{0}",
        "\r",
    ]);
    prop::collection::vec((0_usize..5, words), 0..25).prop_map(|lines| {
        lines
            .iter()
            .map(|(depth, line)| format!("{}{line}\n", "  ".repeat(*depth)))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_gets_an_answer_that_can_be_shown(text in "\\PC{0,200}") {
        for it in diagnostics(&text) {
            prop_assert!(it.to_string().contains(it.code.as_str()));
        }
    }

    #[test]
    fn any_lines_get_an_answer_that_can_be_shown(text in any_lines()) {
        for it in diagnostics(&text) {
            prop_assert!(it.to_string().contains(it.code.as_str()));
            let span = it.span.map(|it| it.start..it.end);
            prop_assert!(span.is_none_or(|it| text.get(it).is_some()));
        }
    }
}
