//! `:name` in SQL against `parameters`.

use super::{brief, of, problems};

#[test]
fn a_parameter_without_a_value_is_an_error_where_it_stands() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: sql
    conn_id: dw
    sql: |
      SELECT ':no', 1::int; -- :nor
      SELECT :dya
    parameters: {day: \"{{ ds }}\"}
"), @r#"
    error[D032]: the SQL names `:dya`, but `parameters` has no `dya`
     --> orders.yaml:8:14
      |
    8 |       SELECT :dya
      |              ^^^^ no value
    hint: did you mean `:day`?
    "#);
    assert_eq!(
        brief(
            "tasks:\n  a:\n    operator: sql_check\n    conn_id: dw\n    sql: SELECT :day > :idempotency_key\n"
        ),
        ["D032 5:17: add `parameters: {day: …}`"]
    );
}

#[test]
fn a_parameter_in_a_file_is_pointed_at_there() {
    let said = problems(&[
        (
            "a.yaml",
            "tasks:\n  a:\n    operator: sql\n    conn_id: dw\n    sql: a.sql\n    parameters: {n: 1}\n",
        ),
        ("a.sql", "SELECT :n,\n  '{{ ds }}', :other"),
    ]);
    assert!(said.contains("a.sql:2:15"), "{said}");
    assert!(
        said.ends_with("hint: add `other: …` to `parameters`, which has `n`"),
        "{said}"
    );
}

#[test]
fn a_parameter_that_nothing_names_is_a_warning() {
    insta::assert_snapshot!(of("
tasks:
  a:
    operator: sql
    conn_id: dw
    sql: SELECT :day
    parameters: {day: x, shop: y}
"), @r#"
    warning[D033]: the SQL does not name the parameter `shop`
     --> orders.yaml:7:26
      |
    7 |     parameters: {day: x, shop: y}
      |                          ^^^^
    hint: write `:shop` in the SQL, or remove it here
    "#);
}

#[test]
fn parameters_of_the_defaults_may_be_left_unused() {
    let text = "
default_args: {conn_id: dw, parameters: {day: x, shop: y}}
tasks:
  a: {operator: sql, sql: 'SELECT :day'}
  b: {operator: sql, sql: '{% if params %}SELECT :nobody{% endif %}'}
  c: {operator: empty}
";
    assert_eq!(brief(text), [""; 0]);
}
