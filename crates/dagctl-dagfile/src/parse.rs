//! Text to DAG: every problem of a file in one go.

use std::collections::BTreeMap;
use std::ops::Range;

use dagctl_core::asset::Asset;
use dagctl_core::dag::Dag;
use dagctl_core::ids;

use crate::diagnostic::{Code, Diagnostic};
use crate::glob::stem_of;
use crate::layers::{Layers, check_fields};
use crate::lint;
use crate::sources::{Asked, FileId, Place, Session, Sources};
use crate::stack::with_room;
use crate::vocabulary::{Level, Verdict};
use crate::yaml::{self, Node, Yaml};
use dagctl_core::nearest::nearest;

mod assets;
mod binds;
mod branch;
mod callback;
mod check;
mod date;
mod defaults;
mod expand;
mod expansion;
mod graph;
mod group;
mod indentation;
mod limits;
mod operator;
mod params;
mod schedule;
mod spec;
mod table;
mod task;
mod teardown;
mod waiting;

pub(crate) use self::graph::{Draft, ancestors};

/// Reads a stored version again: `files` are its texts by path relative to the dags folder, `dag_file` is one of them.
pub fn parse_version(
    files: &BTreeMap<String, String>,
    dag_file: &str,
) -> (Option<Dag>, Vec<Diagnostic>) {
    with_room(|| {
        let texts = files.iter().map(|(path, text)| (&**path, &**text));
        read_version(&Sources::new(texts, ""), dag_file)
    })
}

fn read_version(sources: &Sources<'_>, dag_file: &str) -> (Option<Dag>, Vec<Diagnostic>) {
    let mut session = Session::new(sources);
    let Some(file) = session.open(dag_file) else {
        let message = format!("the version has no file `{dag_file}`");
        let diagnostic = Diagnostic::new(Code::MissingFile, dag_file, message);
        return (None, vec![diagnostic]);
    };
    let parsed = parse(session, file);
    (parsed.dag, parsed.diagnostics)
}

/// What came of reading a file as a DAG.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) dag: Option<Dag>,
    pub(crate) dag_id: String,
    pub(crate) shape: Shape,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) asked: Asked,
    /// What its schedule waits for, with the file and the bytes that say so.
    pub(crate) awaited: Vec<Awaited>,
}

/// A table that a schedule waits for.
#[derive(Debug, Clone)]
pub(crate) struct Awaited {
    pub(crate) asset: Asset,
    pub(crate) file: String,
    pub(crate) range: Range<usize>,
}

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It has `tasks`.
    Dag,
    /// It is YAML without `tasks`.
    Other,
    /// It cannot be read, so nobody knows.
    Unreadable,
}

/// Whether a path names a `_defaults.yaml`.
pub(crate) fn is_defaults(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    defaults::NAMES.contains(&name)
}

/// What is known of a file whose text could not be had.
pub(crate) fn unreadable(session: Session<'_>, file: FileId, why: &Diagnostic) -> Parsed {
    let dag_id = stem_of(session.sources.path(file)).to_owned();
    let (_, asked) = session.finish();
    Parsed {
        dag: None,
        dag_id,
        shape: Shape::Unreadable,
        diagnostics: vec![why.clone()],
        asked,
        awaited: vec![],
    }
}

/// Reads a file as a DAG.
pub(crate) fn parse(mut session: Session<'_>, file: FileId) -> Parsed {
    let path = session.sources.path(file);
    let mut parsed = Parsed {
        dag: None,
        dag_id: stem_of(path).to_owned(),
        shape: Shape::Unreadable,
        diagnostics: vec![],
        asked: Asked::default(),
        awaited: vec![],
    };
    if let Some(it) = dag_id_in(session.sources.text(file)) {
        parsed.dag_id = it.to_owned();
    }
    if let Some(root) = yaml::read(&mut session, file) {
        if root.get("tasks").is_some() {
            parsed.shape = Shape::Dag;
            parsed.dag = read_dag(&mut session, file, &root, &mut parsed.dag_id);
        } else {
            parsed.shape = Shape::Other;
            report_other(&mut session, file, &root);
        }
    }
    if session.is_fatal() {
        parsed.dag = None;
    }
    let awaited = std::mem::take(&mut session.awaited).into_iter();
    parsed.awaited = awaited
        .map(|(asset, place)| Awaited {
            asset,
            file: session.sources.path(place.file).to_owned(),
            range: place.range(),
        })
        .collect();
    (parsed.diagnostics, parsed.asked) = session.finish();
    parsed
}

/// What a text that may not be YAML calls its DAG.
fn dag_id_in(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|it| it.strip_prefix("dag_id:"))?;
    let value = line.split(" #").next()?.trim().trim_matches(['"', '\'']);
    ids::check_name(value).is_ok().then_some(value)
}

fn read_dag(
    session: &mut Session<'_>,
    file: FileId,
    root: &Node,
    dag_id: &mut String,
) -> Option<Dag> {
    check_fields(session, root.entries(), Level::Dag);
    defaults::check_default_args(session, root);
    let folders = defaults::read(session, file);
    session.notifiers = callback::named(&folders);
    let mut layers = Layers::default();
    layers.push(root);
    for it in &folders {
        layers.push(&it.root);
    }
    let spec = spec::read(session, file, &layers, dag_id);
    let drafts = task::read_all(session, file, root, &folders);
    graph::check(session, &drafts);
    let params = spec.params_known.then_some(&spec.param_names[..]);
    lint::run(session, params, &drafts);
    let places: Vec<_> = drafts
        .iter()
        .map(|it| (it.task_id.clone(), it.place))
        .collect();
    let tasks: Option<Vec<_>> = drafts.into_iter().map(|it| it.task).collect();
    // What `Dag::new` refuses has been reported with its place above.
    let dag = Dag::new(spec.spec?, tasks?).ok()?;
    branch::check_joins(session, &dag, &places);
    Some(dag)
}

/// A file without `tasks`: perhaps a config file, perhaps a DAG with a typo. The folder knows which.
fn report_other(session: &mut Session<'_>, file: FileId, root: &Node) {
    let keys: Vec<&str> = root.entries().iter().map(|it| it.key.as_str()).collect();
    let meant = root.entries().iter().find(|it| {
        nearest(&it.key, ["tasks"]).is_some()
            || matches!(
                Level::Dag.judge(&it.key),
                Verdict::Unknown {
                    ours: Some("tasks"),
                    ..
                }
            )
    });
    let what = match (&root.value, keys.is_empty()) {
        (Yaml::Null, _) => "this file is empty".to_owned(),
        (Yaml::Map(_), false) => "this file has no `tasks`, and no DAG refers to it".to_owned(),
        (Yaml::Map(_) | Yaml::Broken | Yaml::Scalar(_) | Yaml::List(_), _) => {
            format!("a DAG file is a map of fields, not {}", root.kind())
        }
    };
    let first = root.entries().first().map(|it| it.key_place);
    let place = meant
        .map(|it| it.key_place)
        .or(first)
        .unwrap_or(Place::new(file, root.place.range()));
    let diagnostic = session.report(Code::NotADag, place, what);
    match meant {
        Some(it) => {
            diagnostic.label("unknown field");
            diagnostic.hint(format!("dagctl calls this `tasks`, not `{}`", it.key));
        }
        None => {
            diagnostic.hint(
                "name it as the `config` of a task, hide it in `.dagignore`, or give it `tasks:`",
            );
        }
    }
}
