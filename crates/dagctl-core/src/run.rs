//! A run's facts at a moment, and the plan that [`crate::decide::decide`] makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::callback::Callback;
use crate::ids::{DagRunId, InstanceIndex, MapIndex, TaskIndex};
use crate::operator::Answer;
use crate::outcome::{Failure, Outcome};
use crate::state::{RunState, Verdict};

/// What is known of a run. Tasks are in the DAG's order: a task's place is its [`TaskIndex`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunFacts {
    /// The moment of the look, by the database's clock.
    pub now: Timestamp,
    /// Who asked for the run to stop, if anybody did.
    pub cancelled_by: Option<String>,
    /// How far its own limits are used up.
    pub limits: LimitFacts,
    /// Every task of the run.
    pub tasks: Vec<TaskFacts>,
    /// What settled branches let run; one that left no decision has no entry.
    pub followed: BTreeMap<TaskIndex, Vec<TaskIndex>>,
    /// Tasks with `depends_on_past` that the run before holds up.
    pub held_by_past: BTreeSet<TaskIndex>,
}

impl RunFacts {
    /// What is known of one instance.
    pub fn instance(&self, at: InstanceIndex) -> Option<&TaskFacts> {
        let task = self.tasks.get(usize::try_from(at.task.get()).ok()?)?;
        match usize::try_from(at.map_index.get()) {
            Ok(place) => task.instances.get(place),
            Err(_) => Some(task),
        }
    }

    /// As [`RunFacts::instance`], to be changed.
    pub fn instance_mut(&mut self, at: InstanceIndex) -> Option<&mut TaskFacts> {
        let task = self.tasks.get_mut(usize::try_from(at.task.get()).ok()?)?;
        match usize::try_from(at.map_index.get()) {
            Ok(place) => task.instances.get_mut(place),
            Err(_) => Some(task),
        }
    }
}

/// How far the limits of a run are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitFacts {
    /// Whether it is being stopped because `dagrun_timeout` ran out.
    pub is_timed_out: bool,
    /// How often its failed tasks went again by `dagrun_retries`.
    pub retries: u16,
    /// Whether that is about to happen once more.
    pub waits_for_retry: bool,
}

/// What is known of one task, or of one instance of a mapped task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFacts {
    /// Where it stands.
    pub standing: Standing,
    /// The number of its last attempt; 0 before the first.
    pub attempt: i16,
    /// The attempts that used up a retry, not counting one that has just ended.
    pub tries: u16,
    /// When a sensor's first look began.
    pub first_poke_at: Option<Timestamp>,
    /// How often a sensor looked and found nothing.
    pub pokes: u32,
    /// The instances of a mapped task in map order; empty before it is expanded, and everywhere else.
    pub instances: Vec<TaskFacts>,
}

impl TaskFacts {
    /// What is known of a task without instances.
    pub fn new(standing: Standing, attempt: i16, tries: u16) -> Self {
        Self {
            standing,
            attempt,
            tries,
            first_poke_at: None,
            pokes: 0,
            instances: vec![],
        }
    }
}

/// Where a task instance stands, with just what that standing has.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Not queued yet.
    Waiting,
    /// May start; no worker has it.
    Queued,
    /// A worker has it.
    Running,
    /// Its attempt has just ended, and nobody has decided what that means.
    Ended(Outcome),
    /// Will be tried again when its timer is due.
    UpForRetry,
    /// A mapped task that was expanded: settles with its instances.
    Expanded,
    /// May start once its run has a place below `max_active_tasks`.
    Parked,
    /// A sensor, or what waits for a run: goes on when its timer is due.
    UpForReschedule,
    /// A person was asked.
    WaitingApproval(AskedFor),
    /// Its worker vanished [`MAX_LOST`] times.
    LostTooOften,
    /// Settled.
    Settled(Verdict),
}

/// What is known of a question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AskedFor {
    /// When it is too late to answer, if ever.
    pub deadline: Option<Timestamp>,
    /// The answer.
    pub answered: Option<Answered>,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What it says.
    pub answer: Answer,
    /// Whose it is; `None`: nobody answered in time.
    pub by: Option<String>,
    /// Why, in a sentence.
    pub reason: Option<String>,
}

/// How often a task may lose its worker before it fails (reliability P5).
pub const MAX_LOST: i16 = 5;

/// What the facts of a run call for; carried out in one transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// One move a task instance at most, upstream first, the instances of a task before the task.
    pub moves: Vec<Move>,
    /// The state the run ends in, if it ends.
    pub ends: Option<RunState>,
    /// After how long what failed goes again, in place of an end.
    pub goes_again_after: Option<Duration>,
    /// What has to be told.
    pub notices: Vec<NoticeRequest>,
}

impl Plan {
    /// Whether the facts call for nothing.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
            && self.ends.is_none()
            && self.goes_again_after.is_none()
            && self.notices.is_empty()
    }
}

/// A change of one task instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// Which task.
    pub task: TaskIndex,
    /// Which of its instances.
    pub map_index: MapIndex,
    /// What happens to it.
    pub action: Action,
}

impl Move {
    /// A change of one task instance.
    pub fn of(at: InstanceIndex, action: Action) -> Self {
        Self {
            task: at.task,
            map_index: at.map_index,
            action,
        }
    }

    /// Which task instance.
    pub fn instance(&self) -> InstanceIndex {
        InstanceIndex {
            task: self.task,
            map_index: self.map_index,
        }
    }
}

/// What happens to a task instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// It may start now.
    Queue,
    /// Its attempt was handed back and may start again now; costs no retry.
    Requeue,
    /// It may start again after `delay`.
    Retry {
        /// How long from now.
        delay: Duration,
        /// Why the attempt failed.
        failure: Failure,
    },
    /// An instance is made of it for each item.
    Expand {
        /// What each instance sees by name.
        items: Vec<Map<String, Value>>,
    },
    /// It goes on at a moment, and waits without a worker until then.
    Reschedule {
        /// When.
        at: Timestamp,
        /// The run whose end makes it go on at once.
        awaits: Option<DagRunId>,
    },
    /// A person is asked.
    Ask {
        /// The question.
        subject: String,
        /// What there is to know.
        body: String,
        /// When it is too late to answer, if ever.
        deadline: Option<Timestamp>,
    },
    /// It settles.
    Settle {
        /// How.
        verdict: Verdict,
        /// Why: the failure of its last attempt, or the reason it never ran.
        why: Why,
    },
}

/// Why a task instance settled.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Its attempt succeeded.
    Succeeded,
    /// A person answered.
    Answered(Answered),
    /// Its last attempt failed.
    Failure(Failure),
    /// Its attempt asked to be skipped, with this reason.
    AskedToSkip(String),
    /// It never ran: a stable word (`upstream_failed`, `upstream_skipped`, `not_followed`, `trigger_rule`,
    /// `cancelled`).
    Reason(&'static str),
}

/// A message that a settled task or an ended run calls for.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeRequest {
    /// The task it is about; `None`: the run.
    pub task: Option<TaskIndex>,
    /// Which of its instances.
    pub map_index: MapIndex,
    /// What happened.
    pub event: NoticeEvent,
    /// Which of the callbacks of that event, from 0; makes the notice's identity.
    pub place: usize,
    /// How it is told.
    pub callback: Callback,
    /// What the attempt said when it failed, or why it was skipped.
    pub error: Option<String>,
}

/// What a notice tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeEvent {
    /// A final failure.
    Failure,
    /// A success.
    Success,
    /// An attempt that failed and will be tried again.
    Retry,
    /// An attempt that asked to be skipped.
    Skipped,
    /// A success after failures that were told.
    Recovered,
    /// A run that has not ended in time.
    Deadline,
    /// A DAG that was paused because it keeps failing.
    Paused,
}

impl NoticeEvent {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Failure,
        Self::Success,
        Self::Retry,
        Self::Skipped,
        Self::Recovered,
        Self::Deadline,
        Self::Paused,
    ];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Success => "success",
            Self::Retry => "retry",
            Self::Skipped => "skipped",
            Self::Recovered => "recovered",
            Self::Deadline => "deadline",
            Self::Paused => "paused",
        }
    }

    /// Reads the name of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_found_by_its_place_and_a_task_by_none() {
        let task = |attempt, instances| TaskFacts {
            instances,
            ..TaskFacts::new(Standing::Waiting, attempt, 0)
        };
        let instances = vec![task(10, vec![]), task(11, vec![])];
        let mut facts = RunFacts {
            tasks: vec![task(1, vec![]), task(2, instances)],
            ..RunFacts::default()
        };
        let at = |task, map_index| InstanceIndex {
            task: TaskIndex(task),
            map_index: MapIndex(map_index),
        };
        for (index, attempt) in [
            (at(0, -1), Some(1)),
            (at(1, -1), Some(2)),
            (at(1, 0), Some(10)),
            (at(1, 1), Some(11)),
            (at(1, 2), None),
            (at(0, 0), None),
            (at(2, -1), None),
        ] {
            assert_eq!(facts.instance(index).map(|it| it.attempt), attempt);
            assert_eq!(facts.instance_mut(index).map(|it| it.attempt), attempt);
        }
        facts.instance_mut(at(1, 1)).unwrap().attempt = 12;
        assert_eq!(facts.tasks[1].instances[1].attempt, 12);
    }

    #[test]
    fn a_plan_with_anything_in_it_is_not_empty() {
        let at = InstanceIndex {
            task: TaskIndex(0),
            map_index: MapIndex(-1),
        };
        assert!(Plan::default().is_empty());
        for plan in [
            Plan {
                moves: vec![Move::of(at, Action::Queue)],
                ..Plan::default()
            },
            Plan {
                ends: Some(RunState::Success),
                ..Plan::default()
            },
            Plan {
                goes_again_after: Some(Duration::ZERO),
                ..Plan::default()
            },
        ] {
            assert!(!plan.is_empty(), "{plan:?}");
        }
    }

    #[test]
    fn every_event_is_read_as_it_is_written() {
        for it in NoticeEvent::ALL {
            assert_eq!(NoticeEvent::from_name(it.name()), Some(it));
        }
        assert_eq!(NoticeEvent::from_name("nothing"), None);
    }
}
