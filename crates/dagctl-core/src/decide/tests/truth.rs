//! Every rule with every combination of up to three upstream states, against a table that was written without the code.

use super::{dag, task};
use crate::dag::{Dag, Task, Teardown, TriggerRule};
use crate::decide::decide;
use crate::ids::{TaskId, TaskIndex};
use crate::run::{Action, RunFacts, Standing, TaskFacts};
use crate::state::Verdict;

const TABLE: &str = include_str!("truth_table.txt");

/// What becomes of the last task of a DAG whose other tasks stand as `states` says.
fn fate(dag: &Dag, states: &[char]) -> char {
    let standing = |letter: &char| match Verdict::from_letter(*letter) {
        Some(verdict) => Standing::Settled(verdict),
        None => Standing::Running,
    };
    let mut standings: Vec<Standing> = states.iter().map(standing).collect();
    standings.push(Standing::Waiting);
    let facts = RunFacts {
        tasks: standings
            .into_iter()
            .map(|standing| TaskFacts::new(standing, 1, 0))
            .collect(),
        ..RunFacts::default()
    };
    let last = TaskIndex(i32::try_from(states.len()).unwrap());
    let plan = decide(dag, &facts, &mut || 0.0);
    let of_last = plan.moves.into_iter().find(|it| it.task == last);
    match of_last.map(|it| it.action) {
        None => 'W',
        Some(Action::Queue) => 'R',
        Some(Action::Settle {
            verdict: Verdict::UpstreamFailed,
            ..
        }) => 'U',
        Some(Action::Settle {
            verdict: Verdict::Skipped,
            ..
        }) => 'S',
        Some(other) => panic!("{other:?}"),
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|it| format!("t{it}")).collect()
}

fn below(count: usize, rule: TriggerRule) -> Dag {
    let names = names(count);
    let upstream: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tasks: Vec<Task> = upstream
        .iter()
        .map(|it| task(it, TriggerRule::AllSuccess, &[]))
        .collect();
    tasks.push(task("it", rule, &upstream));
    dag(tasks, 16)
}

fn teardown_of(setups: usize, count: usize) -> Dag {
    let names = names(count);
    let mut tasks: Vec<Task> = names
        .iter()
        .map(|it| task(it, TriggerRule::AllSuccess, &[]))
        .collect();
    let others: Vec<&str> = names[setups..].iter().map(String::as_str).collect();
    tasks.push(Task {
        teardown: Some(Teardown {
            setups: names[..setups]
                .iter()
                .map(|it| TaskId::new(it.as_str()).unwrap())
                .collect(),
        }),
        ..task("it", TriggerRule::AllDoneSetupSuccess, &others)
    });
    dag(tasks, 16)
}

/// Every order of a few letters; the same one may come twice.
fn orders(letters: &[char]) -> Vec<Vec<char>> {
    let Some(first) = letters.first() else {
        return vec![vec![]];
    };
    let mut all = vec![];
    for rest in orders(&letters[1..]) {
        for at in 0..=rest.len() {
            let mut one = rest.clone();
            one.insert(at, *first);
            all.push(one);
        }
    }
    all
}

#[test]
fn every_rule_with_up_to_three_upstream_tasks_is_as_in_the_table() {
    let lines = || TABLE.lines().take_while(|it| *it != "teardown:");
    let rules: Vec<TriggerRule> = lines()
        .find_map(|it| it.strip_prefix("rules: "))
        .unwrap()
        .split(' ')
        .map(|it| TriggerRule::from_name(it).unwrap())
        .collect();
    assert_eq!(rules.len(), TriggerRule::ALL.len());
    let mut rows = 0;
    for line in lines().filter(|it| !it.starts_with(['#', 'r']) && !it.is_empty()) {
        let (states, results) = line.split_once(' ').unwrap();
        let states: Vec<char> = states.chars().filter(|it| *it != '-').collect();
        for (rule, result) in rules.iter().zip(results.split_whitespace()) {
            for order in orders(&states) {
                let found = fate(&below(order.len(), *rule), &order);
                assert_eq!(found.to_string(), result, "{} of {order:?}", rule.name());
            }
        }
        rows += 1;
    }
    assert_eq!(rows, 56, "combinations of up to three of five states");
}

#[test]
fn a_teardown_is_as_in_the_table() {
    let rows: Vec<&str> = TABLE
        .lines()
        .skip_while(|it| *it != "teardown:")
        .skip(1)
        .collect();
    for row in &rows {
        let (states, result) = row.split_once(' ').unwrap();
        let (setups, others) = states.split_once('|').unwrap();
        for setups in orders(&Vec::from_iter(setups.chars())) {
            for others in orders(&Vec::from_iter(others.chars())) {
                let all = [&setups[..], &others[..]].concat();
                let found = fate(&teardown_of(setups.len(), all.len()), &all);
                assert_eq!(found.to_string(), result, "{setups:?} and {others:?}");
            }
        }
    }
    assert_eq!(rows.len(), 230);
}
