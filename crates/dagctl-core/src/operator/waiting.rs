//! Operators that wait without a worker: sensors, a triggered run, a person's answer.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Http;
use crate::poke::Poking;
use crate::state::{RunState, TaskState, Verdict};

/// `operator: sql_sensor`.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlSensor {
    /// Where it runs.
    pub conn_id: String,
    /// One query, a template; it is there when the first value of its first row is true.
    pub sql: String,
    /// As in [`super::Sql::parameters`].
    pub parameters: Map<String, Value>,
    /// How often and how long it looks.
    pub poking: Poking,
}

/// `operator: http_sensor`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSensor {
    /// The request; its `response_check` says whether it is there.
    pub request: Http,
    /// How often and how long it looks.
    pub poking: Poking,
}

/// `operator: file_sensor`.
#[derive(Debug, Clone, PartialEq)]
pub struct FileSensor {
    /// A path or a pattern on the worker's host, a template.
    pub filepath: String,
    /// How often and how long it looks.
    pub poking: Poking,
}

/// `operator: external_task_sensor`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalTaskSensor {
    /// The other DAG, a template.
    pub external_dag_id: String,
    /// Its tasks, templates; none: the run as a whole.
    pub external_task_ids: Vec<String>,
    /// It is there when all of them stand so.
    pub allowed_states: Vec<Verdict>,
    /// It never will be when one of them stands so.
    pub failed_states: Vec<Verdict>,
    /// How much earlier the other run's logical date is.
    pub execution_delta: Duration,
    /// Whether a DAG or a task that does not exist is a failure instead of something to wait for.
    pub check_existence: bool,
    /// How often and how long it looks.
    pub poking: Poking,
}

/// What the states of another DAG's tasks say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// All stand as they should.
    There,
    /// Some have not settled, or not as they should.
    NotYet,
    /// One stands as it must not; says which.
    Never(String),
}

impl ExternalTaskSensor {
    /// Judges how tasks, by their names, or the run as a whole, settled so far.
    pub fn judge(&self, stands: &[(String, Option<Verdict>)]) -> Judgement {
        let is =
            |wanted: &[Verdict], it: &Option<Verdict>| it.is_some_and(|it| wanted.contains(&it));
        if let Some((name, Some(verdict))) =
            stands.iter().find(|(_, it)| is(&self.failed_states, it))
        {
            let state = TaskState::from(*verdict);
            return Judgement::Never(format!("{name} is {state}, one of `failed_states`"));
        }
        match stands.iter().all(|(_, it)| is(&self.allowed_states, it)) {
            true => Judgement::There,
            false => Judgement::NotYet,
        }
    }
}

/// `operator: time_sensor`.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSensor {
    /// A time of day in the DAG's zone, or a moment; a template.
    pub target_time: String,
    /// How long it waits at most.
    pub poking: Poking,
}

/// `operator: trigger_dagrun`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerDagrun {
    /// The DAG to run, a template.
    pub trigger_dag_id: String,
    /// Its parameters, templates.
    pub conf: Map<String, Value>,
    /// The run's logical date, a template; now, where it is not given.
    pub logical_date: Option<String>,
    /// Whether the task ends with the run.
    pub wait_for_completion: bool,
    /// With these ends of the run the task succeeds.
    pub allowed_states: Vec<RunState>,
    /// With these it fails.
    pub failed_states: Vec<RunState>,
}

/// `operator: approval`.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// The question, a template.
    pub subject: String,
    /// What there is to know, a template.
    pub body: Option<String>,
    /// How long it waits; for ever, where it is not given.
    pub timeout: Option<Duration>,
    /// What counts as the answer when nobody gave one in time; without it the task fails.
    pub default: Option<Answer>,
}

/// What a person says to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Go on.
    Approve,
    /// What waits for it is skipped.
    Reject,
}

impl Answer {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Approve, Self::Reject];

    /// The word in DAG files and REST.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
        }
    }

    /// The letter in `approval.answer`.
    pub fn letter(self) -> char {
        match self {
            Self::Approve => 'a',
            Self::Reject => 'r',
        }
    }

    /// Reads the letter of [`Self::letter`].
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.letter() == letter)
    }
}
