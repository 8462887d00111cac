//! Finds what is wrong with a template before it is rendered.

use std::ops::Range;

use minijinja::Error;

use super::names::{self, Kind};
use super::syntax::{self, Path, Seen};
use super::{Form, Scope, TemplateProblem};
use crate::nearest::nearest;

pub(super) fn check(source: &str, form: Form, scope: &Scope) -> Vec<TemplateProblem> {
    if let Some(problem) = braces_in_expression(source, form) {
        return vec![problem];
    }
    let tree = match syntax::tree(source, form) {
        Ok(tree) => tree,
        Err(error) => return vec![syntax_problem(source, &error)],
    };
    let mut problems = Vec::new();
    syntax::walk(&tree, &mut |seen| {
        let problem = match seen {
            Seen::Path(path) => in_path(&path, scope),
            Seen::Filter(name, range) => unknown("filter", name, range, names::FILTERS),
            Seen::Test(name, range) => unknown("test", name, range, names::TESTS),
            Seen::Function(name, range) => in_function(name, range, scope),
            Seen::Capture(_) => None,
        };
        problems.extend(problem);
    });
    problems.sort_by_key(|it| (it.range.start, it.range.end));
    problems
}

fn braces_in_expression(source: &str, form: Form) -> Option<TemplateProblem> {
    let trimmed = source.trim();
    let inner = trimmed.strip_prefix("{{")?.strip_suffix("}}")?;
    (form == Form::Expression).then(|| TemplateProblem {
        message: "this field is an expression already, so it takes no `{{ }}`".to_owned(),
        range: 0..source.len(),
        hint: Some(format!("write `{}`", inner.trim())),
    })
}

pub(super) fn syntax_problem(source: &str, error: &Error) -> TemplateProblem {
    let detail = error.detail().unwrap_or("this is not a template");
    let (message, hint) = match detail.strip_prefix("unknown statement ") {
        Some(word @ ("include" | "import" | "from" | "extends" | "block" | "macro" | "call")) => (
            format!("`{{% {word} %}}` is not allowed: a template stands alone"),
            None,
        ),
        Some(word) => {
            let known = ["if", "for", "set", "with", "filter", "raw", "do"];
            let hint = nearest(word, known).map(|it| format!("did you mean `{it}`?"));
            (format!("unknown statement `{word}`"), hint)
        }
        None => (format!("the template cannot be read: {detail}"), None),
    };
    TemplateProblem {
        message,
        range: clamp(source, error.range().unwrap_or(0..source.len())),
        hint,
    }
}

/// Keeps a range inside the source and on borders of characters.
pub(super) fn clamp(source: &str, range: Range<usize>) -> Range<usize> {
    let mut start = range.start.min(source.len());
    let mut end = range.end.clamp(start, source.len());
    while !source.is_char_boundary(start) {
        start -= 1;
    }
    while !source.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

fn unknown(
    what: &str,
    name: &str,
    range: Range<usize>,
    known: &'static [&'static str],
) -> Option<TemplateProblem> {
    (!known.contains(&name)).then(|| {
        let suggestion = nearest(name, known.iter().copied());
        problem(format!("unknown {what} `{name}`"), range, suggestion)
    })
}

fn in_function(name: &str, range: Range<usize>, scope: &Scope) -> Option<TemplateProblem> {
    if names::FUNCTIONS.contains(&name) {
        return None;
    }
    let mut found = if names::kind(name, scope).is_some() {
        problem(format!("`{name}` is not a function"), range, None)
    } else {
        let suggestion = nearest(name, names::FUNCTIONS.iter().copied());
        problem(format!("unknown function `{name}`"), range, suggestion)
    };
    if found.hint.is_none() && names::MACROS.contains(&name) {
        found.hint = Some(format!("use `macros.{name}(…)`"));
    }
    Some(found)
}

fn in_path(path: &Path<'_>, scope: &Scope) -> Option<TemplateProblem> {
    let name = path.segments[0].as_ref();
    let Some(kind) = names::kind(name, scope) else {
        if names::FUNCTIONS.contains(&name) {
            return None;
        }
        let here = path.range.start..path.range.start + name.len();
        let mut found = problem(
            format!("unknown name `{name}`"),
            here,
            nearest(name, names::all(scope)),
        );
        if let Some(hint) = names::instead(name) {
            found.hint = Some(hint.to_owned());
        }
        return Some(found);
    };
    let attributes = &path.segments[1..];
    let range = path.range.clone();
    match kind {
        Kind::Plain | Kind::Open => None,
        Kind::Moment => {
            let asked = attributes.first().map(AsRef::as_ref).or(path.method)?;
            let is_known = match path.method {
                Some(method) if attributes.is_empty() => super::moment::METHODS.contains(&method),
                _ => super::moment::ATTRIBUTES.contains(&asked),
            };
            (!is_known).then(|| {
                let suggestion = nearest(asked, names::of_moment());
                problem(format!("`{name}` has no `{asked}`"), range, suggestion)
            })
        }
        Kind::Fields(known) => in_fields(name, attributes.first()?, known, range),
        Kind::Functions(known) => {
            let asked = attributes.first().map(AsRef::as_ref).or(path.method)?;
            in_fields(name, asked, known, range)
        }
        Kind::Params => {
            let (known, asked) = (scope.params.as_ref()?, attributes.first()?);
            (!known.iter().any(|it| it == asked)).then(|| {
                let suggestion = nearest(asked, known.iter().map(String::as_str));
                let mut found = problem(
                    format!("this DAG has no parameter `{asked}`"),
                    range,
                    suggestion,
                );
                found
                    .hint
                    .get_or_insert_with(|| format!("declare `{asked}` under `params`"));
                found
            })
        }
        Kind::Outputs => in_outputs(attributes, path, scope),
        Kind::Variables => in_variables(attributes, path),
        Kind::Connections => in_connections(attributes, path),
    }
}

fn in_fields(
    name: &str,
    asked: &str,
    known: &'static [&'static str],
    range: Range<usize>,
) -> Option<TemplateProblem> {
    (!known.contains(&asked)).then(|| {
        let mut found = problem(
            format!("`{name}` has no `{asked}`"),
            range,
            nearest(asked, known.iter().copied()),
        );
        found
            .hint
            .get_or_insert_with(|| format!("it has {}", known.join(", ")));
        found
    })
}

fn in_outputs(
    attributes: &[std::borrow::Cow<'_, str>],
    path: &Path<'_>,
    scope: &Scope,
) -> Option<TemplateProblem> {
    if attributes.is_empty() {
        return None;
    }
    // A task id may hold dots, so every prefix of the path may be the task.
    let mut candidate = String::new();
    for attribute in attributes {
        if !candidate.is_empty() {
            candidate.push('.');
        }
        candidate.push_str(attribute);
        if scope.tasks.contains(&candidate) {
            return None;
        }
    }
    let group = format!("{candidate}.");
    if scope.tasks.iter().any(|it| it.starts_with(&group)) {
        return None;
    }
    // The last attribute is the key, unless the task is all there is.
    let asked = match attributes {
        [.., _key] if attributes.len() > 1 => attributes[..attributes.len() - 1].join("."),
        _ => candidate,
    };
    let tasks = || scope.tasks.iter().map(String::as_str);
    let suggestion = nearest(&asked, tasks()).or_else(|| nearest(&attributes[0], tasks()));
    let hint = match suggestion {
        Some(task) => format!("did you mean `outputs.{task}`?"),
        None => format!("add `{asked}` to `depends_on`"),
    };
    Some(TemplateProblem {
        message: format!(
            "the outputs of `{asked}` cannot be read here: no task of that name is upstream"
        ),
        range: path.range.clone(),
        hint: Some(hint),
    })
}

fn in_variables(
    attributes: &[std::borrow::Cow<'_, str>],
    path: &Path<'_>,
) -> Option<TemplateProblem> {
    let range = path.range.clone();
    match attributes {
        [kind, ..] if !matches!(kind.as_ref(), "value" | "json") => {
            let mut found = problem(format!("`var` has no `{kind}`"), range, None);
            found.hint = Some(format!("use `var.value.{kind}` or `var.json.{kind}`"));
            Some(found)
        }
        [_, _, ..] => None,
        _ => {
            let mut found = problem(
                "which variable is read must be written out".to_owned(),
                range,
                None,
            );
            found.hint = Some("use `var.value.NAME` or `var.json.NAME`".to_owned());
            Some(found)
        }
    }
}

fn in_connections(
    attributes: &[std::borrow::Cow<'_, str>],
    path: &Path<'_>,
) -> Option<TemplateProblem> {
    let range = path.range.clone();
    match attributes {
        [] => {
            let mut found = problem(
                "which connection is read must be written out".to_owned(),
                range,
                None,
            );
            found.hint = Some("use `conn.NAME.host`".to_owned());
            Some(found)
        }
        [_] => None,
        [conn, asked, ..] if matches!(asked.as_ref(), "password" | "get_password" | "get_uri") => {
            let mut found = problem(
                format!("the password of `conn.{conn}` cannot be read by a template"),
                range,
                None,
            );
            found.hint = Some(format!("set `conn_id: {conn}` and the task logs in itself"));
            Some(found)
        }
        [conn, asked, ..] => in_fields(&format!("conn.{conn}"), asked, names::CONNECTION, range),
    }
}

fn problem(message: String, range: Range<usize>, suggestion: Option<&str>) -> TemplateProblem {
    match suggestion {
        Some(name) => TemplateProblem {
            message: format!("{message}; did you mean `{name}`?"),
            range,
            hint: Some(format!("write `{name}`")),
        },
        None => TemplateProblem {
            message,
            range,
            hint: None,
        },
    }
}
