//! Random DAGs with every rule, branches, teardowns and retries, and what happens to their tasks in random orders.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{dag, task};
use crate::dag::{Dag, Task, Teardown, TriggerRule};
use crate::decide::decide;
use crate::ids::{TaskId, TaskIndex};
use crate::operator::{Branch, Operator};
use crate::outcome::{Failure, FailureKind, Outcome};
use crate::run::{Action, AskedFor, Plan, RunFacts, Standing, TaskFacts};
use crate::state::{RunState, Verdict};

/// A task before it has a name: what it waits for, its rule, what else it is, and what its attempts come to.
#[derive(Debug, Clone)]
struct Node {
    upstream: u16,
    rule: usize,
    kind: u8,
    outcomes: Vec<u8>,
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = (
        any::<u16>(),
        any::<u16>(),
        0..TriggerRule::ALL.len() + 8,
        0..12_u8,
        vec(any::<u8>(), 5),
    );
    let node = node.prop_map(|(one, other, rule, kind, outcomes)| Node {
        upstream: one & other,
        rule,
        kind,
        outcomes,
    });
    vec(node, 1..12)
}

/// A run under way: the DAG, its facts, and what will happen to its tasks.
struct World<'a> {
    dag: Dag,
    nodes: &'a [Node],
    facts: RunFacts,
    limit: usize,
}

fn place(task: TaskIndex) -> usize {
    usize::try_from(task.get()).unwrap()
}

impl<'a> World<'a> {
    fn new(nodes: &'a [Node], limit: u32) -> Self {
        let names: Vec<String> = (0..nodes.len()).map(|it| format!("t{it}")).collect();
        let tasks = nodes.iter().enumerate().map(|(at, node)| {
            let upstream: Vec<&str> = (0..at)
                .filter(|it| node.upstream >> it & 1 == 1)
                .map(|it| names[it].as_str())
                .collect();
            let rule = TriggerRule::ALL.get(node.rule).copied().unwrap_or_default();
            let plain = task(&names[at], rule, &upstream);
            match node.kind {
                0 => Task {
                    operator: Operator::Branch(Branch { options: vec![] }),
                    ..plain
                },
                1 if !upstream.is_empty() => Task {
                    teardown: Some(Teardown {
                        setups: vec![TaskId::new(upstream[0]).unwrap()],
                    }),
                    trigger_rule: TriggerRule::AllDoneSetupSuccess,
                    ..plain
                },
                2 => Task {
                    allow_failure: true,
                    ..plain
                },
                3 => Task {
                    depends_on_past: true,
                    ..plain
                },
                _ => plain,
            }
        });
        // Tasks are in the order of the file already: each waits for earlier ones alone.
        let dag = dag(tasks.collect(), limit);
        let waiting = TaskFacts::new(Standing::Waiting, 0, 0);
        let facts = RunFacts {
            tasks: vec![waiting; dag.tasks().len()],
            held_by_past: dag.depend_on_past().iter().copied().collect(),
            ..RunFacts::default()
        };
        Self {
            dag,
            nodes,
            facts,
            limit: usize::try_from(limit).unwrap(),
        }
    }

    /// What an attempt of a task comes to, whenever it happens.
    fn outcome(&self, at: usize) -> Outcome {
        let attempt = usize::try_from(self.facts.tasks[at].attempt).unwrap();
        let number = self.nodes[at].outcomes.get(attempt - 1).copied();
        match number.unwrap_or(0) % 8 {
            0..=3 => Outcome::Success {
                outputs: match self.nodes[at].kind {
                    0 => Dag::following(&self.followed(at)),
                    _ => serde_json::Map::new(),
                },
            },
            4 => Outcome::Skipped {
                reason: "asked to".into(),
            },
            5 => Failure::new(FailureKind::Connect, "refused").into(),
            6 => Failure::new(FailureKind::Check, "too few").into(),
            _ => Outcome::HandedBack,
        }
    }

    fn followed(&self, at: usize) -> Vec<TaskId> {
        let below = self.dag.downstream(TaskIndex(i32::try_from(at).unwrap()));
        let chosen = below
            .iter()
            .filter(|it| self.nodes[at].outcomes[0] >> (place(**it) % 8) & 1 == 1);
        chosen
            .filter_map(|it| Some(self.dag.task(*it)?.task_id.clone()))
            .collect()
    }

    /// Carries out a plan; what may start is parked where the run has no place for it.
    fn apply(&mut self, plan: &Plan) {
        for it in &plan.moves {
            let at = place(it.task);
            if let (Standing::Ended(Outcome::Success { outputs }), Action::Settle { .. }) =
                (&self.facts.tasks[at].standing, &it.action)
                && let Some(followed) = self.dag.followed(outputs)
            {
                self.facts.followed.insert(it.task, followed);
            }
            let task = &mut self.facts.tasks[at];
            task.standing = match &it.action {
                Action::Queue | Action::Requeue => Standing::Parked,
                Action::Expand { .. } => Standing::Expanded,
                Action::Retry { .. } => {
                    task.tries += 1;
                    Standing::UpForRetry
                }
                Action::Reschedule { .. } => Standing::UpForReschedule,
                Action::Ask { deadline, .. } => Standing::WaitingApproval(AskedFor {
                    deadline: *deadline,
                    answered: None,
                }),
                Action::Settle { verdict, .. } => Standing::Settled(*verdict),
            };
        }
        self.fill();
    }

    fn fill(&mut self) {
        let free = self.limit.saturating_sub(self.active());
        let stops = self.facts.cancelled_by.is_some();
        let parked = (0..self.facts.tasks.len()).filter(|it| {
            let index = TaskIndex(i32::try_from(*it).unwrap());
            self.facts.tasks[*it].standing == Standing::Parked
                && (!stops || self.dag.is_teardown(index))
        });
        for at in parked.take(free).collect::<Vec<_>>() {
            self.facts.tasks[at].standing = Standing::Queued;
        }
    }

    fn active(&self) -> usize {
        let tasks = self.facts.tasks.iter();
        tasks
            .filter(|it| matches!(it.standing, Standing::Queued | Standing::Running))
            .count()
    }

    /// Something happens to one of those to which something can happen: its worker, its timer, or the run before.
    fn happen(&mut self, pick: u8) -> bool {
        let open: Vec<usize> = (0..self.facts.tasks.len())
            .filter(|it| {
                matches!(
                    self.facts.tasks[*it].standing,
                    Standing::Queued
                        | Standing::Running
                        | Standing::UpForRetry
                        | Standing::UpForReschedule
                )
            })
            .collect();
        let choices = open.len() + usize::from(!self.facts.held_by_past.is_empty());
        if choices == 0 {
            return false;
        }
        let Some(at) = open.get(usize::from(pick) % choices).copied() else {
            self.facts.held_by_past.pop_first();
            return true;
        };
        self.facts.tasks[at].standing = match self.facts.tasks[at].standing {
            Standing::Running => Standing::Ended(self.outcome(at)),
            Standing::UpForRetry | Standing::UpForReschedule => Standing::Parked,
            _ => {
                self.facts.tasks[at].attempt += 1;
                Standing::Running
            }
        };
        self.fill();
        true
    }

    fn verdict(&self, task: TaskIndex) -> Option<Verdict> {
        match self.facts.tasks[place(task)].standing {
            Standing::Settled(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// A task that waits does so for an upstream task, for a setup further up, or for the run before.
    fn has_reason(&self, task: TaskIndex) -> bool {
        let upstream = self.dag.upstream(task).iter();
        upstream
            .chain(self.dag.indirect_setups(task))
            .any(|it| self.verdict(*it).is_none())
            || self.facts.held_by_past.contains(&task)
            || self.facts.cancelled_by.is_some()
                && (self.dag.ancestors(task).into_iter()).any(|it| self.verdict(it).is_none())
    }

    /// Looks once, and holds every look to its promises.
    fn look(&mut self) -> Result<Option<RunState>, TestCaseError> {
        let plan = decide(&self.dag, &self.facts, &mut || 0.5);
        let before = self.facts.clone();
        self.apply(&plan);
        prop_assert!(self.active() <= self.limit, "more than may be under way");
        let moved: BTreeSet<_> = plan.moves.iter().map(|it| it.task).collect();
        prop_assert_eq!(moved.len(), plan.moves.len(), "one move a task at most");
        for it in &plan.moves {
            let stood = &before.tasks[place(it.task)].standing;
            prop_assert!(
                !matches!(stood, Standing::Settled(_)),
                "a settled task moved"
            );
            let rule = self.dag.task(it.task).unwrap().trigger_rule;
            let mut upstream = self.dag.upstream(it.task).iter();
            let is_eager = rule == TriggerRule::Always || rule.name().starts_with("one_");
            if it.action == Action::Queue && !is_eager {
                prop_assert!(
                    upstream.all(|it| self.verdict(*it).is_some()),
                    "queued before its upstream tasks settled"
                );
            }
        }
        for (at, _) in self.dag.indexed() {
            if self.facts.tasks[place(at)].standing == Standing::Waiting {
                prop_assert!(self.has_reason(at), "nobody knows what {} waits for", at);
            }
        }
        let again = decide(&self.dag, &self.facts, &mut || 0.5);
        prop_assert!(again.moves.is_empty(), "a second look moved something");
        prop_assert_eq!(
            again.ends,
            plan.ends,
            "a second look ends the run otherwise"
        );
        Ok(plan.ends)
    }

    /// Runs to the end, which comes.
    fn run(
        &mut self,
        picks: &[u8],
        cancel_at: Option<usize>,
    ) -> Result<(RunState, Vec<Option<Verdict>>), TestCaseError> {
        let picks = picks.iter().copied().chain((0..=u8::MAX).cycle().take(600));
        for (round, pick) in picks.enumerate() {
            if Some(round) == cancel_at {
                self.facts.cancelled_by = Some("kim".into());
            }
            if let Some(state) = self.look()? {
                let verdicts = self.dag.indexed().map(|(at, _)| self.verdict(at));
                let verdicts: Vec<_> = verdicts.collect();
                prop_assert!(verdicts.iter().all(Option::is_some));
                return Ok((state, verdicts));
            }
            prop_assert!(self.happen(pick), "nothing can happen any more");
        }
        prop_assert!(false, "the run never ended: {:?}", self.facts);
        unreachable!("the assertion above has failed")
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two orders of news of each DAG: 20,000 sequences.
    #[test]
    fn a_run_ends_alike_in_whatever_order_news_comes_and_keeps_every_promise_on_its_way(
        nodes in nodes(),
        limits in (1..14_u32, 1..14_u32),
        one in vec(any::<u8>(), 60),
        other in vec(any::<u8>(), 60),
    ) {
        let first = World::new(&nodes, limits.0).run(&one, None)?;
        let second = World::new(&nodes, limits.1).run(&other, None)?;
        prop_assert_eq!(&first, &second, "the order of news changed what became of the run");
        let world = World::new(&nodes, 1);
        let failed = world.dag.indexed().any(|(at, task)| {
            first.1[place(at)] == Some(Verdict::Failed) && task.fails_run()
        });
        prop_assert_eq!(first.0 == RunState::Failed, failed);
    }

    #[test]
    fn a_run_that_is_cancelled_ends_as_failed_once_what_was_set_up_is_torn_down(
        nodes in nodes(),
        limit in 1..14_u32,
        picks in vec(any::<u8>(), 60),
        cancel_at in 0..40_usize,
    ) {
        let mut world = World::new(&nodes, limit);
        let (state, verdicts) = world.run(&picks, Some(cancel_at))?;
        if world.facts.cancelled_by.is_none() {
            return Ok(());
        }
        prop_assert_eq!(state, RunState::Failed);
        for (at, task) in world.dag.indexed() {
            for setup in task.teardown.iter().flat_map(|it| &it.setups) {
                let setup = world.dag.index_of(setup.as_str()).unwrap();
                if verdicts[place(setup)] == Some(Verdict::Success) {
                    prop_assert!(world.facts.tasks[place(at)].attempt > 0, "a teardown was left out");
                }
            }
        }
    }
}
