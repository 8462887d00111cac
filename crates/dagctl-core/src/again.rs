//! Going again: which tasks of a run go back to where they stood before they ran, and which are looked at again.
//!
//! A verdict that a task did not earn by itself follows from others: whenever one of those changes, it is decided
//! anew. What ran keeps its verdict until somebody clears it.

mod version;

pub use version::{Moved, moved};

use crate::dag::Dag;
use crate::ids::TaskIndex;
use crate::state::Verdict;

/// What somebody wants of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// These tasks again, and what else the reach says.
    Clear {
        /// The tasks that were named.
        tasks: Vec<TaskIndex>,
        /// Which of their neighbours go with them.
        reach: Reach,
    },
    /// Whatever failed or was stopped, and everything downstream of it.
    Retry,
    /// Every task.
    Everything,
    /// One task counts as settled like this.
    Mark {
        /// Which.
        task: TaskIndex,
        /// How.
        verdict: Verdict,
    },
}

/// Which tasks are cleared besides those that were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Everything upstream of them.
    pub upstream: bool,
    /// Everything downstream of them.
    pub downstream: bool,
    /// Of all these, only what failed or never ran because another task failed.
    pub only_failed: bool,
}

/// Where a task stands, as far as going again is concerned. Of a mapped task: all its instances together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Has not been queued.
    Waiting,
    /// May start now or later; no worker has it.
    Queued,
    /// A worker has it.
    Running,
    /// Settled.
    Settled {
        /// How.
        verdict: Verdict,
        /// By what.
        cause: Cause,
    },
}

/// What a verdict came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The task's own attempt, or a person.
    Itself,
    /// The verdicts of others: it never ran.
    Others,
    /// Its run was stopped before it ran.
    Stop,
}

/// What a wish comes to. No task is in two of the lists; each is in the DAG's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Go back to where they stood before they ran.
    pub cleared: Vec<TaskIndex>,
    /// Had a verdict, or a place in the queue, only because of what changes: go back as well.
    pub reconsidered: Vec<TaskIndex>,
    /// The task that is given a verdict, and which.
    pub marked: Option<(TaskIndex, Verdict)>,
}

/// Why nothing can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A worker has these tasks: what they do would be done twice at a time.
    Running(Vec<TaskIndex>),
    /// Everything stands as wished.
    Nothing,
}

/// Says what a wish comes to; `past` holds every task, in the DAG's order.
pub fn changes(dag: &Dag, past: &[Past], wish: &Wish) -> Result<Changes, Refusal> {
    let mut changes = Changes::default();
    match wish {
        Wish::Clear { tasks, reach } => {
            changes.cleared = with_scopes(dag, past, reached(dag, past, tasks, *reach));
        }
        Wish::Retry => changes.cleared = with_scopes(dag, past, retried(dag, past)),
        Wish::Everything => changes.cleared = dag.indexed().map(|(at, _)| at).collect(),
        Wish::Mark { task, verdict } => match standing(past, *task) {
            Past::Settled { verdict: it, .. } if it == *verdict => (),
            Past::Waiting | Past::Queued | Past::Running | Past::Settled { .. } => {
                changes.marked = Some((*task, *verdict));
            }
        },
    }
    let marked = changes.marked.map(|(task, _)| task);
    let running: Vec<TaskIndex> = (changes.cleared.iter().copied().chain(marked))
        .filter(|it| standing(past, *it) == Past::Running)
        .collect();
    if !running.is_empty() {
        return Err(Refusal::Running(running));
    }
    // What has not been queued yet is where it would go.
    changes
        .cleared
        .retain(|it| standing(past, *it) != Past::Waiting);
    if changes.cleared.is_empty() && changes.marked.is_none() {
        return Err(Refusal::Nothing);
    }
    changes.reconsidered = reconsidered(dag, past, &changes);
    Ok(changes)
}

fn standing(past: &[Past], task: TaskIndex) -> Past {
    usize::try_from(task.get())
        .ok()
        .and_then(|at| past.get(at).copied())
        .unwrap_or(Past::Waiting)
}

fn has_failed(past: Past) -> bool {
    matches!(
        past,
        Past::Settled {
            verdict: Verdict::Failed | Verdict::UpstreamFailed,
            ..
        }
    )
}

fn was_stopped(past: Past) -> bool {
    matches!(
        past,
        Past::Settled {
            cause: Cause::Stop,
            ..
        }
    )
}

fn reached(dag: &Dag, past: &[Past], tasks: &[TaskIndex], reach: Reach) -> Vec<TaskIndex> {
    let mut all = tasks.to_vec();
    for task in tasks {
        if reach.upstream {
            all.extend(dag.ancestors(*task));
        }
    }
    if reach.downstream {
        all.extend(descendants(dag, tasks));
    }
    all.sort_unstable();
    all.dedup();
    if reach.only_failed {
        all.retain(|it| has_failed(standing(past, *it)));
    }
    all
}

fn retried(dag: &Dag, past: &[Past]) -> Vec<TaskIndex> {
    let mut all: Vec<TaskIndex> = dag
        .indexed()
        .map(|(at, _)| at)
        .filter(|it| {
            let past = standing(past, *it);
            has_failed(past) || was_stopped(past)
        })
        .collect();
    all.extend(descendants(dag, &all));
    all.sort_unstable();
    all.dedup();
    all
}

/// What has been torn down is set up again before the work that rests on it, and torn down again after it: as Airflow
/// does, but only where the teardown has run.
fn with_scopes(dag: &Dag, past: &[Past], mut cleared: Vec<TaskIndex>) -> Vec<TaskIndex> {
    let is_torn_down = |teardown| match standing(past, teardown) {
        Past::Settled { cause, .. } => cause == Cause::Itself,
        Past::Running => true,
        Past::Waiting | Past::Queued => false,
    };
    loop {
        let missing: Vec<TaskIndex> = dag
            .scopes()
            .iter()
            .filter(|it| is_torn_down(it.teardown))
            .filter(|it| {
                cleared.contains(&it.setup) || it.work.iter().any(|at| cleared.contains(at))
            })
            .flat_map(|it| [it.setup, it.teardown])
            .filter(|it| !cleared.contains(it))
            .collect();
        if missing.is_empty() {
            return cleared;
        }
        // A setup may rest on another one.
        cleared.extend(missing);
        cleared.sort_unstable();
        cleared.dedup();
    }
}

/// Everything downstream of tasks, however far.
fn descendants(dag: &Dag, tasks: &[TaskIndex]) -> Vec<TaskIndex> {
    let mut found = vec![];
    let mut open = tasks.to_vec();
    while let Some(it) = open.pop() {
        for child in dag.downstream(it) {
            if !found.contains(child) {
                found.push(*child);
                open.push(*child);
            }
        }
    }
    found
}

fn reconsidered(dag: &Dag, past: &[Past], changes: &Changes) -> Vec<TaskIndex> {
    let mut changed: Vec<TaskIndex> = changes.cleared.clone();
    changed.extend(changes.marked.iter().map(|(task, _)| *task));
    let mut found = vec![];
    let mut open = changed.clone();
    while let Some(it) = open.pop() {
        for child in dag.downstream(it) {
            let follows = match standing(past, *child) {
                Past::Queued => true,
                Past::Settled { cause, .. } => cause != Cause::Itself,
                Past::Waiting | Past::Running => false,
            };
            if follows && !changed.contains(child) && !found.contains(child) {
                found.push(*child);
                open.push(*child);
            }
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests;
