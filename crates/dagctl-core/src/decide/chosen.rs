//! What branches let run.

use std::collections::{BTreeMap, BTreeSet};

use crate::dag::Dag;
use crate::ids::TaskIndex;
use crate::outcome::Outcome;
use crate::run::{RunFacts, Standing};

/// By branch that left a decision: the tasks it lets run, with everything downstream of them.
pub(super) type Chosen = BTreeMap<TaskIndex, BTreeSet<TaskIndex>>;

/// Reads the decisions of branches, those that have just been made included.
pub(super) fn by_branch(dag: &Dag, facts: &RunFacts) -> Chosen {
    let with_decision = |branch: &TaskIndex| {
        let at = usize::try_from(branch.get()).ok()?;
        let followed = match &facts.tasks.get(at)?.standing {
            Standing::Ended(Outcome::Success { outputs }) => dag.followed(outputs)?,
            _ => facts.followed.get(branch)?.clone(),
        };
        Some((*branch, with_all_below(dag, &followed)))
    };
    dag.branches().iter().filter_map(with_decision).collect()
}

/// Tasks that a branch follows, with everything downstream of them.
pub(super) fn with_all_below(dag: &Dag, followed: &[TaskIndex]) -> BTreeSet<TaskIndex> {
    let below = followed.iter().flat_map(|it| dag.descendants(*it));
    below.chain(followed.iter().copied()).collect()
}
