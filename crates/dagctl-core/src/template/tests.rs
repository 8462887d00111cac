use serde_json::json;

use super::*;
use crate::connection::Secret;

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(it) => it,
        other => panic!("{other} is not an object"),
    }
}

fn facts() -> ContextFacts {
    ContextFacts {
        dag_id: "orders".to_owned(),
        dag_owner: "data".to_owned(),
        tags: vec!["summary".to_owned()],
        task_id: "load".to_owned(),
        task_owner: "kim".to_owned(),
        run_id: "manual__1".to_owned(),
        run_type: "manual".to_owned(),
        commit: "0123456789abcdef".to_owned(),
        logical_date: "2026-03-01T15:00:00Z".parse().unwrap(),
        data_interval_start: "2026-03-01T15:00:00Z".parse().unwrap(),
        data_interval_end: "2026-03-02T15:00:00Z".parse().unwrap(),
        timezone: TimeZone::get("Asia/Seoul").unwrap(),
        params: map(
            json!({"url": "https://example.com", "n": 3, "evil": "{{ run_id }}", "none": null}),
        ),
        outputs: BTreeMap::from([
            (
                "extract".to_owned(),
                map(json!({"file": "/tmp/x.csv", "rows": [1, 2]})),
            ),
            ("build.mau_summary".to_owned(), map(json!({"rows": 6}))),
            ("build".to_owned(), map(json!({"total": 7}))),
        ]),
        variables: BTreeMap::from([
            ("region".to_owned(), "eu".to_owned()),
            ("limits".to_owned(), r#"{"a": [1, 2]}"#.to_owned()),
        ])
        .into(),
        connections: BTreeMap::from([(
            "dw".to_owned(),
            Connection {
                conn_id: "dw".to_owned(),
                conn_type: "postgres".to_owned(),
                host: Some("db.example.com".to_owned()),
                port: Some(5432),
                login: Some("loader".to_owned()),
                password: Some(Secret::new("hunter22")),
                extra: map(json!({"sslmode": "require", "api_key": "hunter22"})),
                ..Connection::default()
            },
        )])
        .into(),
        run_dir: "/runs/1".to_owned(),
        asset_events: BTreeMap::new(),
        try_number: 2,
        map_index: -1,
        items: Map::new(),
    }
}

pub(crate) fn context() -> Context {
    Context::new(facts())
}

fn plain(source: &str) -> String {
    render(source, &context(), Quoting::Plain).unwrap()
}

fn failure(source: &str) -> String {
    render(source, &context(), Quoting::Plain)
        .unwrap_err()
        .to_string()
}

#[test]
fn dates_are_those_of_the_dags_zone() {
    assert_eq!(
        plain("{{ ds }} {{ ds_nodash }} {{ ts_nodash }}"),
        "2026-03-02 20260302 20260302T000000"
    );
    assert_eq!(plain("{{ ts }}"), "2026-03-02T00:00:00+09:00");
    assert_eq!(
        plain("{{ data_interval_end }}"),
        "2026-03-03T00:00:00+09:00"
    );
    assert_eq!(
        plain("{{ logical_date.year }}-{{ logical_date.day }}"),
        "2026-2"
    );
}

#[test]
fn dates_have_methods_and_filters() {
    assert_eq!(
        plain("{{ logical_date.strftime('%d/%m/%Y') }}"),
        "02/03/2026"
    );
    assert_eq!(plain("{{ logical_date | strftime('%Y%m') }}"), "202603");
    assert_eq!(plain("{{ logical_date.add(days=-2) | ds }}"), "2026-02-28");
    assert_eq!(
        plain("{{ logical_date.subtract(months=1).start_of('month') | ds }}"),
        "2026-02-01"
    );
    assert_eq!(
        plain("{{ logical_date.end_of('month').date() }}"),
        "2026-03-31"
    );
    assert_eq!(
        plain("{{ logical_date.start_of('week') | ds_nodash }}"),
        "20260302"
    );
    assert_eq!(
        plain("{{ logical_date.in_timezone('UTC') | ts }}"),
        "2026-03-01T15:00:00+00:00"
    );
    assert_eq!(
        plain("{{ logical_date.isoformat() }} {{ logical_date.timestamp() }}"),
        "2026-03-02T00:00:00+09:00 1772377200"
    );
    assert_eq!(
        plain("{{ data_interval_start < data_interval_end }}"),
        "True"
    );
}

#[test]
fn a_moment_has_the_fields_of_pendulums() {
    let moment = "{% set it = logical_date.add(days=72, hours=13, minutes=4, seconds=5) %}";
    assert_eq!(
        plain(&format!(
            "{moment}{{{{ it.year }}}} {{{{ it.month }}}} {{{{ it.day }}}} {{{{ it.hour }}}} {{{{ it.minute }}}} \
             {{{{ it.second }}}} {{{{ it.microsecond }}}}"
        )),
        "2026 5 13 13 4 5 0"
    );
    // A Wednesday.
    assert_eq!(
        plain(&format!(
            "{moment}{{{{ it.day_of_week }}}} {{{{ it.day_of_year }}}} {{{{ it.week_of_year }}}} {{{{ it.quarter }}}}"
        )),
        "2 133 20 2"
    );
    assert_eq!(
        plain(
            "{{ logical_date.quarter }} {{ logical_date.subtract(days=2).quarter }} {{ logical_date.add(months=1).quarter }}"
        ),
        "1 1 2"
    );
}

#[test]
fn names_of_every_template_are_taken() {
    for name in [
        "ds", "params", "range", "dict", "staging", "response", "error",
    ] {
        assert!(is_taken(name), "{name}");
    }
    for name in ["file", "item", "days"] {
        assert!(!is_taken(name), "{name}");
    }
}

#[test]
fn what_is_debugged_of_a_context_names_the_attempt_and_keeps_secrets() {
    let text = format!("{:?}", facts());
    for part in ["orders", "load", "manual__1", "2"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("hunter22") && !text.contains("eu"), "{text}");
    assert_eq!(format!("{:?}", context()), text);
}

#[test]
fn airflows_names_and_those_of_other_fields_come_with_what_to_type() {
    for (name, advice) in [
        ("execution_date", "logical_date"),
        ("next_ds", "ds_add(ds, 1)"),
        ("tomorrow_ds", "ds_add(ds, 1)"),
        ("prev_ds", "ds_add(ds, -1)"),
        ("yesterday_ds", "ds_add(ds, -1)"),
        ("task_instance", "`ti`"),
        ("dag_id", "dag.dag_id"),
        ("task_id", "task.task_id"),
        ("xcom", "outputs.<task>.<key>"),
        ("variable", "var.value"),
        ("variables", "var.value"),
        ("connection", "conn.NAME"),
        ("connections", "conn.NAME"),
        ("environ", "environment"),
        ("staging", "checks only"),
        ("response", "`http` only"),
        ("error", "notifiers only"),
    ] {
        let said = super::names::instead(name).unwrap_or_default();
        assert!(said.contains(advice), "{name}: {said}");
    }
    assert_eq!(super::names::instead("region"), None);
}

#[test]
fn a_moment_is_true_and_moments_compare() {
    assert_eq!(
        plain(
            "{{ 'y' if logical_date else 'n' }} {{ logical_date < data_interval_end }} {{ logical_date > data_interval_end }}"
        ),
        "y True False"
    );
    assert_eq!(
        plain(
            "{% set utc = logical_date.in_timezone('UTC') %}{{ utc == logical_date }} {{ utc < logical_date }}"
        ),
        "True False"
    );
}

#[test]
fn macros_move_and_rewrite_dates() {
    assert_eq!(plain("{{ macros.ds_add(ds, -2) }}"), "2026-02-28");
    assert_eq!(
        plain("{{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.') }}"),
        "02.03."
    );
    assert_eq!(plain("{{ macros.datetime('2026-01-31').month }}"), "1");
    assert_eq!(
        plain("{{ macros.datetime('2026-01-31T08:00:00+09:00') | ts }}"),
        "2026-01-31T08:00:00+09:00"
    );
}

#[test]
fn the_runs_names_are_there() {
    assert_eq!(
        plain(
            "{{ dag.dag_id }} {{ dag.owner }} {{ dag.tags[0] }} {{ task.task_id }} {{ task.owner }}"
        ),
        "orders data summary load kim"
    );
    assert_eq!(
        plain(
            "{{ run_id }} {{ dag_run.run_type }} {{ dag_run.commit[:8] }} {{ ti.try_number }} {{ run_dir }}"
        ),
        "manual__1 manual 01234567 2 /runs/1"
    );
    assert_eq!(
        plain("{{ params.url }} {{ dag_run.conf.n }} {{ params['n'] + 1 }}"),
        "https://example.com 3 4"
    );
}

#[test]
fn variables_are_read_as_text_or_as_json() {
    assert_eq!(
        plain("{{ var.value.region }} {{ var.json.limits.a[1] }}"),
        "eu 2"
    );
    assert_eq!(
        plain("{{ var.value.get('nope', 'x') }}{{ var.value.nope | default('y') }}"),
        "xy"
    );
    assert_eq!(
        failure("a {{ var.json.region.x }}"),
        "`{{ var.json.region.x }}`: variable `region` is not JSON (line 1, column 1): use `var.value.region` for its text"
    );
}

#[test]
fn a_connection_shows_everything_but_its_secrets() {
    assert_eq!(
        plain("{{ conn.dw.host }}:{{ conn.dw.port }} {{ conn.dw.extra.sslmode }}"),
        "db.example.com:5432 require"
    );
    for source in [
        "{{ conn }}",
        "{{ conn | tojson }}",
        "{{ conn.dw | items | list }}",
        "{{ conn | pprint }}",
    ] {
        assert!(!plain(source).contains("hunter22"), "{source}");
    }
    assert!(failure("{{ conn.dw.password }}").contains("cannot read a password"));
    assert!(!format!("{:?} {:?}", context(), facts()).contains("hunter22"));
}

#[test]
fn outputs_are_found_under_dotted_task_ids_both_ways() {
    assert_eq!(
        plain("{{ outputs.extract.file }} {{ outputs['extract']['rows'][1] }}"),
        "/tmp/x.csv 2"
    );
    assert_eq!(
        plain("{{ outputs.build.mau_summary.rows }} {{ outputs['build.mau_summary'].rows }}"),
        "6 6"
    );
    assert_eq!(plain("{{ outputs.build.total }}"), "7");
    assert_eq!(
        plain("{{ outputs.extract | tojson }}"),
        r#"{"file":"/tmp/x.csv","rows":[1,2]}"#
    );
}

#[test]
fn what_is_missing_is_named_with_what_to_type() {
    for (source, message) in [
        (
            "{{ var.value.x }}",
            "`{{ var.value.x }}`: variable `x` is not defined: set it with `dagctl variables set x VALUE` or DAGCTL_VAR_X",
        ),
        (
            "{{ conn.nope.host }}",
            "`{{ conn.nope.host }}`: connection `nope` is not defined: add it with `dagctl connections add nope URI` or DAGCTL_CONN_NOPE",
        ),
        (
            "{{ conn.dw.schema }}",
            "`{{ conn.dw.schema }}`: connection `dw` has no schema: it has conn_id, conn_type, extra, extra_dejson, host, login, port",
        ),
        (
            "{{ params.nope }}",
            "`{{ params.nope }}`: parameter `nope` has no value: give it a `default` under `params`, or trigger with `--param nope=VALUE`",
        ),
        (
            "{{ outputs.nope.file }}",
            "`{{ outputs.nope.file }}`: task `nope` left no outputs: it has build, build.mau_summary, extract",
        ),
        (
            "{{ outputs.extract.nope }}",
            "`{{ outputs.extract.nope }}`: task `extract` left no output `nope`: it has file, rows",
        ),
        ("{{ dss }}", "`{{ dss }}`: `dss` is not defined"),
        (
            "{{ staging }}",
            "`{{ staging }}`: `staging` is not defined: `staging` is known in checks only",
        ),
        ("{{ ds.foo }}", "`{{ ds.foo }}`: `ds` has no `foo`"),
        (
            "x{{ params.url | upper }}{{ var.value.x | upper }}",
            "`{{ var.value.x }}`: variable `x` is not defined: set it with `dagctl variables set x VALUE` or DAGCTL_VAR_X",
        ),
    ] {
        assert_eq!(failure(source), message, "{source}");
    }
}

#[test]
fn undefined_values_are_errors_wherever_they_are_used() {
    for source in [
        "{{ params.nope }}",
        "{% if params.nope %}x{% endif %}",
        "{{ params.nope ~ 'x' }}",
        "{{ params.nope | tojson }}",
        "{{ params.nope | ident }}",
        "{% for x in params.nope %}{% endfor %}",
    ] {
        assert!(
            render(source, &context(), Quoting::Plain).is_err(),
            "{source}"
        );
    }
    assert_eq!(
        plain("{{ params.nope is defined }} {{ params.nope | default('d') }}"),
        "False d"
    );
}

#[test]
fn a_long_expression_is_shortened_in_its_error() {
    let of = |length| {
        let source = format!("{{{{ 1 + '{}' }}}}", "x".repeat(length));
        render(&source, &context(), Quoting::Plain)
            .unwrap_err()
            .to_string()
    };
    assert!(of(200).contains("xxx… }}`"), "{}", of(200));
    assert!(!of(20).contains('…'), "{}", of(20));
}

#[test]
fn params_that_hold_template_syntax_stay_text() {
    assert_eq!(plain("{{ params.evil }}"), "{{ run_id }}");
    let value = render_value(&json!("{{ params.evil }}"), &context()).unwrap();
    assert_eq!(value, json!("{{ run_id }}"));
}

#[test]
fn a_template_cannot_reach_other_templates_or_define_macros() {
    for source in [
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{% block b %}{% endblock %}",
    ] {
        assert!(
            failure(source).contains("is not allowed"),
            "{}",
            failure(source)
        );
        assert_eq!(check(source, Form::Text, &Scope::default()).len(), 1);
    }
    assert!(failure("{{ debug() }}").contains("debug"));
}

#[test]
fn a_template_that_never_ends_runs_out_of_fuel() {
    for source in [
        "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
        "{{ 'x' * 100000000 }}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    ] {
        assert!(
            failure(source).contains("too much work"),
            "{}",
            failure(source)
        );
    }
}

#[test]
fn a_text_beyond_the_limit_is_refused() {
    assert_eq!(plain("{{ 'x' * 1048576 }}").len(), 1024 * 1024);
    assert!(failure("{{ 'x' * 1048577 }}").contains("1048577 bytes"));
}

#[test]
fn the_newline_at_the_end_stays() {
    assert_eq!(plain("select 1\n\n"), "select 1\n\n");
}

#[test]
fn the_methods_that_templates_for_airflow_call_are_there() {
    assert_eq!(
        plain(
            "{{ ds.replace('-', '') }} {{ 'a,b'.split(',')[1] }} {{ ' x '.strip() }} {{ ds.startswith('2026') }}"
        ),
        "20260302 b x True"
    );
    assert_eq!(
        plain(
            "{{ 'aB'.upper() }} {{ 'aB'.lower() }} [{{ ' x '.lstrip() }}] [{{ ' x '.rstrip() }}] {{ 'xxaxx'.strip('x') }} \
             {{ ds.endswith('02') }} {{ 'a  b'.split() | length }}"
        ),
        "AB ab [x ] [ x] a True 2"
    );
    assert_eq!(
        plain("{{ dict(a=1, b='x').values() | join(' ') }} {{ dict(a=1).keys() | first }}"),
        "1 x a"
    );
    assert_eq!(
        plain("{{ params.get('nope', 1) }} {{ params.keys() | length }}"),
        "1 4"
    );
    assert_eq!(
        failure("{{ ds.nope() }}"),
        "`{{ ds.nope() }}`: string has no method named nope"
    );
}

#[test]
fn ident_quotes_names_and_tojson_is_plain_json() {
    assert_eq!(plain(r#"{{ 'a.b"c' | ident }}"#), r#""a"."b""c""#);
    assert_eq!(
        plain("{{ {'a': '<&>', 'b': [1, none, true]} | tojson }}"),
        r#"{"a":"<&>","b":[1,null,true]}"#
    );
    assert!(failure("{{ 3 | ident }}").contains("must be a text"));
}

#[test]
fn staging_response_and_error_are_added_to_a_context() {
    let base = context();
    let with = base
        .clone()
        .with_staging("\"a\".\"b\"")
        .with_response(json!({"status": 200}))
        .with_error(json!({"summary": "s"}));
    assert_eq!(
        render(
            "{{ staging }} {{ response.status }} {{ error.summary }}",
            &with,
            Quoting::Plain
        )
        .unwrap(),
        "\"a\".\"b\" 200 s"
    );
    assert!(render("{{ staging }}", &base, Quoting::Plain).is_err());
}

#[test]
fn an_expression_keeps_its_type() {
    let context = context()
        .with_response(json!({"status": 200, "size": 2000, "json": {"rates": {"z": 1, "a": 2.5}}}));
    for (expression, value) in [
        (
            "response.status == 200 and response.size > 1000",
            json!(true),
        ),
        ("response.json.rates", json!({"z": 1, "a": 2.5})),
        ("response.json.rates | length > 0", json!(true)),
        ("response.json.next", json!(null)),
        ("params.n", json!(3)),
        ("logical_date.day == 2", json!(true)),
        ("logical_date", json!("2026-03-02T00:00:00+09:00")),
        (
            "outputs.build",
            json!({"total": 7, "mau_summary": {"rows": 6}}),
        ),
        ("params.none", json!(null)),
    ] {
        assert_eq!(
            evaluate(expression, &context).unwrap(),
            value,
            "{expression}"
        );
    }
    assert_eq!(
        evaluate("params.nope", &context).unwrap_err().to_string(),
        "`{{ params.nope }}`: parameter `nope` has no value: give it a `default` under `params`, or trigger with `--param nope=VALUE`"
    );
    assert!(evaluate("response.json.nope.deeper", &context).is_err());
    assert!(
        evaluate("1 +", &context)
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
}

#[test]
fn texts_in_a_value_are_rendered_and_a_lone_expression_keeps_its_type() {
    let value = json!({"a": "{{ params.n }}", "b": ["x{{ params.n }}", 1, null], "c": {"d": "{{- outputs.extract.rows -}}"}, "e": "{{ 1 }}{{ 2 }}"});
    assert_eq!(
        render_value(&value, &context()).unwrap(),
        json!({"a": 3, "b": ["x3", 1, null], "c": {"d": [1, 2]}, "e": "12"})
    );
    assert!(render_value(&json!("{{ params.nope }}"), &context()).is_err());
}

#[test]
fn truth_is_jinjas() {
    for (value, expected) in [
        (json!(null), false),
        (json!(0), false),
        (json!(""), false),
        (json!([]), false),
        (json!({}), false),
        (json!("false"), true),
        (json!(-1), true),
    ] {
        assert_eq!(is_true(&value), expected, "{value}");
    }
}

mod checks;
mod errors;
mod moments;
mod python;
mod scripts;
