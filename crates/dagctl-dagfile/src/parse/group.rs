//! `group`: tasks that belong together, under one name.

use dagctl_core::ids::check_name;

use super::graph::{Directory, Draft};
use crate::diagnostic::Code;
use crate::sources::Session;
use crate::yaml::{Node, Yaml};

/// The group of a task of the file; `a.b` is a group within the group `a`.
pub(super) fn of(session: &mut Session<'_>, task: &Node) -> Option<String> {
    let entry = task
        .get("group")
        .filter(|it| !matches!(it.value.value, Yaml::Null))?;
    let name = session.filled(&entry.value, "group")?;
    let problem = name.value.split('.').find_map(|it| check_name(it).err());
    if let Some(error) = problem {
        session.report(Code::BadName, name.place, format!("`group`: {error}"));
        return None;
    }
    Some(name.value)
}

/// Turns "after this group" into "after the last tasks of this group": those that no other task of it waits for.
/// Teardowns are not waited for, as in Airflow.
pub(super) fn wait_for_leaves(
    session: &mut Session<'_>,
    directory: &Directory,
    drafts: &mut [Draft],
) {
    for (group, task) in directory.groups_named_like_tasks() {
        let message = format!("`{group}` is the name of a task and of a group");
        session.report(Code::DuplicateTask, drafts[task].place, message);
    }
    let mut added = vec![];
    for (at, draft) in drafts.iter().enumerate() {
        for (group, place) in &draft.groups {
            let members = directory.group(group);
            if members.contains(&at) {
                let message = format!(
                    "task `{}` waits for the group `{group}`, which it belongs to",
                    draft.task_id
                );
                session
                    .report(Code::Cycle, *place, message)
                    .hint("name the tasks of the group that it comes after");
                continue;
            }
            added.extend(leaves(directory, drafts, members).map(|leaf| (at, leaf, *place)));
        }
    }
    for (at, leaf, place) in added {
        let upstream = &mut drafts[at].upstream;
        if !upstream.iter().any(|(it, _)| *it == leaf) {
            upstream.push((leaf, place));
        }
    }
}

fn leaves<'a>(
    directory: &'a Directory,
    drafts: &'a [Draft],
    members: &'a [usize],
) -> impl Iterator<Item = usize> + 'a {
    let is_teardown = |at: usize| {
        let task = drafts[at].task.as_ref();
        task.is_some_and(|it| it.teardown.is_some())
    };
    let all_tear_down = members.iter().all(|it| is_teardown(*it));
    let comes_after = move |later: usize, earlier: usize| {
        let groups = &drafts[later].groups;
        drafts[later].upstream.iter().any(|(at, _)| *at == earlier)
            || groups
                .iter()
                .any(|(it, _)| directory.group(it).contains(&earlier))
    };
    members.iter().copied().filter(move |it| {
        let counts = |at: usize| all_tear_down || !is_teardown(at);
        counts(*it)
            && !members
                .iter()
                .any(|later| later != it && counts(*later) && comes_after(*later, *it))
    })
}
