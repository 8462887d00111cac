//! How urgent a task is by what it weighs, and what is weighed with it.

use super::{Dag, place};
use crate::ids::TaskIndex;

/// What counts towards a task's urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WeightRule {
    /// Its weight and those of all tasks downstream: what much waits for comes first.
    #[default]
    Downstream,
    /// Its weight and those of all tasks upstream: what was begun is ended first.
    Upstream,
    /// Its weight alone.
    Absolute,
}

impl Dag {
    /// How urgent each task is, by its weight and its `weight_rule`: the larger, the earlier it is claimed.
    pub fn weights(&self) -> Vec<i32> {
        let rules = |rule| self.tasks.iter().any(|it| it.weight_rule == rule);
        let own: Vec<i64> = self
            .tasks
            .iter()
            .map(|it| i64::from(it.priority_weight))
            .collect();
        let below = rules(WeightRule::Downstream).then(|| sums(&self.downstream, &own));
        let above = rules(WeightRule::Upstream).then(|| sums(&self.upstream, &own));
        let weights = self.tasks.iter().zip(&own).enumerate();
        weights
            .map(|(at, (task, own))| {
                let others = match task.weight_rule {
                    WeightRule::Absolute => None,
                    WeightRule::Downstream => below.as_ref(),
                    WeightRule::Upstream => above.as_ref(),
                };
                let sum = own + others.and_then(|it| it.get(at)).copied().unwrap_or(0);
                // Airflow keeps to 32 bits as well.
                i32::try_from(sum).unwrap_or(if sum < 0 { i32::MIN } else { i32::MAX })
            })
            .collect()
    }
}

/// For each task the sum of what all tasks weigh that one gets to along `edges`, each counted once. All edges lead forwards,
/// or all backwards.
fn sums(edges: &[Vec<TaskIndex>], weights: &[i64]) -> Vec<i64> {
    let forwards = edges
        .iter()
        .enumerate()
        .any(|(at, it)| it.iter().any(|it| place(*it) > at));
    let mut order: Vec<usize> = (0..edges.len()).collect();
    if forwards {
        order.reverse();
    }
    let mut sums = vec![0; edges.len()];
    let mut reached = vec![0u64; edges.len()];
    // 64 tasks at a time, a bit for each: whole sets of 20,000 tasks would take 50 MB.
    for (block, weights) in weights.chunks(64).enumerate() {
        let bit = |at: usize| match at / 64 == block {
            true => 1 << (at % 64),
            false => 0,
        };
        let same = weights.windows(2).all(|it| it[0] == it[1]);
        for at in &order {
            let bits = edges[*at]
                .iter()
                .fold(0, |bits, it| bits | reached[place(*it)] | bit(place(*it)));
            reached[*at] = bits;
            sums[*at] += match same {
                true => weights[0] * i64::from(bits.count_ones()),
                false => (weights.iter().enumerate())
                    .filter(|(at, _)| bits >> at & 1 == 1)
                    .map(|(_, weight)| weight)
                    .sum(),
            };
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::super::{DagSpec, Task};
    use super::*;
    use crate::ids::{DagId, TaskId};
    use crate::operator::Operator;

    /// Tasks that wait for those whose numbers are given, and weigh what is given.
    fn dag(tasks: &[(Vec<usize>, i32)], rule: WeightRule) -> Dag {
        let name = |at: usize| TaskId::new(format!("t{at}")).unwrap();
        let tasks = tasks
            .iter()
            .enumerate()
            .map(|(at, (upstream, weight))| Task {
                depends_on: upstream.iter().map(|it| name(*it)).collect(),
                priority_weight: *weight,
                weight_rule: rule,
                ..Task::new(name(at), Operator::Empty)
            });
        let spec = DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml");
        Dag::new(spec, tasks.collect()).unwrap()
    }

    #[test]
    fn a_task_weighs_with_all_that_is_downstream_or_upstream_each_once() {
        let diamond = [(vec![], 1), (vec![0], 1), (vec![0], 1), (vec![1, 2], 1)];
        let weights = |rule| dag(&diamond, rule).weights();
        assert_eq!(weights(WeightRule::Downstream), [4, 2, 2, 1]);
        assert_eq!(weights(WeightRule::Upstream), [1, 2, 2, 4]);
        assert_eq!(weights(WeightRule::Absolute), [1, 1, 1, 1]);
    }

    #[test]
    fn rules_mix_and_weights_of_their_own_count() {
        let mut tasks = vec![(vec![], 5), (vec![0], -2), (vec![1], 7)];
        let spec = DagSpec::new(DagId::new("orders").unwrap(), "orders.yaml");
        let of_one_rule = dag(&tasks, WeightRule::Downstream);
        let mut mixed = of_one_rule.tasks().to_vec();
        mixed[1].weight_rule = WeightRule::Upstream;
        mixed[2].weight_rule = WeightRule::Absolute;
        assert_eq!(Dag::new(spec, mixed).unwrap().weights(), [10, 3, 7]);
        tasks[2].1 = i32::MAX;
        tasks[0].1 = i32::MAX;
        assert_eq!(dag(&tasks, WeightRule::Downstream).weights()[0], i32::MAX);
        tasks[0].1 = i32::MIN;
        tasks[1].1 = i32::MIN;
        assert_eq!(dag(&tasks, WeightRule::Upstream).weights()[1], i32::MIN);
    }

    #[test]
    fn sums_over_many_tasks_are_those_that_one_gets_by_walking() {
        // Each waits for the one before and for one further back, so that most are reached in many ways.
        let tasks: Vec<(Vec<usize>, i32)> = (0..200)
            .map(|at: usize| {
                let upstream = match at {
                    0 | 70 | 140 => vec![],
                    _ => vec![at - 1, at / 3],
                };
                (upstream, i32::try_from(at % 7).unwrap())
            })
            .collect();
        for rule in [WeightRule::Downstream, WeightRule::Upstream] {
            let dag = dag(&tasks, rule);
            let weigh = |it: TaskIndex| dag.task(it).unwrap().priority_weight;
            let walked: Vec<i32> = dag
                .indexed()
                .map(|(at, task)| {
                    let others = match rule {
                        WeightRule::Upstream => dag.ancestors(at),
                        _ => dag.descendants(at),
                    };
                    task.priority_weight + others.into_iter().map(weigh).sum::<i32>()
                })
                .collect();
            assert_eq!(dag.weights(), walked, "{rule:?}");
        }
    }
}
