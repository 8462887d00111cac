//! What a task is subject to besides its trigger rule: setups further up, branches directly above, the run before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Dag, TriggerRule};
use crate::ids::{TaskId, TaskIndex};

/// The output of a branch that names the tasks it lets run.
const FOLLOWED: &str = "followed";

/// What is known of a DAG's setups, branches and limits once for all: the hot path asks for it at each task.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Conditions {
    setups: BTreeSet<TaskIndex>,
    scopes: Vec<Scope>,
    /// By task: setups further up whose teardown is further down.
    indirect_setups: BTreeMap<TaskIndex, Vec<TaskIndex>>,
    branches: Vec<TaskIndex>,
    depend_on_past: Vec<TaskIndex>,
    pub(super) is_mapped: bool,
    pub(super) limits_tasks: bool,
    /// More tasks may want to be under way at once than `max_active_tasks` allows.
    pub(super) is_wide: bool,
}

/// A setup, a teardown of it, and what rests on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// What sets up.
    pub setup: TaskIndex,
    /// What cleans up after it.
    pub teardown: TaskIndex,
    /// Everything between the two, in the DAG's order.
    pub work: Vec<TaskIndex>,
}

impl Conditions {
    pub(super) fn of(dag: &Dag) -> Self {
        let mut found = Self {
            branches: indexes(dag, |it| it.operator.is_branch()),
            depend_on_past: indexes(dag, |it| it.depends_on_past),
            is_mapped: dag.tasks.iter().any(|it| it.expand.is_some()),
            limits_tasks: dag
                .tasks
                .iter()
                .any(|it| it.max_active_tis_per_dag.is_some()),
            is_wide: u32::try_from(dag.width()).is_ok_and(|it| it > dag.spec.max_active_tasks),
            ..Self::default()
        };
        for (teardown, task) in dag.indexed() {
            for setup in task.teardown.iter().flat_map(|it| &it.setups) {
                if let Some(setup) = dag.index_of(setup.as_str()) {
                    found.add_scope(dag, setup, teardown);
                }
            }
        }
        found
    }

    /// The work between a setup and its teardown rests on the setup, whatever the rules on the way say.
    fn add_scope(&mut self, dag: &Dag, setup: TaskIndex, teardown: TaskIndex) {
        self.setups.insert(setup);
        let below: BTreeSet<TaskIndex> = dag.descendants(setup).into_iter().collect();
        let between = dag.ancestors(teardown).into_iter();
        let work: Vec<TaskIndex> = between.filter(|it| below.contains(it)).collect();
        for task in work.iter().copied() {
            let is_teardown = dag.task(task).is_some_and(|it| it.teardown.is_some());
            if is_teardown || dag.upstream(task).contains(&setup) {
                continue;
            }
            let setups = self.indirect_setups.entry(task).or_default();
            if !setups.contains(&setup) {
                setups.push(setup);
            }
        }
        self.scopes.push(Scope {
            setup,
            teardown,
            work,
        });
    }
}

fn indexes(dag: &Dag, has: impl Fn(&super::Task) -> bool) -> Vec<TaskIndex> {
    dag.indexed()
        .filter(|(_, task)| has(task))
        .map(|(at, _)| at)
        .collect()
}

impl Dag {
    /// The tasks that choose which of those directly below them run.
    pub fn branches(&self) -> &[TaskIndex] {
        &self.conditions.branches
    }

    /// The tasks that look at the run before.
    pub fn depend_on_past(&self) -> &[TaskIndex] {
        &self.conditions.depend_on_past
    }

    /// Branches directly above a task, which may leave it out. Teardowns are left out by none.
    pub fn branches_above(&self, at: TaskIndex) -> impl Iterator<Item = TaskIndex> + '_ {
        let branches = self.branches();
        let above = if branches.is_empty() || self.is_teardown(at) {
            &[][..]
        } else {
            self.upstream(at)
        };
        above.iter().copied().filter(|it| branches.contains(it))
    }

    /// Setups further up on which a task rests because their teardown is further down.
    pub fn indirect_setups(&self, at: TaskIndex) -> &[TaskIndex] {
        self.conditions
            .indirect_setups
            .get(&at)
            .map_or(&[], Vec::as_slice)
    }

    /// Every setup with each of its teardowns.
    pub fn scopes(&self) -> &[Scope] {
        &self.conditions.scopes
    }

    /// Whether `upstream` counts as a setup for the rule of `task`: for a teardown those that it names.
    pub fn is_setup_of(&self, upstream: TaskIndex, task: TaskIndex) -> bool {
        let of = |at| self.task(at);
        match (of(upstream), of(task).and_then(|it| it.teardown.as_ref())) {
            (Some(it), Some(teardown)) => teardown.setups.contains(&it.task_id),
            (_, None) => self.conditions.setups.contains(&upstream),
            (None, Some(_)) => false,
        }
    }

    /// Whether a task cleans up after others.
    pub fn is_teardown(&self, at: TaskIndex) -> bool {
        self.task(at).is_some_and(|it| it.teardown.is_some())
    }

    /// The letter in `dag_task.rule`: `s`, all upstream tasks succeeded, is for the hot path, `a` starts with the run,
    /// `t` is a teardown, which a cancel leaves alone; of a task with `x` a look decides, also where it is a root.
    pub fn rule_letter(&self, at: TaskIndex) -> char {
        let Some(task) = self.task(at) else {
            return 'x';
        };
        let is_always = task.trigger_rule == TriggerRule::Always;
        let needs_look = task.depends_on_past
            || !self.indirect_setups(at).is_empty()
            || is_always && self.branches_above(at).next().is_some();
        if task.teardown.is_some() {
            't'
        } else if needs_look || task.trigger_rule == TriggerRule::AllDoneSetupSuccess {
            'x'
        } else {
            task.trigger_rule.letter()
        }
    }

    /// Whether the success of a task may decide more than a count of what its downstream tasks wait for.
    pub fn success_needs_look(&self, at: TaskIndex) -> bool {
        let Some(task) = self.task(at) else {
            return true;
        };
        let below = || self.downstream(at).iter().filter_map(|it| self.task(*it));
        let above = || self.upstream(at).iter().filter_map(|it| self.task(*it));
        task.operator.is_branch()
            || task.depends_on_past
            || below().any(|it| it.trigger_rule.hears_each_success())
            || !self.depend_on_past().is_empty() && above().any(|it| it.wait_for_downstream)
    }

    /// Which tasks a branch lets run, by its outputs; `None`: it left no decision, and nothing is skipped for it.
    pub fn followed(&self, outputs: &Map<String, Value>) -> Option<Vec<TaskIndex>> {
        let names = outputs.get(FOLLOWED)?.as_array()?.iter();
        Some(names.filter_map(|it| self.index_of(it.as_str()?)).collect())
    }

    /// The outputs of a branch that lets `followed` run.
    pub fn following(followed: &[TaskId]) -> Map<String, Value> {
        let names = followed.iter().map(|it| it.as_str().into()).collect();
        Map::from_iter([(FOLLOWED.to_owned(), Value::Array(names))])
    }
}
