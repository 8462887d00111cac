//! The operators and their own fields.

use dagctl_core::operator::{Fetch, Http, Operator, Paging, Shell, ShellCommand, Sql, SqlCheck};
use serde_json::{Map, Value};

use super::check::bounds;
use super::table::{build_table, load_file, sql_with_place};
use super::task::{Site, expression};
use super::{binds, branch, waiting};
use crate::diagnostic::Code;
use crate::layers::{Layers, check_fields};
use crate::lint::Names;
use crate::reader::Choice;
use crate::sources::{Place, Session};
use crate::vocabulary::{self, Level, Verdict};
use crate::yaml::{Node, Yaml};

const FETCH: Choice<'_, Fetch> = Choice {
    works: &[
        ("none", Fetch::None),
        ("value", Fetch::Value),
        ("row", Fetch::Row),
        ("column", Fetch::Column),
        ("rows", Fetch::Rows),
    ],
    not_yet: &[],
};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The name of a task's operator.
pub(super) fn name(task: &Node) -> Option<&str> {
    match &task.get("operator")?.value.value {
        Yaml::Scalar(it) => Some(&it.text),
        Yaml::Broken | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => None,
    }
}

/// Reads a task's operator with its fields, and complains about fields that are not its own.
pub(super) fn read(session: &mut Session<'_>, site: &Site<'_>) -> Option<Operator> {
    if matches!(site.node.value, Yaml::Broken) {
        return None;
    }
    if !matches!(site.node.value, Yaml::Map(_)) {
        let message = format!("task `{}` must be a map of fields", site.task_id);
        session
            .report(Code::WrongType, site.place, message)
            .hint("the least is `operator:` and what it needs");
        return None;
    }
    let fields = site.node.entries();
    let Some(entry) = site.node.get("operator") else {
        check_fields(session, fields, Level::AnyTask);
        report_missing(session, site);
        return None;
    };
    let name = session.string(&entry.value, "operator")?;
    let Some(known) = vocabulary::operator(&name) else {
        if matches!(vocabulary::judge_operator(&name), Verdict::Unknown { .. }) {
            check_fields(session, fields, Level::AnyTask);
        }
        report_unknown(session, entry.value.place, &name);
        return None;
    };
    check_fields(session, fields, Level::Task(known.name));
    let layers = site.layers(known.name);
    match known.name {
        "empty" => Some(Operator::Empty),
        "sql" => sql(session, site, &layers).map(Operator::Sql),
        "sql_check" => sql_check(session, site, &layers).map(Operator::SqlCheck),
        "build_table" => build_table(session, site, &layers).map(Operator::BuildTable),
        "load_file" => load_file(session, site, &layers).map(Operator::LoadFile),
        "http" => http(session, site, &layers).map(Operator::Http),
        "shell" => shell(session, site, &layers).map(Operator::Shell),
        "branch" => branch::read(session, site, &layers).map(Operator::Branch),
        "latest_only" => Some(Operator::LatestOnly),
        "sql_sensor" => waiting::sql_sensor(session, site, &layers).map(Operator::SqlSensor),
        "http_sensor" => waiting::http_sensor(session, site, &layers).map(Operator::HttpSensor),
        "file_sensor" => waiting::file_sensor(session, site, &layers).map(Operator::FileSensor),
        "external_task_sensor" => {
            waiting::external_task_sensor(session, site, &layers).map(Operator::ExternalTaskSensor)
        }
        "time_sensor" => waiting::time_sensor(session, site, &layers).map(Operator::TimeSensor),
        "trigger_dagrun" => {
            waiting::trigger_dagrun(session, site, &layers).map(Operator::TriggerDagrun)
        }
        "approval" => waiting::approval(session, site, &layers).map(Operator::Approval),
        _ => None,
    }
}

fn report_missing(session: &mut Session<'_>, site: &Site<'_>) {
    let has = |field: &str| site.node.get(field).is_some();
    let guess = if has("command") || has("bash_command") || has("script") || has("run") {
        Some("shell")
    } else if has("main_sql") || has("config") {
        Some("build_table")
    } else if has("file") && has("table") {
        Some("load_file")
    } else if has("sql") {
        Some("sql")
    } else if has("endpoint") || has("url") {
        Some("http")
    } else {
        None
    };
    let message = format!("task `{}` needs the field `operator`", site.task_id);
    let diagnostic = session.report(Code::MissingField, site.place, message);
    diagnostic.hint(match guess {
        Some(it) => format!("add `operator: {it}`"),
        None => {
            let names: Vec<_> = vocabulary::OPERATORS.iter().map(|it| it.name).collect();
            format!("the operators are {}", vocabulary::list(&names))
        }
    });
}

/// Complains about an operator that does not work, or that nobody knows.
pub(super) fn report_unknown(session: &mut Session<'_>, place: Place, name: &str) {
    match vocabulary::judge_operator(name) {
        Verdict::NotYet => {
            session
                .report(
                    Code::NotYet,
                    place,
                    format!("operator `{name}` does not work yet"),
                )
                .label("not yet");
        }
        Verdict::Unknown {
            ours: Some(ours),
            hint,
        } => {
            let message = format!("unknown operator `{name}`; dagctl calls this `{ours}`");
            let hint = hint.unwrap_or_else(|| format!("write `operator: {ours}`"));
            session.report(Code::BadValue, place, message).hint(hint);
        }
        Verdict::Unknown { ours: None, hint } => {
            let message = format!("unknown operator `{name}`");
            let diagnostic = session.report(Code::BadValue, place, message);
            if let Some(hint) = hint {
                diagnostic.hint(hint);
            }
        }
        Verdict::Misplaced(_) => (),
    }
}

/// The connection of a task, a template-free name.
pub(super) fn conn_id(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<String> {
    let at = (site.place, &*site.what());
    layers.require(session, at, "conn_id", |session, node, field| {
        session.filled(node, field).map(|it| it.value)
    })
}

/// A text that is a template.
pub(super) fn template(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<String> {
    let text = session.filled(node, field)?;
    session.lint_template(&text, names);
    Some(text.value)
}

fn sql(session: &mut Session<'_>, site: &Site<'_>, layers: &Layers<'_>) -> Option<Sql> {
    let query = sql_of(session, site, layers);
    let autocommit = layers.read(session, "autocommit", Session::boolean);
    let fetch = layers.read(session, "fetch", |session, node, field| {
        session.choice(node, field, &FETCH)
    });
    let (conn_id, sql, parameters) = query?;
    Some(Sql {
        conn_id,
        sql,
        parameters,
        autocommit: autocommit.unwrap_or_default(),
        fetch: fetch.unwrap_or_default(),
    })
}

fn sql_check(session: &mut Session<'_>, site: &Site<'_>, layers: &Layers<'_>) -> Option<SqlCheck> {
    let query = sql_of(session, site, layers);
    let bounds = bounds(session, layers);
    let (conn_id, sql, parameters) = query?;
    Some(SqlCheck {
        conn_id,
        sql,
        parameters,
        bounds,
    })
}

/// What every operator of a user's SQL has: `conn_id`, `sql` and `parameters`.
pub(super) fn sql_of(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<(String, String, Map<String, Value>)> {
    let conn_id = conn_id(session, site, layers);
    let at = (site.place, &*site.what());
    let sql = layers.require(session, at, "sql", |session, node, field| {
        sql_with_place(session, site, node, field, Names::None)
    });
    let parameters = layers.read(session, "parameters", json_map);
    if let Some(it) = &sql {
        binds::check(session, site, layers, it);
    }
    Some((conn_id?, sql?.value, parameters.unwrap_or_default()))
}

/// Names with values whose texts are templates.
pub(super) fn json_map(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
) -> Option<Map<String, Value>> {
    if !session.is_map(node, field) {
        return None;
    }
    let value = session.json(node, &mut |session, text| {
        session.lint_template(&text, Names::None);
    });
    match value {
        Value::Object(it) => Some(it),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

pub(super) fn http(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<Http> {
    let conn_id = layers.read(session, "conn_id", |session, node, field| {
        session.filled(node, field).map(|it| it.value)
    });
    let at = (site.place, &*site.what());
    let endpoint = layers.require(session, at, "endpoint", |session, node, field| {
        template(session, node, field, Names::None)
    });
    let method = layers.read(session, "method", method);
    let headers = layers.read(session, "headers", plain_pairs);
    let data = layers.read(session, "data", |session, node, _| {
        Some(session.json(node, &mut |session, text| {
            session.lint_template(&text, Names::None);
        }))
    });
    let response_check = layers.read(session, "response_check", response);
    let response_filter = layers.read(session, "response_filter", response);
    let output_file = layers.read(session, "output_file", |session, node, field| {
        template(session, node, field, Names::None)
    });
    let paging = layers.read(session, "paging", paging);
    Some(Http {
        conn_id,
        endpoint: endpoint?,
        method: method.unwrap_or_else(|| "GET".to_owned()),
        headers: headers.unwrap_or_default(),
        data,
        response_check,
        response_filter,
        output_file,
        paging,
    })
}

fn response(session: &mut Session<'_>, node: &Node, field: &str) -> Option<String> {
    expression(session, node, field, Names::Response)
}

pub(super) fn method(session: &mut Session<'_>, node: &Node, field: &str) -> Option<String> {
    let text = session.filled(node, field)?.value;
    let upper = text.to_ascii_uppercase();
    if METHODS.contains(&text.as_str()) {
        return Some(text);
    }
    let hint = if METHODS.contains(&upper.as_str()) {
        format!("write `{upper}`")
    } else {
        format!("it may be {}", vocabulary::list(METHODS))
    };
    session
        .report(
            Code::BadValue,
            node.place,
            format!("`{text}` is no HTTP method"),
        )
        .hint(hint);
    None
}

fn plain_pairs(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
) -> Option<Vec<(String, String)>> {
    pairs(session, node, field, Names::None)
}

/// Names with templates, in the file's order.
pub(super) fn pairs(
    session: &mut Session<'_>,
    node: &Node,
    field: &str,
    names: Names,
) -> Option<Vec<(String, String)>> {
    if !session.is_map(node, field) {
        return None;
    }
    let mut pairs = vec![];
    for entry in node.entries() {
        // A header or a variable may be empty.
        if matches!(entry.value.value, Yaml::Null) {
            pairs.push((entry.key.clone(), String::new()));
        } else if let Some(text) = session.text(&entry.value, &entry.key) {
            session.lint_template(&text, names);
            pairs.push((entry.key.clone(), text.value));
        }
    }
    Some(pairs)
}

fn paging(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Paging> {
    if !session.is_map(node, field) {
        return None;
    }
    let (mut next, mut max_pages) = (None, None);
    for entry in node.entries() {
        match entry.key.as_str() {
            "next" => next = expression(session, &entry.value, "next", Names::Response),
            "max_pages" => max_pages = session.whole(&entry.value, "max_pages", 1),
            other => {
                session
                    .report(
                        Code::UnknownField,
                        entry.key_place,
                        format!("unknown field `{other}` of `paging`"),
                    )
                    .hint("the fields here are `next` and `max_pages`");
            }
        }
    }
    if node.get("next").is_none() {
        session.missing(node.place, "`paging`", "next");
    }
    if node.get("max_pages").is_none() {
        session.missing(node.place, "`paging`", "max_pages");
    }
    Some(Paging {
        next: next?,
        max_pages: max_pages?,
    })
}

fn shell(session: &mut Session<'_>, site: &Site<'_>, layers: &Layers<'_>) -> Option<Shell> {
    let interpreter = layers.get("interpreter");
    let interpreter_text = layers.read(session, "interpreter", |session, node, field| {
        session.filled(node, field).map(|it| it.value)
    });
    let at = (site.place, &*site.what());
    let command = layers.require(session, at, "command", |session, node, field| {
        if let Yaml::List(items) = &node.value {
            if let Some(it) = interpreter.filter(|_| site.node.get("interpreter").is_some()) {
                session
                    .report(
                        Code::BadValue,
                        it.key_place,
                        "`interpreter` is for a `command` that is a text",
                    )
                    .hint("put the program first in the list, or write the command as a text");
            }
            if items.is_empty() {
                session.report(Code::BadValue, node.place, "`command` is empty");
                return None;
            }
            let words: Vec<_> = items.iter().map(|it| session.text(it, field)).collect();
            let words: Option<Vec<_>> = words.into_iter().collect();
            let argv = words?.into_iter().map(|it| {
                session.lint_template(&it, Names::None);
                it.value
            });
            return Some(ShellCommand::Argv(argv.collect()));
        }
        Some(ShellCommand::Script {
            interpreter: interpreter_text.unwrap_or_else(|| "sh".to_owned()),
            text: template(session, node, field, Names::None)?,
        })
    });
    let env = layers.read(session, "env", plain_pairs);
    let cwd = layers.read(session, "cwd", |session, node, field| {
        template(session, node, field, Names::None)
    });
    let skip = layers.read(session, "skip_on_exit_code", |session, node, field| {
        let items = session.items(node);
        let codes: Vec<_> = items
            .into_iter()
            .map(|it| session.whole(it, field, 0))
            .collect();
        codes.into_iter().collect::<Option<Vec<i32>>>()
    });
    let outputs = layers.read(session, "outputs", plain_pairs);
    Some(Shell {
        command: command?,
        env: env.unwrap_or_default(),
        cwd,
        skip_on_exit_code: skip.unwrap_or_default(),
        outputs: outputs.unwrap_or_default(),
    })
}
