//! Tasks and fields that are not deep enough to be what they were meant to be.

use std::collections::HashMap;

use crate::diagnostic::Code;
use crate::sources::Session;
use crate::vocabulary::{Level, Verdict, list};
use crate::yaml::{Entry, Node, Yaml};

/// What a key under `tasks` is, where it is no task that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// A field that stands beside its task.
    Field,
    /// The task whose fields stand beside it.
    Task,
}

/// Says that there are no tasks, and where they are when they stand beside `tasks`.
pub(super) fn report_no_tasks(session: &mut Session<'_>, root: &Node, tasks: &Entry) {
    let beside: Vec<&Entry> = root
        .entries()
        .iter()
        .skip_while(|it| it.key != "tasks")
        .filter(|it| matches!(it.value.value, Yaml::Map(_)) && !Level::Dag.allows(&it.key))
        .collect();
    let names: Vec<&str> = beside.iter().map(|it| it.key.as_str()).collect();
    let diagnostic = session.report(
        Code::MissingField,
        tasks.key_place,
        "a DAG needs at least one task",
    );
    if names.is_empty() {
        diagnostic
            .hint("write each task as `name:`, deeper than `tasks:`, with its fields deeper still");
        return;
    }
    diagnostic.hint(format!("indent {} below `tasks:`", list(&names)));
    for it in beside {
        if matches!(
            Level::Dag.judge(&it.key),
            Verdict::Unknown { ours: None, .. }
        ) {
            // The same problem as was reported of the field, so this adds to it.
            session
                .report(
                    Code::UnknownField,
                    it.key_place,
                    format!("unknown field `{}`", it.key),
                )
                .hint("indent it below `tasks:`");
        }
    }
}

/// Finds the fields that are as deep as their task, complains once for each such task, and names them all.
pub(super) fn fields_beside_tasks<'n>(
    session: &mut Session<'_>,
    entries: &'n [Entry],
) -> HashMap<&'n str, Beside> {
    let mut beside = HashMap::new();
    let mut at = 0;
    while at < entries.len() {
        let owner = &entries[at];
        let fields: Vec<&Entry> = entries[at + 1..]
            .iter()
            .scan(matches!(owner.value.value, Yaml::Null), |certain, it| {
                let is_field = is_field(it, *certain);
                *certain |= is_field;
                is_field.then_some(it)
            })
            .collect();
        at += 1 + fields.len();
        let Some(first) = fields.first() else {
            continue;
        };
        let names: Vec<&str> = fields.iter().map(|it| it.key.as_str()).collect();
        let task = &owner.key;
        session
            .report(
                Code::WrongType,
                first.key_place,
                format!("`{}` stands beside the task `{task}`, not in it", first.key),
            )
            .label(format!("as deep as `{task}`"))
            .hint(format!("indent {} below `{task}:`", list(&names)));
        beside.insert(task.as_str(), Beside::Task);
        beside.extend(names.into_iter().map(|it| (it, Beside::Field)));
    }
    beside
}

/// Whether a key under `tasks` is a task's field; a map may be a task of that name unless a field stands before it.
fn is_field(entry: &Entry, certain: bool) -> bool {
    let is_known = Level::AnyTask.allows(&entry.key);
    match entry.value.value {
        Yaml::Scalar(_) | Yaml::List(_) => is_known,
        Yaml::Map(_) => is_known && certain && entry.value.get("operator").is_none(),
        Yaml::Broken | Yaml::Null => false,
    }
}
