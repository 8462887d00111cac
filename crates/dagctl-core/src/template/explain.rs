//! Turns the engine's errors into sentences that say what to type.

use std::error::Error as _;
use std::ops::Range;

use minijinja::{Error, ErrorKind, Value};

use super::check::{clamp, syntax_problem};
use super::syntax::{self, Path, Seen};
use super::{Context, Form, TemplateError};

/// Says what went wrong with which expression of `source`.
pub(super) fn explain(error: &Error, source: &str, form: Form, context: &Context) -> TemplateError {
    if matches!(error.kind(), ErrorKind::SyntaxError | ErrorKind::BadEscape) {
        let problem = syntax_problem(source, error);
        return about(&source[problem.range], &problem.message);
    }
    let range = clamp(source, error.range().unwrap_or(0..source.len()));
    let range = enclosing(source, range, form);
    let expression = &source[range.clone()];
    match error.kind() {
        ErrorKind::UndefinedError => match missing(source, form, &range, context) {
            Some((path, sentence)) => about(&path, &sentence),
            None => about(expression, "this value is not defined"),
        },
        ErrorKind::OutOfFuel => about(
            expression,
            "the template asks for too much work: make its loops or its values smaller",
        ),
        ErrorKind::UnknownMethod => match error.detail() {
            Some(detail) => about(expression, detail),
            None => about(expression, "this value has no such method"),
        },
        _ => {
            let mut sentence = sentence(error);
            let mut source = error.source();
            while let Some(cause) = source {
                sentence = format!("{sentence}: {cause}");
                source = cause.source();
            }
            about(expression, &sentence)
        }
    }
}

/// The whole `{{ }}` or `{% %}` around a range, because the engine may point at a single sign.
fn enclosing(source: &str, range: Range<usize>, form: Form) -> Range<usize> {
    let open = source[..range.start]
        .rfind("{{")
        .max(source[..range.start].rfind("{%"));
    let after = &source[range.end..];
    let close = [after.find("}}"), after.find("%}")]
        .into_iter()
        .flatten()
        .min();
    match (form, open, close) {
        (Form::Expression, _, _) => 0..source.len(),
        (Form::Text, Some(open), Some(close)) => open..range.end + close + 2,
        (Form::Text, _, _) => range,
    }
}

fn sentence(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

/// `` `{{ expression }}`: sentence ``.
pub(super) fn about(expression: &str, sentence: &str) -> TemplateError {
    let expression = expression.trim();
    let is_block = expression.starts_with("{%");
    let expression = expression
        .strip_prefix("{{")
        .and_then(|it| it.strip_suffix("}}"))
        .map_or(expression, |it| it.trim_matches(['-', '+']).trim());
    if expression.is_empty() {
        return TemplateError(sentence.to_owned());
    }
    let mut short: String = expression.chars().take(120).collect();
    if short.len() < expression.len() {
        short.push('…');
    }
    if is_block {
        return TemplateError(format!("`{short}`: {sentence}"));
    }
    TemplateError(format!("`{{{{ {short} }}}}`: {sentence}"))
}

/// The first path within `range` that leads nowhere, and what to do about it.
fn missing(
    source: &str,
    form: Form,
    range: &Range<usize>,
    context: &Context,
) -> Option<(String, String)> {
    let tree = syntax::tree(source, form).ok()?;
    let mut found = None;
    syntax::walk(&tree, &mut |seen| {
        let Seen::Path(path) = seen else { return };
        let touches = path.range.start < range.end && range.start < path.range.end;
        if found.is_none() && touches && !path.guarded {
            found = defect(&path, context).map(|it| (path.segments.join("."), it));
        }
    });
    found
}

fn defect(path: &Path<'_>, context: &Context) -> Option<String> {
    let segments: Vec<&str> = path.segments.iter().map(AsRef::as_ref).collect();
    let mut value: Value = match context.named(segments[0]) {
        Some(value) => value,
        None => return Some(unknown_root(segments[0])),
    };
    for (at, segment) in segments.iter().enumerate().skip(1) {
        let by_number = segment.parse::<i64>().ok().map(Value::from);
        let next = value
            .get_attr(segment)
            .ok()
            .filter(|it| !it.is_undefined())
            .or_else(|| by_number.and_then(|it| value.get_item(&it).ok()))
            .filter(|it| !it.is_undefined());
        match next {
            Some(next) => value = next,
            None => return Some(missing_at(&segments, at, &value)),
        }
    }
    None
}

fn unknown_root(name: &str) -> String {
    match super::names::instead(name) {
        Some(hint) => format!("`{name}` is not defined: {hint}"),
        None => format!("`{name}` is not defined"),
    }
}

fn missing_at(segments: &[&str], at: usize, holder: &Value) -> String {
    let name = segments[at];
    match (segments, at) {
        (["var", ..], 2) => format!(
            "variable `{name}` is not defined: set it with `dagctl variables set {name} VALUE` or DAGCTL_VAR_{}",
            name.to_uppercase()
        ),
        (["conn", ..], 1) => format!(
            "connection `{name}` is not defined: add it with `dagctl connections add {name} URI` or DAGCTL_CONN_{}",
            name.to_uppercase()
        ),
        (["conn", _, "password"], 2) => {
            "a template cannot read a password: set the task's `conn_id`".to_owned()
        }
        (["conn", conn, ..], 2) => {
            format!("connection `{conn}` has no {name}{}", known(holder))
        }
        (["params", ..], 1) => format!(
            "parameter `{name}` has no value: give it a `default` under `params`, or trigger with `--param {name}=VALUE`"
        ),
        (["outputs", ..], _) if at == 1 => {
            format!("task `{name}` left no outputs{}", known(holder))
        }
        (["outputs", task @ ..], _) => format!(
            "task `{}` left no output `{name}`{}",
            task[..at - 1].join("."),
            known(holder)
        ),
        _ => format!(
            "`{}` has no `{name}`{}",
            segments[..at].join("."),
            known(holder)
        ),
    }
}

/// `: it has a, b and 3 more`, where that can be said.
fn known(holder: &Value) -> String {
    let Ok(keys) = holder.try_iter() else {
        return String::new();
    };
    if holder.kind() != minijinja::value::ValueKind::Map {
        return String::new();
    }
    let keys: Vec<String> = keys.map(|it| it.to_string()).collect();
    match keys.len() {
        0 => ": it has none".to_owned(),
        1..=12 => format!(": it has {}", keys.join(", ")),
        more => format!(": it has {} and {} more", keys[..12].join(", "), more - 12),
    }
}
