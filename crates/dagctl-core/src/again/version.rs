//! What becomes of a run's tasks when the run moves to another version of its DAG.

use crate::dag::Dag;
use crate::ids::TaskIndex;

/// How the tasks of one version stand in another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moved {
    /// Tasks that are in both: their places before and now.
    pub kept: Vec<(TaskIndex, TaskIndex)>,
    /// Tasks that only the new version has: their places there.
    pub added: Vec<TaskIndex>,
    /// Tasks that only the old version has: their places there.
    pub removed: Vec<TaskIndex>,
    /// Tasks that are in both and defined otherwise now: their places in the new version.
    pub changed: Vec<TaskIndex>,
}

/// Compares two versions of a DAG by the names of their tasks.
pub fn moved(old: &Dag, new: &Dag) -> Moved {
    let mut moved = Moved::default();
    for (before, task) in old.indexed() {
        match new.index_of(task.task_id.as_str()) {
            Some(now) => {
                moved.kept.push((before, now));
                if new.task(now) != Some(task) {
                    moved.changed.push(now);
                }
            }
            None => moved.removed.push(before),
        }
    }
    for (now, task) in new.indexed() {
        if old.index_of(task.task_id.as_str()).is_none() {
            moved.added.push(now);
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::{DagSpec, Task};
    use crate::ids::{DagId, TaskId};
    use crate::operator::Operator;

    fn dag(tasks: &[(&str, &[&str])]) -> Dag {
        let id = |it: &str| TaskId::new(it).unwrap();
        let tasks = tasks.iter().map(|(name, upstream)| Task {
            depends_on: upstream.iter().map(|it| id(it)).collect(),
            ..Task::new(id(name), Operator::Empty)
        });
        let spec = DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml");
        Dag::new(spec, tasks.collect()).unwrap()
    }

    #[test]
    fn tasks_are_the_same_by_name_wherever_they_stand() {
        let old = dag(&[("a", &[]), ("b", &["a"]), ("gone", &["b"])]);
        let new = dag(&[("fresh", &[]), ("a", &[]), ("b", &["a", "fresh"])]);
        let at = TaskIndex;
        assert_eq!(
            moved(&old, &new),
            Moved {
                kept: vec![(at(0), at(1)), (at(1), at(2))],
                added: vec![at(0)],
                removed: vec![at(2)],
                changed: vec![at(2)],
            }
        );
        let same = moved(&old, &old);
        assert_eq!(same.kept.len(), 3);
        assert!(same.added.is_empty() && same.removed.is_empty() && same.changed.is_empty());
    }
}
