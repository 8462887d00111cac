//! `branch`: its options, and what they follow.

use dagctl_core::dag::Dag;
use dagctl_core::decide::skipped_joins;
use dagctl_core::ids::TaskId;
use dagctl_core::operator::{Branch, BranchOption, Operator};

use super::graph::{Directory, Draft};
use super::task::{Site, expression};
use crate::diagnostic::Code;
use crate::layers::Layers;
use crate::lint::Names;
use crate::sources::{Place, Session};
use crate::yaml::{Node, Yaml};

/// Reads the options; what they follow is looked up by [`resolve`].
pub(super) fn read(
    session: &mut Session<'_>,
    site: &Site<'_>,
    layers: &Layers<'_>,
) -> Option<Branch> {
    let at = (site.place, &*site.what());
    let items = layers.require(session, at, "branches", Session::list)?;
    if items.is_empty() {
        session
            .report(
                Code::BadValue,
                site.place,
                "`branches` is empty, so everything below is always skipped",
            )
            .hint("add an option: `- {when: …, follow: a_task}`");
        return None;
    }
    let mut options = vec![];
    for (number, item) in items.iter().enumerate() {
        let is_last = number + 1 == items.len();
        options.push(option(session, item, number, is_last));
    }
    let options: Option<Vec<_>> = options.into_iter().collect();
    Some(Branch { options: options? })
}

fn option(
    session: &mut Session<'_>,
    node: &Node,
    number: usize,
    is_last: bool,
) -> Option<BranchOption> {
    if !session.is_map(node, "branches") {
        return None;
    }
    let mut when = None;
    for entry in node.entries() {
        match entry.key.as_str() {
            "when" if !matches!(entry.value.value, Yaml::Null) => {
                when = Some(expression(session, &entry.value, "when", Names::None)?);
            }
            "when" => (),
            "follow" => {
                let task = session.task.unwrap_or_default();
                let names = session.texts(&entry.value, "follow");
                session
                    .follows
                    .extend(names.into_iter().map(|it| (task, number, it)));
            }
            other => {
                session
                    .report(
                        Code::UnknownField,
                        entry.key_place,
                        format!("unknown field `{other}` of `branches`"),
                    )
                    .hint("the fields here are `when` and `follow`");
            }
        }
    }
    if node.get("follow").is_none() {
        session.missing(node.place, "an option of `branches`", "follow");
        return None;
    }
    if when.is_none() && !is_last {
        session
            .report(
                Code::BadValue,
                node.place,
                "the options after this one are never reached: it has no `when`",
            )
            .hint("put the option without `when` last; it means \"otherwise\"");
        return None;
    }
    Some(BranchOption {
        when,
        follow: vec![],
    })
}

/// Looks up what branches follow: tasks that wait for the branch themselves.
pub(super) fn resolve(session: &mut Session<'_>, directory: &Directory, drafts: &mut [Draft]) {
    for (branch, number, name) in std::mem::take(&mut session.follows) {
        let own = drafts[branch].task_id.clone();
        let Some(found) = directory.all(session, (&own, "follows"), &name) else {
            continue;
        };
        let direct: Vec<usize> = found
            .into_iter()
            .filter(|it| drafts[*it].upstream.iter().any(|(at, _)| *at == branch))
            .collect();
        if direct.is_empty() {
            let message = format!(
                "`{own}` follows `{}`, which does not wait for it",
                name.value
            );
            session
                .report(Code::BadValue, name.place, message)
                .hint(format!(
                    "add `{own}` to the `depends_on` of `{}`",
                    name.value
                ));
        }
        let followed: Vec<TaskId> = direct
            .into_iter()
            .filter_map(|it| TaskId::new(drafts[it].task_id.clone()).ok())
            .collect();
        if let Some(Operator::Branch(it)) = drafts[branch].task.as_mut().map(|it| &mut it.operator)
            && let Some(option) = it.options.get_mut(number)
        {
            option.follow.extend(followed);
        }
    }
}

/// Warns of joins below a branch that would be skipped with whatever is not followed.
pub(super) fn check_joins(session: &mut Session<'_>, dag: &Dag, drafts: &[(String, Place)]) {
    for (join, branch, skipped) in skipped_joins(dag) {
        let task = |it| {
            dag.task(it)
                .map(|it| it.task_id.as_str())
                .unwrap_or_default()
        };
        let Some((_, place)) = drafts.iter().find(|(it, _)| it == task(join)) else {
            continue;
        };
        let rule = dag.task(join).map(|it| it.trigger_rule).unwrap_or_default();
        let message = format!(
            "`{}` is skipped whenever `{}` does not follow `{}`: its rule is `{}`",
            task(join),
            task(branch),
            task(skipped),
            rule.name()
        );
        session
            .report(Code::SkippedJoin, *place, message)
            .hint("write `trigger_rule: none_failed_min_one_success`");
    }
}
