//! Facts of a run → what they call for. A pure function; a second look at its result calls for nothing.
//!
//! The flush of a worker is a shortcut for two rows of this truth table: "succeeded, and so did all upstream tasks", and
//! "looked, found nothing, and looks again".

use std::collections::BTreeSet;

use crate::callback::Callback;
use crate::dag::Dag;
use crate::ids::{InstanceIndex, MapIndex, TaskIndex};
use crate::outcome::{Failure, FailureKind};
use crate::run::{
    Action, MAX_LOST, Move, NoticeEvent, NoticeRequest, Plan, RunFacts, Standing, TaskFacts, Why,
};
use crate::state::Verdict;

mod chosen;
mod end;
mod ended;
mod joins;
mod mapped;
mod ruling;
mod stop;
mod waiting;
mod without_worker;

use chosen::Chosen;
pub use joins::skipped_joins;
use ruling::Ruling;

/// Says what the facts of a run call for. `jitter` gives random numbers in `0.0..1.0` for the pauses between tries.
pub fn decide(dag: &Dag, facts: &RunFacts, jitter: &mut dyn FnMut() -> f64) -> Plan {
    let mut look = Look {
        dag,
        facts,
        verdicts: facts.tasks.iter().map(|it| settled(&it.standing)).collect(),
        chosen: chosen::by_branch(dag, facts),
        rejected: BTreeSet::new(),
        plan: Plan::default(),
    };
    for (at, task) in facts.tasks.iter().enumerate() {
        let index = TaskIndex(i32::try_from(at).expect("a DAG has at most 20,000 tasks"));
        look.task(InstanceIndex::whole(index), task, jitter);
    }
    look.end();
    look.plan
}

fn settled(standing: &Standing) -> Option<Verdict> {
    match standing {
        Standing::Settled(verdict) => Some(*verdict),
        Standing::Waiting
        | Standing::Queued
        | Standing::Running
        | Standing::Ended(_)
        | Standing::UpForRetry
        | Standing::UpForReschedule
        | Standing::WaitingApproval(_)
        | Standing::Parked
        | Standing::Expanded
        | Standing::LostTooOften => None,
    }
}

struct Look<'a> {
    dag: &'a Dag,
    facts: &'a RunFacts,
    /// As the plan leaves them.
    verdicts: Vec<Option<Verdict>>,
    chosen: Chosen,
    /// Tasks that a person rejected in this look.
    rejected: BTreeSet<TaskIndex>,
    plan: Plan,
}

impl Look<'_> {
    fn task(&mut self, at: InstanceIndex, facts: &TaskFacts, jitter: &mut dyn FnMut() -> f64) {
        let cancelled_by = self.cancelled_by(at.task);
        match &facts.standing {
            Standing::Settled(_) | Standing::Running => (),
            Standing::Ended(outcome) => self.ended(at, facts, outcome, jitter),
            Standing::LostTooOften => {
                let message =
                    format!("its worker vanished {MAX_LOST} times while it held this task");
                self.fail(at, Failure::new(FailureKind::LostWorker, message));
            }
            Standing::Parked if cancelled_by.is_some() && facts.attempt == 0 => {
                self.settle(at, Verdict::Skipped, self.left_out());
            }
            Standing::WaitingApproval(asked) => self.asked(at, asked),
            Standing::Queued
            | Standing::UpForRetry
            | Standing::UpForReschedule
            | Standing::Parked => {
                if let Some(by) = cancelled_by {
                    self.fail(at, self.stopped(by));
                }
            }
            Standing::Waiting if cancelled_by.is_some() => {
                self.settle(at, Verdict::Skipped, self.left_out());
            }
            Standing::Waiting if self.rejected.contains(&at.task) => {
                self.settle(at, Verdict::Skipped, Why::Reason("rejected"));
            }
            // Nothing waits for an instance to be asked for but a place.
            Standing::Waiting if at.map_index != MapIndex::UNMAPPED => self.queue(at),
            Standing::Expanded => self.expanded(at.task, facts, jitter),
            Standing::Waiting => match self.ruling(at.task) {
                Ruling::Wait => (),
                Ruling::Run => self.queue(at),
                Ruling::UpstreamFailed => {
                    self.settle(at, Verdict::UpstreamFailed, Why::Reason("upstream_failed"));
                }
                Ruling::Skip(reason) => self.settle(at, Verdict::Skipped, Why::Reason(reason)),
            },
        }
    }

    /// Who stopped a task by stopping its run. Teardowns go on: what was set up is still there.
    fn cancelled_by(&self, index: TaskIndex) -> Option<&str> {
        let by = self.facts.cancelled_by.as_deref()?;
        (!self.dag.is_teardown(index)).then_some(by)
    }

    fn queue(&mut self, at: InstanceIndex) {
        self.plan.moves.push(Move::of(at, Action::Queue));
    }

    fn fail(&mut self, at: InstanceIndex, failure: Failure) {
        self.settle(at, Verdict::Failed, Why::Failure(failure));
    }

    fn settle(&mut self, at: InstanceIndex, verdict: Verdict, why: Why) {
        if at.map_index == MapIndex::UNMAPPED {
            self.settle_task(at.task, verdict, &why);
        }
        let action = Action::Settle { verdict, why };
        self.plan.moves.push(Move::of(at, action));
    }

    /// What a task that settles means for others: those that wait for it, and those who want to know.
    fn settle_task(&mut self, index: TaskIndex, verdict: Verdict, why: &Why) {
        if let Some(it) = usize::try_from(index.get())
            .ok()
            .and_then(|at| self.verdicts.get_mut(at))
        {
            *it = Some(verdict);
        }
        let Some(task) = self.dag.task(index) else {
            return;
        };
        let told = Some(InstanceIndex::whole(index));
        match (verdict, why) {
            // Who cancels a run knows it; nobody else needs to be woken for it.
            (Verdict::Failed, Why::Failure(it))
                if !(it.kind == FailureKind::Cancelled
                    || task.fails_run() && self.goes_again_if_it_fails()) =>
            {
                let error = Some(it.message.as_str());
                self.notify(told, NoticeEvent::Failure, &task.on_failure_callback, error);
            }
            (Verdict::Success, _) => {
                self.notify(told, NoticeEvent::Success, &task.on_success_callback, None);
            }
            // As in Airflow: what was never started is not told.
            (Verdict::Skipped, Why::AskedToSkip(reason)) => {
                let callbacks = &task.on_skipped_callback;
                self.notify(told, NoticeEvent::Skipped, callbacks, Some(reason));
            }
            (Verdict::Failed | Verdict::UpstreamFailed | Verdict::Skipped, _) => (),
        }
    }

    fn verdict(&self, index: TaskIndex) -> Option<Verdict> {
        usize::try_from(index.get())
            .ok()
            .and_then(|at| self.verdicts.get(at).copied().flatten())
    }

    fn notify(
        &mut self,
        about: Option<InstanceIndex>,
        event: NoticeEvent,
        callbacks: &[Callback],
        error: Option<&str>,
    ) {
        for (place, callback) in callbacks.iter().enumerate() {
            self.plan.notices.push(NoticeRequest {
                task: about.map(|it| it.task),
                map_index: about.map_or(MapIndex::UNMAPPED, |it| it.map_index),
                event,
                place,
                callback: callback.clone(),
                error: error.map(str::to_owned),
            });
        }
    }
}

#[cfg(test)]
mod tests;
