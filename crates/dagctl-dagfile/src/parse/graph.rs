//! Who waits for whom.

use std::collections::HashMap;

use dagctl_core::dag::Task;
use dagctl_core::graph::{self, Cycle};

use super::task::Site;
use crate::diagnostic::Code;
use crate::sources::{Place, Session};
use crate::text::Text;
use crate::vocabulary::list;
use dagctl_core::nearest::nearest;

const MAX_EDGES: usize = 50_000;
/// More circles than this are one mistake.
const MAX_CYCLES: usize = 10;

/// A task as far as it could be read.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) task_id: String,
    /// Its key under `tasks`.
    pub(crate) place: Place,
    /// Whom it waits for, expansions unfolded, by place among the drafts; with where that is said.
    pub(crate) upstream: Vec<(usize, Place)>,
    /// Groups that it waits for.
    pub(crate) groups: Vec<(String, Place)>,
    /// Those of `upstream` that it tears down.
    pub(crate) setups: Vec<(usize, Place)>,
    /// `None` after a complaint.
    pub(crate) task: Option<Task>,
}

/// What `depends_on` names, with where.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    /// By place among the drafts, expansions unfolded.
    pub(super) tasks: Vec<(usize, Place)>,
    pub(super) groups: Vec<(String, Place)>,
}

/// What `depends_on` may name: a task, or an expansion for all its members.
#[derive(Debug, Default)]
pub(super) struct Directory {
    by_name: HashMap<String, Vec<usize>>,
    /// In the order of the file, for "did you mean".
    names: Vec<String>,
    /// Members by group, those of groups within it included.
    groups: HashMap<String, Vec<usize>>,
    /// Keys of tasks in groups → their group.
    keys: HashMap<String, String>,
}

impl Directory {
    pub(super) fn add(&mut self, name: &str, task: usize) {
        let members = self.by_name.entry(name.to_owned()).or_default();
        if members.is_empty() {
            self.names.push(name.to_owned());
        }
        members.push(task);
    }

    /// A task belongs to a group, and to the groups around it.
    pub(super) fn add_to_group(&mut self, group: &str, key: &str, task: usize) {
        let ends = group.match_indices('.').map(|(at, _)| at);
        for end in ends.chain([group.len()]) {
            let members = self.groups.entry(group[..end].to_owned()).or_default();
            if members.is_empty() {
                self.names.push(group[..end].to_owned());
            }
            members.push(task);
        }
        self.keys.insert(key.to_owned(), group.to_owned());
    }

    /// The members of a group; none where there is no such group.
    pub(super) fn group(&self, name: &str) -> &[usize] {
        self.groups.get(name).map_or(&[], Vec::as_slice)
    }

    /// The name is known, but nothing stands behind it: what made it was complained about.
    pub(super) fn add_broken(&mut self, name: &str) {
        self.by_name.entry(name.to_owned()).or_default();
        self.names.push(name.to_owned());
    }

    /// What a task waits for: tasks, expansions unfolded, and groups.
    pub(super) fn upstream(&self, session: &mut Session<'_>, site: &Site<'_>) -> Upstream {
        let Upstream {
            mut tasks,
            mut groups,
        } = Upstream::default();
        let Some(entry) = site.node.get("depends_on") else {
            return Upstream { tasks, groups };
        };
        for name in session.texts(&entry.value, "depends_on") {
            if let Some(found) = self.by_name.get(&name.value) {
                for it in found {
                    if !tasks.iter().any(|(at, _)| at == it) {
                        tasks.push((*it, name.place));
                    }
                }
            } else if self.groups.contains_key(&name.value) {
                groups.push((name.value, name.place));
            } else {
                self.report_unknown(session, (&site.task_id, "waits for"), &name);
            }
        }
        Upstream { tasks, groups }
    }

    /// Every task behind the name of a task, an expansion or a group; complains where there is none.
    pub(super) fn all(
        &self,
        session: &mut Session<'_>,
        (task_id, verb): (&str, &str),
        name: &Text,
    ) -> Option<Vec<usize>> {
        let found = self.by_name.get(&name.value);
        if let Some(found) = found.or_else(|| self.groups.get(&name.value)) {
            return Some(found.clone());
        }
        self.report_unknown(session, (task_id, verb), name);
        None
    }

    fn report_unknown(
        &self,
        session: &mut Session<'_>,
        (task_id, verb): (&str, &str),
        name: &Text,
    ) {
        let (name, place) = (name.value.as_str(), name.place);
        let message = format!("task `{task_id}` {verb} `{name}`, which this DAG does not define");
        let diagnostic = session.report(Code::UnknownUpstream, place, message);
        diagnostic.label("no such task");
        if let Some(group) = self.keys.get(name) {
            diagnostic.hint(format!(
                "write `{group}.{name}`: the task belongs to the group `{group}`"
            ));
            return;
        }
        match nearest(name, self.names.iter().map(String::as_str)) {
            Some(near) => {
                diagnostic.hint(format!("did you mean `{near}`?"));
            }
            None if self.names.len() <= 10 => {
                let names: Vec<_> = self.names.iter().map(String::as_str).collect();
                diagnostic.hint(format!("the tasks are {}", list(&names)));
            }
            None => (),
        }
    }

    /// Names of groups that are names of tasks as well.
    pub(super) fn groups_named_like_tasks(&self) -> impl Iterator<Item = (&str, usize)> {
        self.groups.keys().filter_map(|group| {
            let task = self.by_name.get(group)?.first()?;
            Some((group.as_str(), *task))
        })
    }
}

/// Complains about tasks that wait for each other, and about too many edges.
pub(super) fn check(session: &mut Session<'_>, drafts: &[Draft]) {
    let mut upstream: Vec<Vec<usize>> = drafts
        .iter()
        .map(|it| {
            let mut own: Vec<usize> = it.upstream.iter().map(|(at, _)| *at).collect();
            own.sort_unstable();
            own.dedup();
            own
        })
        .collect();
    let edges: usize = upstream.iter().map(Vec::len).sum();
    if let (true, Some(first)) = (edges > MAX_EDGES, drafts.first()) {
        let message = format!("{edges} dependencies between tasks; {MAX_EDGES} are the limit");
        session
            .report(Code::TooMany, first.place, message)
            .hint("put an `operator: empty` task between two large groups");
    }
    // Each circle is cut where it was reported, so that the next one shows.
    for _ in 0..MAX_CYCLES {
        let Err(Cycle(cycle)) = graph::topological(&upstream) else {
            return;
        };
        let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else {
            return;
        };
        upstream[*first].retain(|it| it != last);
        report_cycle(session, drafts, &cycle);
    }
}

fn report_cycle(session: &mut Session<'_>, drafts: &[Draft], cycle: &[usize]) {
    let names: Vec<&str> = cycle
        .iter()
        .chain(cycle.first())
        .map(|it| drafts[*it].task_id.as_str())
        .collect();
    let closing = drafts[cycle[0]]
        .upstream
        .iter()
        .find(|(at, _)| Some(at) == cycle.last())
        .map_or(drafts[cycle[0]].place, |(_, place)| *place);
    let (message, hint) = if cycle.len() == 1 {
        let message = format!("task `{}` waits for itself", names[0]);
        (message, "take it out of its own `depends_on`")
    } else {
        let message = format!("tasks wait for each other: {}", names.join(" → "));
        (
            message,
            "take one of these tasks out of another's `depends_on`",
        )
    };
    session
        .report(Code::Cycle, closing, message)
        .label("closes the circle")
        .hint(hint);
}

/// Every task that `task` waits for, however far.
pub(crate) fn ancestors(drafts: &[Draft], task: usize) -> Vec<usize> {
    let mut seen = vec![false; drafts.len()];
    let mut open = vec![task];
    while let Some(it) = open.pop() {
        for (parent, _) in &drafts[it].upstream {
            if !std::mem::replace(&mut seen[*parent], true) {
                open.push(*parent);
            }
        }
    }
    let seen = seen.into_iter().enumerate();
    seen.filter(|(_, seen)| *seen).map(|(at, _)| at).collect()
}
