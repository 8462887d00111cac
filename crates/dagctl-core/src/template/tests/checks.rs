use super::*;

fn scope() -> Scope {
    Scope {
        params: Some(vec!["url".to_owned(), "limit".to_owned()]),
        tasks: vec!["extract".to_owned(), "build.mau_summary".to_owned()],
        ..Scope::default()
    }
}

/// Each problem as `the source it points at: message [hint]`.
fn problems(source: &str) -> Vec<String> {
    in_form(source, Form::Text, &scope())
}

fn in_form(source: &str, form: Form, scope: &Scope) -> Vec<String> {
    check(source, form, scope)
        .into_iter()
        .map(|it| {
            let hint = it.hint.map(|it| format!(" [{it}]")).unwrap_or_default();
            format!("{}: {}{hint}", &source[it.range], it.message)
        })
        .collect()
}

#[test]
fn a_good_template_has_no_problems() {
    for source in [
        "plain",
        "{{ ds }} {{ params.url }} {{ outputs.extract.file }} {{ outputs.build.mau_summary.rows }} {{ outputs['build.mau_summary']['rows'] }}",
        "{% set x = params.limit %}{% for a, b in [[1, x]] if a %}{{ loop.index }}{{ a + b }}{% endfor %}",
        "{{ var.value.anything }} {{ var.json.x.y[0] }} {{ var.value.get('z', 'd') }} {{ conn.dw.host }} {{ conn.dw.extra.sslmode }}",
        "{{ logical_date.strftime('%Y') }} {{ data_interval_end.year }} {{ macros.ds_add(ds, 1) }} {{ range(3) | list }}",
        "{{ dag_run.commit[:8] }} {{ ti.try_number }} {{ outputs | tojson }} {{ outputs.build }} {{ dag_run.conf.url }}",
        "{{ params.url | default('x') | urlencode }} {{ ds is string }}",
        "{% raw %}{{ nonsense }}{% endraw %}",
    ] {
        assert_eq!(problems(source), [""; 0], "{source}");
    }
}

#[test]
fn an_unknown_name_comes_with_the_one_that_was_meant() {
    assert_eq!(
        problems("a {{ dss }}"),
        ["dss: unknown name `dss`; did you mean `ds`? [write `ds`]"]
    );
    assert_eq!(
        problems("{{ execution_date }}"),
        ["execution_date: unknown name `execution_date` [use `logical_date`]"]
    );
    assert_eq!(
        problems("{{ staging }}"),
        ["staging: unknown name `staging` [`staging` is known in checks only]"]
    );
    assert_eq!(
        problems("{{ response.json }}{{ error.summary }}{{ file.path }}"),
        [
            "response: unknown name `response` [`response` is known in the expressions of `http` only]",
            "error: unknown name `error` [`error` is known in notifiers only]",
            "file: unknown name `file`",
        ]
    );
    let checks = Scope {
        items: vec!["file".to_owned()],
        staging: true,
        response: true,
        error: true,
        ..scope()
    };
    assert_eq!(
        in_form(
            "{{ staging }}{{ response.json.x }}{{ error.summary }}{{ file.path }}",
            Form::Text,
            &checks
        ),
        [""; 0]
    );
}

#[test]
fn every_problem_is_reported_in_order_and_points_at_its_place() {
    assert_eq!(
        problems("é {{ params.ulr }} {{ dag.dagid | nofilter }} {{ foo(1) }} {{ ds is odd_one }}"),
        [
            "params.ulr: this DAG has no parameter `ulr`; did you mean `url`? [write `url`]",
            "dag.dagid: `dag` has no `dagid`; did you mean `dag_id`? [write `dag_id`]",
            "nofilter: unknown filter `nofilter`",
            "foo(1): unknown function `foo`",
            "odd_one: unknown test `odd_one`",
        ]
    );
}

#[test]
fn every_part_of_a_statement_is_checked() {
    for source in [
        "{% for x in [1] if nope %}{% endfor %}",
        "{{ ds[nope:] }}",
        "{{ ds[:nope] }}",
        "{{ ds[::nope] }}",
        "{{ 1 if ds else nope }}",
        "{% set x | replace(nope, '') %}{% endset %}",
    ] {
        assert_eq!(problems(source), ["nope: unknown name `nope`"], "{source}");
    }
}

#[test]
fn a_place_in_a_source_holds_whole_characters() {
    for (range, clamped) in [
        (0..2, 0..2),
        (1..3, 0..5),
        (2..4, 2..5),
        (2..9, 2..5),
        (7..9, 5..5),
    ] {
        assert_eq!(check::clamp("é한", range.clone()), clamped, "{range:?}");
    }
}

#[test]
fn outputs_of_a_task_that_is_not_upstream_are_refused() {
    assert_eq!(
        problems("{{ outputs.later.file }}"),
        [
            "outputs.later.file: the outputs of `later` cannot be read here: no task of that name is upstream [add `later` to `depends_on`]"
        ]
    );
    assert_eq!(
        problems("{{ outputs.extrct.file }}"),
        [
            "outputs.extrct.file: the outputs of `extrct` cannot be read here: no task of that name is upstream [did you mean `outputs.extract`?]"
        ]
    );
    assert_eq!(problems("{{ outputs.build.other.rows }}").len(), 1);
    assert_eq!(
        problems("{{ outputs.later }}"),
        [
            "outputs.later: the outputs of `later` cannot be read here: no task of that name is upstream [add `later` to `depends_on`]"
        ]
    );
}

#[test]
fn passwords_and_unnamed_variables_are_refused() {
    assert_eq!(
        problems("{{ conn.dw.password }}"),
        [
            "conn.dw.password: the password of `conn.dw` cannot be read by a template [set `conn_id: dw` and the task logs in itself]"
        ]
    );
    assert_eq!(
        problems("{{ conn['dw']['password'] }}{{ conn.get('dw').host }}").len(),
        1
    );
    assert_eq!(
        problems("{{ var.value[ds] }}"),
        [
            "var.value[ds]: which variable is read must be written out [use `var.value.NAME` or `var.json.NAME`]"
        ]
    );
    assert_eq!(
        problems("{{ var.region }}"),
        ["var.region: `var` has no `region` [use `var.value.region` or `var.json.region`]"]
    );
    assert_eq!(problems("{{ conn[ds].host }}").len(), 1);
}

#[test]
fn a_template_that_cannot_be_read_is_one_problem_inside_its_source() {
    for source in [
        "{{ ds",
        "{{ }}",
        "{% if x %}",
        "{{ ds }} {% endif %}",
        "{{ 1 + }}",
        "{{ 'é",
        "{% frobnicate %}",
        "{{ a b }}",
        "{#",
    ] {
        let found = check(source, Form::Text, &scope());
        assert_eq!(found.len(), 1, "{source}");
        assert!(source.get(found[0].range.clone()).is_some(), "{source}");
    }
    assert_eq!(
        problems("{% fro x in y %}")[0].split(": ").nth(1),
        Some("unknown statement `fro` [did you mean `for`?]")
    );
}

#[test]
fn an_expression_is_checked_without_braces() {
    assert_eq!(
        in_form(
            "outputs.extract.rows > 0 and logical_date.day == 1",
            Form::Expression,
            &scope()
        ),
        [""; 0]
    );
    assert_eq!(
        in_form("dss == 1", Form::Expression, &scope()),
        ["dss: unknown name `dss`; did you mean `ds`? [write `ds`]"]
    );
    assert_eq!(
        in_form("{{ ds }}", Form::Expression, &scope()),
        ["{{ ds }}: this field is an expression already, so it takes no `{{ }}` [write `ds`]"]
    );
    assert_eq!(in_form("1 +", Form::Expression, &scope()).len(), 1);
}

#[test]
fn a_dates_attributes_and_methods_are_known() {
    assert_eq!(
        problems("{{ logical_date.yaer }}"),
        ["logical_date.yaer: `logical_date` has no `yaer`; did you mean `year`? [write `year`]"]
    );
    assert_eq!(problems("{{ logical_date.strfime('%Y') }}").len(), 1);
    assert_eq!(problems("{{ logical_date.yaer.strip() }}").len(), 1);
    assert_eq!(problems("{{ logical_date.yaer.strftime('%Y') }}").len(), 1);
    assert_eq!(
        problems("{{ logical_date.start_of('month').year }}"),
        [""; 0]
    );
    assert_eq!(
        problems("{{ macros.ds_ad(ds, 1) }}"),
        ["macros.ds_ad: `macros` has no `ds_ad`; did you mean `ds_add`? [write `ds_add`]"]
    );
}

#[test]
fn references_are_the_variables_and_connections_written_out() {
    let found = references(
        "{{ var.value.a }}{{ var.json['b'].c }}{{ var.value.get('d', '') }}{% if conn.dw.host %}{{ conn['x-y'].port | default(conn.get('z').port) }}{% endif %}",
        Form::Text,
    );
    assert_eq!(
        found.variables.into_iter().collect::<Vec<_>>(),
        ["a", "b", "d"]
    );
    assert_eq!(
        found.connections.into_iter().collect::<Vec<_>>(),
        ["dw", "x-y", "z"]
    );
    assert_eq!(
        references("var.value.q == '1'", Form::Expression)
            .variables
            .len(),
        1
    );
    assert_eq!(
        references("{{ var.value.q", Form::Text),
        References::default()
    );
}

#[test]
fn values_in_sql_are_raw_unless_they_cannot_hold_a_quote() {
    let raw = |source: &str| -> Vec<String> {
        raw_sql_values(source)
            .into_iter()
            .map(|it| source[it].to_owned())
            .collect()
    };
    for source in [
        "select '{{ ds }}', '{{ data_interval_start }}', '{{ logical_date.strftime('%Y') }}'",
        "select * from {{ params.table | ident }} join {{ staging }} on {{ 3 }} limit {{ params.n | int }}",
        "select '{{ macros.ds_add(ds, -1) }}' {{ ti.try_number }} {{ ds | replace('-', '') }}",
        "{% if params.full %}delete{% endif %} {{ 'a' if params.x else 'b' }}",
    ] {
        assert_eq!(raw(source), [""; 0], "{source}");
    }
    for source in [
        "{{ params.x | upper }}",
        "{{ macros.ds_add(params.x, 1) }}",
        "{{ params.x.strip() }}",
        "{{ ti.xcom }}",
    ] {
        assert_eq!(raw(source), [source]);
    }
    assert_eq!(
        raw(
            "where x = {{ params.x }} {% for i in params.l %}{{- i -}}{% endfor %} {{ ds ~ params.y }} {{ ds.replace('-', params.q) }}"
        ),
        [
            "{{ params.x }}",
            "{{- i -}}",
            "{{ ds ~ params.y }}",
            "{{ ds.replace('-', params.q) }}"
        ]
    );
}

#[test]
fn every_filter_and_test_that_the_check_knows_is_there() {
    for filter in names::FILTERS {
        let found = evaluate(&format!("'{filter}' is filter"), &context()).unwrap();
        assert_eq!(found, json!(true), "{filter}");
    }
    for test in names::TESTS {
        let found = evaluate(&format!("'{test}' is test"), &context()).unwrap();
        assert_eq!(found, json!(true), "{test}");
    }
}

#[test]
fn every_name_that_the_check_knows_is_in_the_context() {
    let scope = Scope {
        staging: true,
        response: true,
        error: true,
        ..Scope::default()
    };
    let context = context()
        .with_staging("s")
        .with_response(json!({}))
        .with_error(json!({"summary": "", "message": ""}));
    for name in names::all(&scope) {
        let Some(value) = context.names.get(name) else {
            panic!("{name} is missing")
        };
        if let Some(names::Kind::Fields(fields)) = names::kind(name, &scope) {
            for field in fields {
                assert!(
                    !value.get_attr(field).unwrap().is_undefined(),
                    "{name}.{field}"
                );
            }
        }
    }
}
