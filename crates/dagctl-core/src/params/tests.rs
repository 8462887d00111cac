use serde_json::json;

use super::*;

fn param(name: &str, types: &[ParamType]) -> Param {
    Param {
        name: name.to_owned(),
        types: types.to_vec(),
        default: None,
        description: None,
        allowed: vec![],
        minimum: None,
        maximum: None,
        min_length: None,
        max_length: None,
        format: None,
    }
}

fn filled(params: &[Param], given: Value) -> String {
    match fill(params, given.as_object().unwrap()) {
        Ok(values) => Value::from(values).to_string(),
        Err(errors) => errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn what_nobody_sets_has_its_default() {
    let params = [
        Param {
            default: Some(json!("eu")),
            ..param("region", &[ParamType::String])
        },
        param("rows", &[ParamType::Integer]),
    ];
    assert_eq!(
        filled(&params, json!({"rows": 5})),
        r#"{"region":"eu","rows":5}"#
    );
    assert_eq!(
        filled(&params, json!({"rows": 5, "region": "us"})),
        r#"{"region":"us","rows":5}"#
    );
}

#[test]
fn every_problem_is_told_at_once() {
    let params = [
        param("day", &[ParamType::String]),
        param("rows", &[ParamType::Integer]),
        param("url", &[ParamType::String, ParamType::Null]),
    ];
    insta::assert_snapshot!(filled(&params, json!({"rows": "5", "regoin": 1, "url": [1, 2]})), @r#"
    param `day` is required: it has no default and was not set; it must be a string
    param `rows` must be an integer; found the string `"5"`
    param `url` must be a string or null; found an array of 2
    this DAG has no param `regoin`; it has `day`, `rows`, `url`
    "#);
}

#[test]
fn a_misspelt_param_gets_the_name_that_was_meant() {
    let params = [param("region", &[]), param("rows", &[])];
    for typo in ["regoin", "regon", "Region", "regions"] {
        let given = json!({"region": 1, "rows": 1, typo: 1});
        assert!(
            filled(&params, given).ends_with("did you mean `region`?"),
            "{typo}"
        );
    }
    assert_eq!(
        filled(&[], json!({"x": 1})),
        "this DAG has no param `x`; it has none at all"
    );
}

#[test]
fn a_value_may_have_all_the_bytes_there_are_and_not_one_more() {
    // Two of them are its quotes.
    let text = |length: usize| json!({"x": "a".repeat(length - 2)});
    assert!(fill(&[param("x", &[])], text(MAX_PARAM_LEN).as_object().unwrap()).is_ok());
    let error = filled(&[param("x", &[])], text(MAX_PARAM_LEN + 1));
    assert_eq!(
        error,
        "param `x` has 65537 bytes; at most 65536 are allowed"
    );
}

#[test]
fn a_long_value_is_clipped_where_it_is_shown_and_a_short_one_is_not() {
    assert_eq!(clip(&"a".repeat(60)), "a".repeat(60));
    assert_eq!(clip(&"a".repeat(61)), "a".repeat(60) + "…");
}

#[test]
fn a_whole_number_may_be_large_or_written_with_a_point() {
    for value in [json!(-3), json!(u64::MAX), json!(3.0)] {
        assert!(ParamType::Integer.holds(&value), "{value}");
    }
    for value in [json!(2.5), json!("3"), json!(null)] {
        assert!(!ParamType::Integer.holds(&value), "{value}");
    }
}

#[test]
fn types_have_the_names_of_json_schema() {
    let names: Vec<_> = [
        ParamType::String,
        ParamType::Integer,
        ParamType::Number,
        ParamType::Boolean,
        ParamType::Array,
        ParamType::Object,
        ParamType::Null,
    ]
    .map(ParamType::name)
    .into();
    assert_eq!(
        names,
        [
            "string", "integer", "number", "boolean", "array", "object", "null"
        ]
    );
}

#[test]
fn types_are_those_of_json_schema() {
    let all = [
        (ParamType::String, json!("x")),
        (ParamType::Integer, json!(3)),
        (ParamType::Number, json!(3.5)),
        (ParamType::Boolean, json!(true)),
        (ParamType::Array, json!([])),
        (ParamType::Object, json!({})),
        (ParamType::Null, json!(null)),
    ];
    for (wanted, _) in &all {
        for (found, value) in &all {
            let fits = check(&param("p", &[*wanted]), value).is_empty();
            let integer_as_number = (*wanted, *found) == (ParamType::Number, ParamType::Integer);
            assert_eq!(
                fits,
                wanted == found || integer_as_number,
                "{wanted:?} {value}"
            );
        }
    }
    assert!(check(&param("p", &[ParamType::Integer]), &json!(3.0)).is_empty());
    assert!(check(&param("p", &[]), &json!({"any": "thing"})).is_empty());
}

#[test]
fn a_text_of_the_longest_or_the_shortest_length_is_accepted() {
    let text = |min_length, max_length| Param {
        min_length,
        max_length,
        ..param("code", &[ParamType::String])
    };
    let fits = |param: &Param, value: &str| check(param, &json!(value)).is_empty();
    assert!(fits(&text(None, Some(3)), "abc") && !fits(&text(None, Some(3)), "abcd"));
    assert!(fits(&text(Some(3), None), "abc") && !fits(&text(Some(3), None), "ab"));
}

#[test]
fn values_outside_the_limits_are_refused_with_the_limits() {
    let rows = Param {
        minimum: Some(1.0),
        maximum: Some(10.0),
        ..param("rows", &[ParamType::Number])
    };
    let code = Param {
        min_length: Some(2),
        max_length: Some(3),
        ..param("code", &[ParamType::String])
    };
    let color = Param {
        allowed: vec![json!("red"), json!(3)],
        ..param("color", &[])
    };
    let told = [
        check(&rows, &json!(0.5)),
        check(&rows, &json!(11)),
        check(&code, &json!("é")),
        check(&color, &json!("blue")),
    ];
    let told: Vec<String> = told.iter().flatten().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    param `rows` must be between 1 and 10; found 0.5
    param `rows` must be between 1 and 10; found 11
    param `code` must have 2 to 3 characters; found 1
    param `color` must be one of `"red"`, `3`; found `"blue"`
    "#);
    for (param, good) in [
        (&rows, json!(1)),
        (&rows, json!(10.0)),
        (&code, json!("éé")),
        (&color, json!(3.0)),
    ] {
        assert_eq!(check(param, &good), []);
    }
}

#[test]
fn formats_are_checked() {
    for (format, good, bad) in [
        (
            ParamFormat::Date,
            &["2026-01-31", "2024-02-29"][..],
            &[
                "2026-02-30",
                "31.1.2026",
                "2026-01-31T00:00",
                "20260131",
                "",
            ][..],
        ),
        (
            ParamFormat::DateTime,
            &["2026-01-31T08:00:00Z", "2026-01-31T08:00:00+09:00"][..],
            &["2026-01-31", "2026-01-31T08:00:00", "now"][..],
        ),
        (
            ParamFormat::Uri,
            &[
                "https://example.com/a?b=c",
                "s3://bucket/key",
                "file:///tmp/x",
            ][..],
            &[
                "example.com",
                "/a/b",
                "https://",
                "https://a b/",
                "https://a/b c",
                "https://a/b\u{7}c",
                "",
            ][..],
        ),
        (ParamFormat::Multiline, &["a\nb", ""][..], &[][..]),
    ] {
        let param = Param {
            format: Some(format),
            ..param("p", &[ParamType::String])
        };
        for text in good {
            assert_eq!(check(&param, &json!(text)), [], "{text}");
        }
        for text in bad {
            assert_eq!(check(&param, &json!(text)).len(), 1, "{text}");
        }
    }
}

#[test]
fn a_huge_value_is_refused_and_not_repeated() {
    let errors = check(&param("p", &[]), &json!("x".repeat(MAX_PARAM_LEN)));
    assert_eq!(
        errors[0].to_string(),
        "param `p` has 65538 bytes; at most 65536 are allowed"
    );
    let errors = check(&param("p", &[ParamType::Null]), &json!("x".repeat(1000)));
    assert!(errors[0].to_string().len() < 200);
}

#[test]
fn a_command_lines_text_becomes_what_the_type_asks_for() {
    for (types, text, wanted) in [
        (&[ParamType::String][..], "5", json!("5")),
        (&[ParamType::Integer][..], "5", json!(5)),
        (&[ParamType::Boolean][..], "true", json!(true)),
        (&[ParamType::Array][..], "[1, 2]", json!([1, 2])),
        (
            &[ParamType::Integer, ParamType::Null][..],
            "null",
            json!(null),
        ),
        (&[ParamType::Integer][..], "five", json!("five")),
        (&[][..], "5", json!(5)),
        (&[][..], "five", json!("five")),
    ] {
        assert_eq!(coerce_text(&param("p", types), text), wanted, "{text}");
    }
    let plain = Param {
        default: Some(json!("1")),
        ..param("p", &[])
    };
    assert_eq!(coerce_text(&plain, "5"), json!("5"));
}
