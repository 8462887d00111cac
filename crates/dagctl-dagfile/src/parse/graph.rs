//! Who waits for whom.

use std::collections::HashMap;

use dagctl_core::dag::Task;
use dagctl_core::graph::{self, Cycle};

use crate::diagnostic::Code;
use crate::sources::{Place, Session};
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
    /// `None` after a complaint.
    pub(crate) task: Option<Task>,
}

/// What `depends_on` may name: a task, or an expansion for all its members.
#[derive(Debug, Default)]
pub(super) struct Directory {
    by_name: HashMap<String, Vec<usize>>,
    /// In the order of the file, for "did you mean".
    names: Vec<String>,
}

impl Directory {
    pub(super) fn add(&mut self, name: &str, task: usize) {
        let members = self.by_name.entry(name.to_owned()).or_default();
        if members.is_empty() {
            self.names.push(name.to_owned());
        }
        members.push(task);
    }

    /// The name is known, but nothing stands behind it: what made it was complained about.
    pub(super) fn add_broken(&mut self, name: &str) {
        self.by_name.entry(name.to_owned()).or_default();
        self.names.push(name.to_owned());
    }

    /// The tasks behind a name; complains where there is none.
    pub(super) fn find(
        &self,
        session: &mut Session<'_>,
        task_id: &str,
        name: &str,
        place: Place,
    ) -> Vec<(usize, Place)> {
        if let Some(found) = self.by_name.get(name) {
            return found.iter().map(|it| (*it, place)).collect();
        }
        let message =
            format!("task `{task_id}` waits for `{name}`, which this DAG does not define");
        let diagnostic = session.report(Code::UnknownUpstream, place, message);
        diagnostic.label("no such task");
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
        vec![]
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
