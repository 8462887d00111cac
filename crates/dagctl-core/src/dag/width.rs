//! How many tasks of a run may want to be under way at once.

use super::{Dag, TriggerRule, place};

impl Dag {
    /// No more tasks of a run than these are ever queued or under way at once, unless a person has some of them go again
    /// or counts them as settled.
    ///
    /// A task with the rule `all_success` starts when all its upstream tasks have run and succeeded. So of tasks in a row,
    /// each upstream of the next and each with that rule but the first, one at most is under way: there are no more at
    /// once than there are such rows. One pass finds the rows, not always as few as there could be: a bound from above.
    pub(super) fn width(&self) -> usize {
        let mut is_followed = vec![false; self.tasks.len()];
        let mut rows = 0;
        for (task, parents) in self.tasks.iter().zip(&self.upstream) {
            let free = parents.iter().filter(|it| !is_followed[place(**it)]);
            // What others wait for as well is left to them.
            let before = free.min_by_key(|it| self.downstream[place(**it)].len());
            match before {
                Some(before) if task.trigger_rule == TriggerRule::AllSuccess => {
                    is_followed[place(*before)] = true;
                }
                _ => rows += 1,
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::Task;
    use crate::dag::tests::{dag, task};

    fn width(tasks: Vec<Task>) -> usize {
        dag(tasks).width()
    }

    /// `width` rows of `length` tasks, each of which waits for all tasks of the layer above it or for its own row alone.
    fn layers(length: usize, width: usize, is_woven: bool) -> Vec<Task> {
        let name = |layer: usize, at: usize| format!("t{layer}_{at}");
        let mut tasks = vec![];
        for layer in 0..length {
            for at in 0..width {
                let above: Vec<String> = match (layer, is_woven) {
                    (0, _) => vec![],
                    (_, true) => (0..width).map(|it| name(layer - 1, it)).collect(),
                    (_, false) => vec![name(layer - 1, at)],
                };
                let above: Vec<&str> = above.iter().map(String::as_str).collect();
                tasks.push(task(&name(layer, at), &above));
            }
        }
        tasks
    }

    #[test]
    fn tasks_in_a_row_are_one_at_a_time_and_rows_beside_each_other_as_many_as_they_are() {
        assert_eq!(width(layers(60, 1, false)), 1);
        assert_eq!(width(layers(10, 5, false)), 5);
        assert_eq!(width(layers(10, 5, true)), 5);
        let start_and_end = |middle: usize| {
            let names: Vec<String> = (0..middle).map(|it| format!("m{it}")).collect();
            let mut tasks = vec![task("start", &[])];
            tasks.extend(names.iter().map(|it| task(it, &["start"])));
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            tasks.push(task("end", &all));
            tasks
        };
        assert_eq!(width(start_and_end(7)), 7);
    }

    #[test]
    fn what_may_start_before_all_above_it_has_run_is_counted_beside_it() {
        for rule in TriggerRule::ALL {
            let mut tasks = layers(3, 1, false);
            tasks[2].trigger_rule = rule;
            // `all_done` after a task that never ran because one of its upstream tasks failed: another may still run.
            let expected = if rule == TriggerRule::AllSuccess {
                1
            } else {
                2
            };
            assert_eq!(width(tasks), expected, "{rule:?}");
        }
    }

    #[test]
    fn a_task_that_only_one_waits_for_goes_before_it_in_its_row() {
        // `x` could follow `a`, which `y` alone needs.
        let tasks = vec![
            task("a", &[]),
            task("b", &[]),
            task("x", &["a", "b"]),
            task("y", &["a"]),
        ];
        assert_eq!(width(tasks), 2);
    }
}
