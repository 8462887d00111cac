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
            Self::Integer => value.as_f64().is_some_and(|it| it.fract() == 0.0),
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
mod tests;
