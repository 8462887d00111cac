//! The DAG-level fields.

use dagctl_core::dag::{Catchup, DagSpec};
use dagctl_core::ids::DagId;
use dagctl_core::schedule::Schedule;
use jiff::tz::TimeZone;

use super::{callback, date, limits, params, schedule};
use crate::diagnostic::Code;
use crate::glob::stem_of;
use crate::layers::Layers;
use crate::sources::{FileId, Place, Session};
use crate::yaml::{Node, ScalarKind, Yaml};

/// What the DAG level says.
pub(super) struct Read {
    /// `None` after a complaint.
    pub(super) spec: Option<DagSpec>,
    /// Whether `params` could be read.
    pub(super) params_known: bool,
    pub(super) param_names: Vec<String>,
}

pub(super) fn read(
    session: &mut Session<'_>,
    file: FileId,
    layers: &Layers<'_>,
    dag_id: &mut String,
) -> Read {
    let path = session.sources.path(file);
    let id = read_id(session, file, layers, dag_id);
    let zone = layers
        .read(session, "timezone", date::timezone)
        .unwrap_or(TimeZone::UTC);
    let dates = ["start_date", "end_date"].map(|field| {
        layers.read(session, field, |session, node, field| {
            date::date(session, node, field, &zone)
        })
    });
    let [start_date, end_date] = dates;
    if let (Some(start), Some(end), Some(entry)) = (start_date, end_date, layers.get("end_date"))
        && end < start
    {
        session.report(
            Code::BadDate,
            entry.value.place,
            "`end_date` is before `start_date`",
        );
    }
    let schedule = match layers.get_or_null("schedule") {
        Some(entry) => schedule::read(session, &entry.value),
        None => Some(Schedule::Manual),
    };
    let catchup = layers.read(session, "catchup", read_catchup);
    if let (Some(Catchup::Yes | Catchup::Latest), None) = (catchup, layers.get("start_date")) {
        let entry = layers.get("catchup").expect("it was read just now");
        session
            .report(
                Code::NoStartDate,
                entry.value.place,
                "`catchup` needs a `start_date`: since when?",
            )
            .hint("add `start_date: 2026-01-31`, or write `catchup: false`");
    }
    let params = match layers.get("params") {
        Some(entry) => params::read(session, &entry.value, "params"),
        None => Some(vec![]),
    };
    let param_names = params.iter().flatten().map(|it| it.name.clone()).collect();
    let tags = match layers.get("tags") {
        Some(entry) => session.texts(&entry.value, "tags"),
        None => vec![],
    };
    let description = layers.read(session, "description", Session::string);
    let doc_md = layers.read(session, "doc_md", Session::string);
    let max_active_runs = limit(session, layers, "max_active_runs");
    let max_active_tasks = limit(session, layers, "max_active_tasks");
    let on_failure = layers.read(session, "on_failure_callback", callback::read);
    let on_success = layers.read(session, "on_success_callback", callback::read);
    let paused = layers.read(session, "is_paused_upon_creation", Session::boolean);
    let limits = limits::read(session, layers);
    let params_known = params.is_some();
    // Everything has been read before the first `?`, so that all problems come at once.
    let spec = (|| {
        Some(DagSpec {
            dag_id: id?,
            file: path.to_owned(),
            description,
            doc_md,
            tags: tags.into_iter().map(|it| it.value).collect(),
            schedule: schedule?,
            timezone: zone,
            start_date,
            end_date,
            catchup: catchup.unwrap_or_default(),
            max_active_runs,
            max_active_tasks,
            params: params?,
            on_failure_callback: on_failure.unwrap_or_default(),
            on_success_callback: on_success.unwrap_or_default(),
            is_paused_upon_creation: paused.unwrap_or_default(),
            limits,
        })
    })();
    Read {
        spec,
        params_known,
        param_names,
    }
}

fn limit(session: &mut Session<'_>, layers: &Layers<'_>, field: &str) -> u32 {
    layers
        .read(session, field, |session, node, field| {
            session.whole(node, field, 1)
        })
        .unwrap_or(16)
}

fn read_id(
    session: &mut Session<'_>,
    file: FileId,
    layers: &Layers<'_>,
    dag_id: &mut String,
) -> Option<DagId> {
    let (text, place) = match layers.get("dag_id") {
        Some(entry) => (session.string(&entry.value, "dag_id")?, entry.value.place),
        None => {
            let path = session.sources.path(file);
            (stem_of(path).to_owned(), Place::new(file, 0..0))
        }
    };
    match DagId::new(text) {
        Ok(it) => {
            it.as_str().clone_into(dag_id);
            Some(it)
        }
        Err(error) => {
            session
                .report(Code::BadName, place, format!("`dag_id`: {error}"))
                .hint("for a readable title use `description`");
            None
        }
    }
}

fn read_catchup(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Catchup> {
    if let Yaml::Scalar(it) = &node.value {
        match (it.kind, it.text.as_str()) {
            (ScalarKind::Bool(true), _) => return Some(Catchup::Yes),
            (ScalarKind::Bool(false), _) => return Some(Catchup::No),
            (_, "latest") => return Some(Catchup::Latest),
            (ScalarKind::Text | ScalarKind::Int(_) | ScalarKind::Float(_), text) => {
                let message = format!("`{text}` is no value of `{field}`");
                session
                    .report(Code::BadValue, node.place, message)
                    .hint("it may be `false`, `true` or `latest`");
                return None;
            }
        }
    }
    session.wrong_type(node, field, "`false`, `true` or `latest`");
    None
}
