//! The parameters of a DAG, and what a trigger may set them to.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::nearest::nearest;
use url::Url;

/// A parameter: what it may be, and what it is when nobody says.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name in `params.<name>`.
    pub name: String,
    /// The JSON types it may have; empty: any.
    pub types: Vec<ParamType>,
    /// Its value when a trigger does not set it; without one a trigger must.
    pub default: Option<Value>,
    /// A sentence for the form.
    pub description: Option<String>,
    /// The only values allowed, where the list is not empty.
    pub allowed: Vec<Value>,
    /// The smallest number allowed.
    pub minimum: Option<f64>,
    /// The largest number allowed.
    pub maximum: Option<f64>,
    /// The least number of characters.
    pub min_length: Option<u64>,
    /// The largest number of characters.
    pub max_length: Option<u64>,
    /// What the text is.
    pub format: Option<ParamFormat>,
}

/// A JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamType {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A map.
    Object,
    /// Nothing.
    Null,
}

/// What a text is, as in JSON Schema's `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamFormat {
    /// `2026-01-31`.
    Date,
    /// `2026-01-31T08:00:00Z`.
    DateTime,
    /// An absolute URL.
    Uri,
    /// More than one line in the form.
    Multiline,
}

/// One thing wrong with the values of a trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParamError {
    /// Which parameter.
    pub name: String,
    /// What is wrong, what was found and what is allowed.
    pub message: String,
}

/// The largest value in bytes of JSON.
pub const MAX_PARAM_LEN: usize = 64 * 1024;

/// Fills a run's parameters from defaults and what a trigger sets; every problem in one go.
///
/// Defaults are taken as they are: [`check`] looks at them when the file loads.
pub fn fill(
    params: &[Param],
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParamError>> {
    let mut filled = Map::new();
    let mut errors = vec![];
    for param in params {
        match (given.get(&param.name), &param.default) {
            (Some(value), _) => {
                errors.extend(check(param, value));
                filled.insert(param.name.clone(), value.clone());
            }
            (None, Some(default)) => {
                filled.insert(param.name.clone(), default.clone());
            }
            (None, None) => errors.push(ParamError {
                name: param.name.clone(),
                message: format!(
                    "param `{}` is required: it has no default and was not set; it must be {}",
                    param.name,
                    wanted(param)
                ),
            }),
        }
    }
    for name in given.keys() {
        if !params.iter().any(|it| it.name == *name) {
            errors.push(unknown(params, name));
        }
    }
    if errors.is_empty() {
        Ok(filled)
    } else {
        Err(errors)
    }
}

/// Says what is wrong with `value` as the value of `param`; nothing, if it is a good one.
pub fn check(param: &Param, value: &Value) -> Vec<ParamError> {
    let mut problems = vec![];
    let size = value.to_string().len();
    if size > MAX_PARAM_LEN {
        problems.push(format!(
            "has {size} bytes; at most {MAX_PARAM_LEN} are allowed"
        ));
    } else if !param.types.is_empty() && !param.types.iter().any(|it| it.holds(value)) {
        problems.push(format!(
            "must be {}; found {}",
            wanted(param),
            described(value)
        ));
    } else {
        if !param.allowed.is_empty() && !param.allowed.iter().any(|it| same(it, value)) {
            problems.push(format!(
                "must be one of {}; found {}",
                list(&param.allowed),
                quoted(value)
            ));
        }
        problems.extend(value.as_f64().and_then(|it| range_problem(param, it)));
        if let Some(text) = value.as_str() {
            problems.extend(length_problem(param, text));
            problems.extend(param.format.and_then(|it| it.problem(text)));
        }
    }
    problems
        .into_iter()
        .map(|problem| ParamError {
            name: param.name.clone(),
            message: format!("param `{}` {problem}", param.name),
        })
        .collect()
}

/// Turns the text of a command line's `-p name=text` into the JSON value that the parameter's type
/// asks for. What is no such value stays a text, for [`fill`] to complain about.
pub fn coerce_text(param: &Param, text: &str) -> Value {
    let is_text = match (&param.types[..], &param.default) {
        ([], Some(default)) => default.is_string(),
        (types, _) => types.contains(&ParamType::String),
    };
    if is_text {
        return Value::from(text);
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

impl ParamType {
    /// The word of JSON Schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
            Self::Null => "null",
        }
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            // As in JSON Schema, 3.0 is a whole number.
            Self::Integer => {
                value.is_i64()
                    || value.is_u64()
                    || value.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Null => value.is_null(),
        }
    }

    fn with_article(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "a boolean (`true` or `false`)",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Null => "null",
        }
    }
}

impl ParamFormat {
    fn problem(self, text: &str) -> Option<String> {
        let (good, wanted) = match self {
            Self::Date => (is_date(text), "a date such as `2026-01-31`"),
            Self::DateTime => (
                text.parse::<Timestamp>().is_ok(),
                "a moment with its offset, such as `2026-01-31T08:00:00Z`",
            ),
            Self::Uri => (
                is_url(text),
                "an absolute URL such as `https://example.com/data.csv`",
            ),
            Self::Multiline => return None,
        };
        (!good).then(|| format!("must be {wanted}; found {}", quoted(&Value::from(text))))
    }
}

fn range_problem(param: &Param, number: f64) -> Option<String> {
    let too_small = param.minimum.is_some_and(|it| number < it);
    let too_large = param.maximum.is_some_and(|it| number > it);
    if !too_small && !too_large {
        return None;
    }
    let range = match (param.minimum, param.maximum) {
        (Some(low), Some(high)) => format!("between {low} and {high}"),
        (Some(low), None) => format!("{low} or more"),
        (None, Some(high)) => format!("{high} or less"),
        (None, None) => return None,
    };
    Some(format!("must be {range}; found {number}"))
}

fn length_problem(param: &Param, text: &str) -> Option<String> {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let characters = match (param.min_length, param.max_length) {
        (Some(least), Some(most)) if !(least..=most).contains(&length) => {
            format!("{least} to {most} characters")
        }
        (Some(least), None) if length < least => format!("at least {least} characters"),
        (None, Some(most)) if length > most => format!("at most {most} characters"),
        (Some(_) | None, Some(_) | None) => return None,
    };
    Some(format!("must have {characters}; found {length}"))
}

fn is_date(text: &str) -> bool {
    // The parser of dates takes a time behind them, too.
    text.len() == "2026-01-31".len() && text.parse::<Date>().is_ok()
}

fn is_url(text: &str) -> bool {
    !text.contains(|it: char| it.is_whitespace() || it.is_control()) && Url::parse(text).is_ok()
}

/// Whether two values mean the same: `3` is `3.0`.
fn same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && one.as_f64() == other.as_f64())
}

fn unknown(params: &[Param], name: &str) -> ParamError {
    let names: Vec<&str> = params.iter().map(|it| it.name.as_str()).collect();
    let close = nearest(name, names.iter().copied());
    let clipped = clip(name);
    let message = match (close, &names[..]) {
        (Some(close), _) => {
            format!("this DAG has no param `{clipped}`; did you mean `{close}`?")
        }
        (None, []) => format!("this DAG has no param `{clipped}`; it has none at all"),
        (None, names) => format!(
            "this DAG has no param `{clipped}`; it has `{}`",
            names.join("`, `")
        ),
    };
    ParamError {
        name: name.to_owned(),
        message,
    }
}

fn wanted(param: &Param) -> String {
    match &param.types[..] {
        [] => "set".to_owned(),
        types => types
            .iter()
            .map(|it| it.with_article())
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

/// A value with its type: an object is not quoted in full.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => format!("the boolean {}", quoted(value)),
        Value::Number(_) => format!("the number {}", quoted(value)),
        Value::String(_) => format!("the string {}", quoted(value)),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn quoted(value: &Value) -> String {
    format!("`{}`", clip(&value.to_string()))
}

fn list(values: &[Value]) -> String {
    values.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn clip(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut clipped: String = text.chars().take(LONGEST).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
mod tests {
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
                let integer_as_number =
                    (*wanted, *found) == (ParamType::Number, ParamType::Integer);
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
                &["example.com", "/a/b", "https://", "https://a b/", ""][..],
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
}
