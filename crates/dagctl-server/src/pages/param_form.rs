//! A DAG's parameters as fields of a form, and what was typed into them as values.

use dagctl_core::params::{Param, ParamFormat, ParamType};
use serde_json::{Map, Value};

use crate::form::Fields;

/// One parameter as a field.
pub(super) struct ParamField {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) kind: &'static str,
    pub(super) input: Input,
    pub(super) value: String,
    /// What a trigger that leaves it out takes; absent where it must be said.
    pub(super) default: Option<String>,
    pub(super) is_required: bool,
}

/// What a parameter is typed into.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// One line; the type of the `input` element.
    Line(&'static str),
    /// Several lines.
    Area,
    /// One of these.
    Choice(Vec<String>),
}

impl ParamField {
    /// The field of a parameter, with what was typed before, else with its default.
    pub(super) fn new(param: &Param, typed: Option<&Fields>) -> Self {
        let default = param.default.as_ref().map(as_text);
        Self {
            name: param.name.clone(),
            description: param.description.clone(),
            kind: kind(param),
            input: input(param),
            value: match typed {
                Some(typed) => typed.text(&field_name(&param.name)).to_owned(),
                None => default.clone().unwrap_or_default(),
            },
            default,
            is_required: param.default.is_none(),
        }
    }
}

pub(super) fn field_name(param: &str) -> String {
    format!("param.{param}")
}

/// What the form says: parameters left at their defaults are not sent.
pub(super) fn values(params: &[Param], fields: &Fields) -> Map<String, Value> {
    let mut values = Map::new();
    for param in params {
        let text = fields.text(&field_name(&param.name));
        let is_default = param.default.as_ref().is_some_and(|it| as_text(it) == text);
        let is_left_out =
            text.is_empty() && param.default.is_none() && !takes(param, ParamType::String);
        if !is_default && !is_left_out {
            values.insert(param.name.clone(), value(param, text));
        }
    }
    values
}

fn takes(param: &Param, kind: ParamType) -> bool {
    param.types.is_empty() || param.types.contains(&kind)
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Reads a text as the first type that it can be; as a text where it is none of them, so that the check can say so.
fn value(param: &Param, text: &str) -> Value {
    if let Some(allowed) = param.allowed.iter().find(|it| as_text(it) == text) {
        return allowed.clone();
    }
    let is_text = param.types.first() == Some(&ParamType::String);
    if is_text && !(text.is_empty() && param.types.contains(&ParamType::Null)) {
        return Value::String(text.to_owned());
    }
    if text.is_empty() && param.types.contains(&ParamType::Null) {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn kind(param: &Param) -> &'static str {
    if !param.allowed.is_empty() {
        return "one of these";
    }
    match param.types.iter().find(|it| **it != ParamType::Null) {
        Some(ParamType::String) => match param.format {
            Some(ParamFormat::Date) => "date, such as 2026-01-31",
            Some(ParamFormat::DateTime) => "moment, such as 2026-01-31T08:00:00Z",
            Some(ParamFormat::Uri) => "URL",
            Some(ParamFormat::Multiline) | None => "text",
        },
        Some(ParamType::Integer) => "whole number",
        Some(ParamType::Number) => "number",
        Some(ParamType::Boolean) => "true or false",
        Some(ParamType::Array) => "list, as JSON",
        Some(ParamType::Object) => "map, as JSON",
        Some(ParamType::Null) | None => "any value, as JSON",
    }
}

fn input(param: &Param) -> Input {
    if !param.allowed.is_empty() {
        return Input::Choice(param.allowed.iter().map(as_text).collect());
    }
    match param.types.as_slice() {
        [ParamType::Boolean] => Input::Choice(vec!["true".to_owned(), "false".to_owned()]),
        [ParamType::String] => match param.format {
            Some(ParamFormat::Date) => Input::Line("date"),
            Some(ParamFormat::Uri) => Input::Line("url"),
            Some(ParamFormat::Multiline) => Input::Area,
            Some(ParamFormat::DateTime) | None => Input::Line("text"),
        },
        [ParamType::Array | ParamType::Object] => Input::Area,
        _ => Input::Line("text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn param(types: &[ParamType]) -> Param {
        Param {
            name: "x".to_owned(),
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

    #[test]
    fn what_is_typed_becomes_what_the_parameter_takes() {
        for (types, text, wanted) in [
            (&[ParamType::String][..], "42", json!("42")),
            (&[ParamType::Integer], "42", json!(42)),
            (&[ParamType::Integer], "many", json!("many")),
            (&[ParamType::Boolean], "true", json!(true)),
            (&[ParamType::Array], "[1, 2]", json!([1, 2])),
            (&[ParamType::String, ParamType::Null], "", json!(null)),
            (&[], "{\"a\": 1}", json!({"a": 1})),
            (&[], "plain words", json!("plain words")),
        ] {
            assert_eq!(value(&param(types), text), wanted, "{text}");
        }
    }
}
