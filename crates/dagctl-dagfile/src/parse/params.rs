//! `params`: plain defaults, or entries like those of JSON Schema.

use dagctl_core::ids;
use dagctl_core::params::{self, Param, ParamFormat, ParamType};
use serde_json::Value;

use crate::diagnostic::Code;
use crate::reader::Choice;
use crate::sources::Session;
use crate::vocabulary::list;
use crate::yaml::{Entry, Node, Yaml};
use dagctl_core::nearest::nearest;

const MAX_PARAMS: usize = 500;

const TYPES: &[(&str, ParamType)] = &[
    ("string", ParamType::String),
    ("integer", ParamType::Integer),
    ("number", ParamType::Number),
    ("boolean", ParamType::Boolean),
    ("array", ParamType::Array),
    ("object", ParamType::Object),
    ("null", ParamType::Null),
];

const FORMATS: Choice<'_, ParamFormat> = Choice {
    works: &[
        ("date", ParamFormat::Date),
        ("date-time", ParamFormat::DateTime),
        ("uri", ParamFormat::Uri),
        ("multiline", ParamFormat::Multiline),
    ],
    not_yet: &[
        "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "regex",
    ],
};

const FIELDS: &[&str] = &[
    "type",
    "default",
    "description",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "format",
];

const NOT_YET: &[&str] = &[
    "title",
    "pattern",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "multipleOf",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "examples",
    "section",
    "values_display",
    "suggested_values",
    "custom_html_form",
    "source",
    "schema",
];

/// What others write for our fields.
const FOREIGN: &[(&str, &str)] = &[
    ("min", "minimum"),
    ("max", "maximum"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("choices", "enum"),
    ("options", "enum"),
    ("allowed", "enum"),
    ("value", "default"),
    ("help", "description"),
    ("doc", "description"),
];

/// The parameters; an empty list where there are none.
pub(super) fn read(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Vec<Param>> {
    if !session.is_map(node, field) {
        return None;
    }
    let entries = node.entries();
    if entries.len() > MAX_PARAMS {
        let message = format!("{} parameters; {MAX_PARAMS} are the limit", entries.len());
        session.report(Code::TooMany, node.place, message);
        return None;
    }
    let read: Vec<_> = entries.iter().map(|it| one(session, it)).collect();
    read.into_iter().collect()
}

fn one(session: &mut Session<'_>, entry: &Entry) -> Option<Param> {
    if let Err(error) = ids::check_name(&entry.key) {
        session.report(Code::BadName, entry.key_place, error.to_string());
        return None;
    }
    let mut param = Param {
        name: entry.key.clone(),
        types: vec![],
        default: None,
        description: None,
        allowed: vec![],
        minimum: None,
        maximum: None,
        min_length: None,
        max_length: None,
        format: None,
    };
    let mut good = true;
    match &entry.value.value {
        Yaml::Broken => return None,
        Yaml::Map(fields) => good = described(session, entry, fields, &mut param),
        Yaml::Null | Yaml::Scalar(_) | Yaml::List(_) => {
            let default = session.json(&entry.value, &mut |_, _| ());
            param.types = type_of(&default).into_iter().collect();
            param.default = Some(default);
        }
    }
    good &= check_default(session, entry, &param);
    good.then_some(param)
}

/// Reads an entry of the long form; whether nothing was wrong with it.
fn described(
    session: &mut Session<'_>,
    entry: &Entry,
    fields: &[Entry],
    param: &mut Param,
) -> bool {
    let mut good = true;
    for field in fields {
        let (name, node) = (field.key.as_str(), &field.value);
        let read = match name {
            "default" => {
                param.default = Some(session.json(node, &mut |_, _| ()));
                true
            }
            "type" => {
                let types: Vec<_> = session
                    .items(node)
                    .into_iter()
                    .map(|it| type_word(session, it))
                    .collect();
                let known: Option<Vec<_>> = types.into_iter().collect();
                known.map(|it| param.types = it).is_some()
            }
            "description" => {
                param.description = session.string(node, name);
                param.description.is_some()
            }
            "enum" => session
                .list(node, name)
                .map(|items| {
                    let values = items.iter().map(|it| session.json(it, &mut |_, _| ()));
                    param.allowed = values.collect();
                })
                .is_some(),
            "minimum" => {
                param.minimum = session.number(node, name);
                param.minimum.is_some()
            }
            "maximum" => {
                param.maximum = session.number(node, name);
                param.maximum.is_some()
            }
            "minLength" => {
                param.min_length = session.whole(node, name, 0);
                param.min_length.is_some()
            }
            "maxLength" => {
                param.max_length = session.whole(node, name, 0);
                param.max_length.is_some()
            }
            "format" => {
                param.format = session.choice(node, name, &FORMATS);
                param.format.is_some()
            }
            _ => {
                report_field(session, field);
                false
            }
        };
        good &= read;
    }
    if fields.is_empty() {
        let place = entry.key_place;
        session.missing(place, &format!("param `{}`", entry.key), "default");
        return false;
    }
    good
}

fn type_word(session: &mut Session<'_>, node: &Node) -> Option<ParamType> {
    // `type: null` without quotes is meant as the word.
    if matches!(node.value, Yaml::Null) {
        return Some(ParamType::Null);
    }
    let text = session.string(node, "type")?;
    if let Some((_, it)) = TYPES.iter().find(|(word, _)| *word == text) {
        return Some(*it);
    }
    let ours = match text.as_str() {
        "str" | "text" => Some("string"),
        "int" => Some("integer"),
        "float" | "double" | "decimal" => Some("number"),
        "bool" => Some("boolean"),
        "list" => Some("array"),
        "dict" | "map" => Some("object"),
        "date" | "datetime" => {
            session
                .report(
                    Code::BadValue,
                    node.place,
                    format!("`{text}` is no type of JSON Schema"),
                )
                .hint("write `type: string` and `format: date` or `format: date-time`");
            return None;
        }
        _ => None,
    };
    let words: Vec<_> = TYPES.iter().map(|(word, _)| *word).collect();
    let hint = match ours.or_else(|| nearest(&text, words.iter().copied())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it may be {}", list(&words)),
    };
    session
        .report(
            Code::BadValue,
            node.place,
            format!("`{text}` is no type of JSON Schema"),
        )
        .hint(hint);
    None
}

fn report_field(session: &mut Session<'_>, field: &Entry) {
    let name = field.key.as_str();
    if NOT_YET.contains(&name) {
        session
            .report(
                Code::NotYet,
                field.key_place,
                format!("`{name}` of a param does not work yet"),
            )
            .label("not yet");
        return;
    }
    let foreign = FOREIGN.iter().find(|(it, _)| *it == name);
    let message = match foreign {
        Some((_, ours)) => {
            format!("unknown field `{name}` of a param; dagctl calls this `{ours}`")
        }
        None => format!("unknown field `{name}` of a param"),
    };
    let near = foreign
        .map(|(_, ours)| *ours)
        .or_else(|| nearest(name, FIELDS.iter().copied()));
    let hint = match near {
        Some(near) => format!("write `{near}:`"),
        None => format!(
            "the fields here are {}; a map as a default goes under `default:`",
            list(FIELDS)
        ),
    };
    session
        .report(Code::UnknownField, field.key_place, message)
        .hint(hint);
}

fn check_default(session: &mut Session<'_>, entry: &Entry, param: &Param) -> bool {
    let Some(default) = &param.default else {
        return true;
    };
    let place = entry
        .value
        .get("default")
        .map_or(entry.value.place, |it| it.value.place);
    let problems = params::check(param, default);
    for problem in &problems {
        session
            .report(Code::BadParam, place, problem.to_string())
            .label("its own default");
    }
    problems.is_empty()
}

fn type_of(value: &Value) -> Option<ParamType> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(ParamType::Boolean),
        Value::Number(it) if it.is_f64() => Some(ParamType::Number),
        Value::Number(_) => Some(ParamType::Integer),
        Value::String(_) => Some(ParamType::String),
        Value::Array(_) => Some(ParamType::Array),
        Value::Object(_) => Some(ParamType::Object),
    }
}
