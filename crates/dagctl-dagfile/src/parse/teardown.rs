//! `teardown`: what a task cleans up after.

use dagctl_core::dag::{Task, Teardown, TriggerRule};

use super::graph::Directory;
use super::task::Site;
use crate::diagnostic::Code;
use crate::sources::{Place, Session};
use crate::yaml::Yaml;

/// Reads `teardown: {setups: […]}`; the setups by place among the drafts, with where they are named.
pub(super) fn read(
    session: &mut Session<'_>,
    site: &Site<'_>,
    directory: &Directory,
) -> (Option<Teardown>, Vec<(usize, Place)>) {
    let Some(entry) = site
        .node
        .get("teardown")
        .filter(|it| !matches!(it.value.value, Yaml::Null))
    else {
        return (None, vec![]);
    };
    if !matches!(entry.value.value, Yaml::Map(_)) {
        session.wrong_type(
            &entry.value,
            "teardown",
            "a map such as `{setups: [create]}`",
        );
        return (None, vec![]);
    }
    let mut setups: Vec<(usize, Place)> = vec![];
    for field in entry.value.entries() {
        if field.key != "setups" {
            let message = format!("unknown field `{}` of `teardown`", field.key);
            session
                .report(Code::UnknownField, field.key_place, message)
                .hint("the field here is `setups`");
            continue;
        }
        let names = session.texts(&field.value, "setups");
        if names.is_empty() {
            session
                .report(
                    Code::BadValue,
                    field.key_place,
                    "`setups` names no task, so there is nothing to clean up after",
                )
                .hint("name the tasks it undoes: `setups: [create]`");
        }
        for name in names {
            let found = directory.all(session, (&site.task_id, "tears down"), &name);
            for it in found.unwrap_or_default() {
                if !setups.iter().any(|(at, _)| *at == it) {
                    setups.push((it, name.place));
                }
            }
        }
    }
    if entry.value.get("setups").is_none() {
        session.missing(entry.value.place, "`teardown`", "setups");
    }
    if let Some(rule) = site.node.get("trigger_rule") {
        let message = "a teardown has a rule of its own: it runs once all its upstream tasks are done and a setup succeeded";
        session
            .report(Code::BadValue, rule.key_place, message)
            .hint("leave out `trigger_rule`");
    }
    (Some(Teardown { setups: vec![] }), setups)
}

/// The task as a teardown, if it is one; a rule among the defaults is not for it.
pub(super) fn applied(task: Task, teardown: Option<Teardown>) -> Task {
    match teardown {
        Some(it) => Task {
            trigger_rule: TriggerRule::AllDoneSetupSuccess,
            teardown: Some(it),
            ..task
        },
        None => task,
    }
}
