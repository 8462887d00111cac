//! What limits a DAG's runs: `dagrun_timeout`, `dagrun_retries`, `max_consecutive_failed_dag_runs`, `deadline`.

use dagctl_core::limits::{Deadline, DeadlineReference, RunLimits};
use dagctl_core::nearest::nearest;
use jiff::civil::Time;

use super::callback;
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::sources::Session;
use crate::yaml::{Node, Yaml};

const DEADLINE_FIELDS: &[&str] = &["reference", "interval", "callback"];

const REFERENCES: [&str; 3] = ["queued_at", "logical_date", "average_runtime"];

pub(super) fn read(session: &mut Session<'_>, layers: &Layers<'_>) -> RunLimits {
    let default = RunLimits::default();
    RunLimits {
        dagrun_timeout: layers.read(session, "dagrun_timeout", |session, node, field| {
            let timeout = session.duration(node, field)?;
            if timeout.is_zero() {
                let message = format!("`{field}` of nothing would stop every run at once");
                session
                    .report(Code::BadValue, node.place, message)
                    .hint("leave it out for runs that may take as long as they like");
                return None;
            }
            Some(timeout)
        }),
        dagrun_retries: layers
            .read(session, "dagrun_retries", |session, node, field| {
                session.whole(node, field, 0)
            })
            .unwrap_or(default.dagrun_retries),
        dagrun_retry_delay: layers
            .read(session, "dagrun_retry_delay", Session::duration)
            .unwrap_or(default.dagrun_retry_delay),
        max_consecutive_failed_dag_runs: layers
            .read(
                session,
                "max_consecutive_failed_dag_runs",
                |session, node, field| session.whole(node, field, 0),
            )
            .unwrap_or(default.max_consecutive_failed_dag_runs),
        deadline: layers.read(session, "deadline", deadline),
    }
}

fn deadline(session: &mut Session<'_>, node: &Node, field: &str) -> Option<Deadline> {
    let Yaml::Map(entries) = &node.value else {
        session.wrong_type(
            node,
            field,
            "a map such as `{reference: queued_at, interval: 45m, callback: [slack]}`",
        );
        return None;
    };
    let mut good = true;
    let mut meant = vec![];
    for entry in entries {
        if DEADLINE_FIELDS.contains(&entry.key.as_str()) {
            continue;
        }
        good = false;
        let near = nearest(&entry.key, DEADLINE_FIELDS.iter().copied());
        meant.extend(near);
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "the fields here are {}",
                crate::vocabulary::list(DEADLINE_FIELDS)
            ),
        };
        session
            .report(
                Code::UnknownField,
                entry.key_place,
                format!("unknown field `{}` of `{field}`", entry.key),
            )
            .hint(hint);
    }
    let place = entries.first().map_or(node.place, |it| it.key_place);
    let mut find = |name: &str| {
        let found = node.get(name);
        if found.is_none() && !meant.contains(&name) {
            session.missing(place, "a `deadline`", name);
        }
        found
    };
    let (at, interval, told) = (find("reference"), find("interval"), find("callback"));
    let at = at.and_then(|it| reference(session, &it.value));
    let interval = interval.and_then(|it| session.duration(&it.value, "interval"));
    let told = told.and_then(|it| callback::read(session, &it.value, "callback"));
    let deadline = Deadline {
        reference: at?,
        interval: interval?,
        callback: told?,
    };
    good.then_some(deadline)
}

fn reference(session: &mut Session<'_>, node: &Node) -> Option<DeadlineReference> {
    let text = session.filled(node, "reference")?.value;
    match text.as_str() {
        "queued_at" => return Some(DeadlineReference::QueuedAt),
        "logical_date" => return Some(DeadlineReference::LogicalDate),
        "average_runtime" => return Some(DeadlineReference::AverageRuntime),
        _ => (),
    }
    if text.contains(':')
        && let Ok(time) = text.parse::<Time>()
    {
        return Some(DeadlineReference::TimeOfDay(time));
    }
    let hint = match nearest(&text, REFERENCES) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "it may be `queued_at`, `logical_date`, `average_runtime`, or a time of day such as `\"09:00\"`"
                .to_owned()
        }
    };
    session
        .report(
            Code::BadValue,
            node.place,
            format!("`{text}` is no value of `reference`"),
        )
        .hint(hint);
    None
}
