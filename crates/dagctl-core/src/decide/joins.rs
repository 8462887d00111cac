//! Joins below a branch that are skipped with whatever the branch does not follow.

use std::collections::BTreeSet;

use super::Look;
use super::chosen::{Chosen, with_all_below};
use super::ruling::Ruling;
use crate::dag::Dag;
use crate::ids::TaskIndex;
use crate::operator::{BranchOption, Operator};
use crate::run::{Plan, RunFacts};
use crate::state::Verdict;

/// Tasks that come together below a branch and keep a rule by which one skipped path skips them; each with the branch
/// and the upstream task that is skipped.
pub fn skipped_joins(dag: &Dag) -> Vec<(TaskIndex, TaskIndex, TaskIndex)> {
    let mut found = vec![];
    let mut seen = BTreeSet::new();
    for branch in dag.branches() {
        let Some(Operator::Branch(it)) = dag.task(*branch).map(|it| &it.operator) else {
            continue;
        };
        for option in &it.options {
            for (join, skipped) in skipped_by(dag, *branch, option) {
                if seen.insert(join) {
                    found.push((join, *branch, skipped));
                }
            }
        }
    }
    found
}

/// The joins that are skipped if `branch` takes `option` and everything else succeeds.
fn skipped_by(dag: &Dag, branch: TaskIndex, option: &BranchOption) -> Vec<(TaskIndex, TaskIndex)> {
    let followed = option.follow.iter();
    let followed: Vec<_> = followed
        .filter_map(|it| dag.index_of(it.as_str()))
        .collect();
    let chosen = with_all_below(dag, &followed);
    let facts = RunFacts::default();
    let mut look = Look {
        dag,
        facts: &facts,
        verdicts: vec![None; dag.tasks().len()],
        chosen: Chosen::from([(branch, chosen.clone())]),
        rejected: BTreeSet::new(),
        plan: Plan::default(),
    };
    let mut joins = vec![];
    for (at, task) in dag.indexed() {
        let verdict = match look.ruling(at) {
            Ruling::Wait | Ruling::Run => Verdict::Success,
            Ruling::UpstreamFailed => Verdict::UpstreamFailed,
            Ruling::Skip(_) => Verdict::Skipped,
        };
        let upstream = || dag.upstream(at).iter().copied();
        let skipped = upstream().find(|it| look.verdict(*it) == Some(Verdict::Skipped));
        // What is not followed is meant to be skipped, and so is what comes after nothing else.
        let comes_after_followed =
            upstream().any(|it| look.verdict(it) == Some(Verdict::Success) && chosen.contains(&it));
        if let (Some(skipped), Verdict::Skipped, true) = (
            skipped,
            verdict,
            comes_after_followed || followed.contains(&at),
        ) && task.trigger_rule.passes_on_skips()
        {
            joins.push((at, skipped));
        }
        if let Some(it) = usize::try_from(at.get())
            .ok()
            .and_then(|at| look.verdicts.get_mut(at))
        {
            *it = Some(verdict);
        }
    }
    joins
}
