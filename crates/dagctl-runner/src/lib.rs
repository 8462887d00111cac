//! Runs one attempt of a task against the outside world, and says how it ended.
//!
//! Nothing here knows the store, the scheduler or another attempt: an [`Attempt`] comes in, lines leave through
//! a [`Log`], and an [`Outcome`] is the answer, whatever happened.

pub mod email;
pub mod http;
pub mod log;
pub mod shell;
pub mod slack;
pub mod stop;

mod branch;
mod build_table;
mod clean_up;
mod delivery;
mod file_sensor;
mod load_file;
mod masking;
mod run_folder;
mod sql;

use std::any::Any;
use std::collections::BTreeMap;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dagctl_core::connection::Connection;
use dagctl_core::duration;
use dagctl_core::ids::{AttemptNo, DagId, TaskId};
use dagctl_core::operator::Operator;
use dagctl_core::outcome::{Failure, FailureKind, Outcome, Wait};
use dagctl_core::template::{self, Context};
use dagctl_core::variable::Masker;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};

pub use crate::clean_up::CleanUp;
pub use crate::delivery::Delivery;
pub use crate::log::{Log, LogLimits, LogLine, Stream};
pub use crate::stop::{Stop, StopReason, Stopper};

/// One try of a task, with everything it needs to run.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The DAG of the task.
    pub dag_id: DagId,
    /// The task.
    pub task_id: TaskId,
    /// The run, as a person knows it.
    pub run_id: String,
    /// Which try.
    pub attempt: AttemptNo,
    /// The same for every try of this task in this run; what the outside may tell repeats by.
    pub idempotency_key: String,
    /// What to do.
    pub operator: Operator,
    /// An expression; the task is skipped where it is false.
    pub run_if: Option<String>,
    /// What templates are rendered with.
    pub context: Context,
    /// The connections that the task may use, by name.
    pub connections: Arc<BTreeMap<String, Connection>>,
    /// The run's private folder. Operators that write files create it.
    pub run_dir: PathBuf,
    /// The folder of the DAG's file.
    pub dag_dir: PathBuf,
    /// How long it may take.
    pub execution_timeout: Option<Duration>,
    /// What hides that which must not be seen in logs, messages and outputs.
    pub masker: Masker,
    /// What operators do after they were stopped; starts as [`CleanUp::default`].
    pub clean_up: CleanUp,
}

impl Attempt {
    /// The connection of that name, or a failure that says how to define it.
    pub fn connection(&self, conn_id: &str) -> Result<&Connection, Failure> {
        connection(&self.connections, conn_id)
    }
}

/// The connection of that name, or a failure that says how to define it.
pub(crate) fn connection<'c>(
    connections: &'c BTreeMap<String, Connection>,
    conn_id: &str,
) -> Result<&'c Connection, Failure> {
    connections.get(conn_id).ok_or_else(|| {
        Failure::new(
            FailureKind::Definition,
            format!(
                "connection `{conn_id}` is not defined: set DAGCTL_CONN_{} or run \
                 `dagctl connections add {conn_id} --uri ...`",
                conn_id.to_uppercase()
            ),
        )
    })
}

/// Runs the attempt until it ends, its time is up or `stop` asks for its end; cleans up before it returns.
pub async fn run(attempt: Attempt, log: Log, stop: Stop) -> Outcome {
    if matches!(attempt.operator, Operator::Empty) && attempt.run_if.is_none() {
        return Outcome::success();
    }
    run_as(attempt, log, stop, operate).await
}

/// As [`run`], for an operator that somebody else carries out: `work` is stopped, timed and cleaned up after in the
/// same way.
pub async fn run_as<W>(attempt: Attempt, log: Log, stop: Stop, work: W) -> Outcome
where
    W: for<'a> FnOnce(&'a Attempt, &'a Log) -> BoxFuture<'a, Outcome> + Send,
{
    let log = log.masking(attempt.masker.clone());
    let outcome = supervise(&attempt, &log, stop, work).await;
    let outcome = masking::masked(outcome, log.masker());
    // Who lost the lease may have lost the database too, and nobody empties the log.
    let is_fenced =
        matches!(&outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Fenced);
    if is_fenced {
        let _ = timeout(Duration::from_secs(1), log.finish()).await;
    } else {
        log.finish().await;
    }
    outcome
}

async fn supervise<W>(attempt: &Attempt, log: &Log, mut stop: Stop, work: W) -> Outcome
where
    W: for<'a> FnOnce(&'a Attempt, &'a Log) -> BoxFuture<'a, Outcome> + Send,
{
    let time_is_up = async {
        match attempt.execution_timeout {
            Some(limit) => sleep(limit).await,
            None => pending().await,
        }
    };
    let outcome = {
        let operator = AssertUnwindSafe(dispatch(attempt, log, work)).catch_unwind();
        tokio::select! {
            biased;
            reason = stop.requested() => stopped(reason, attempt),
            ended = operator => ended.unwrap_or_else(|panic| panicked(panic.as_ref())),
            () = time_is_up => timed_out(attempt),
        }
        // The operator's future is dropped here; what it has to undo is now in `clean_up`.
    };
    tokio::select! {
        () = attempt.clean_up.finished() => outcome,
        () = stop.fenced() => {
            attempt.clean_up.hurry();
            attempt.clean_up.finished().await;
            stopped(StopReason::Fenced, attempt)
        }
    }
}

async fn dispatch<W>(attempt: &Attempt, log: &Log, work: W) -> Outcome
where
    W: for<'a> FnOnce(&'a Attempt, &'a Log) -> BoxFuture<'a, Outcome> + Send,
{
    if let Some(run_if) = &attempt.run_if {
        match template::evaluate(run_if, &attempt.context) {
            Ok(value) if template::is_true(&value) => (),
            Ok(value) => {
                return Outcome::Skipped {
                    reason: format!("`run_if: {run_if}` is {value}"),
                };
            }
            Err(err) => {
                let message = format!("cannot evaluate `run_if: {run_if}`: {err}");
                return Failure::new(FailureKind::Definition, message).into();
            }
        }
    }
    work(attempt, log).await
}

fn operate<'a>(attempt: &'a Attempt, log: &'a Log) -> BoxFuture<'a, Outcome> {
    operator(attempt, log).boxed()
}

async fn operator(attempt: &Attempt, log: &Log) -> Outcome {
    let outputs = match &attempt.operator {
        Operator::Empty => return Outcome::success(),
        Operator::Shell(spec) => return shell::run(attempt, spec, log).await,
        Operator::Sql(spec) => sql::run(attempt, spec, log).await,
        Operator::SqlCheck(spec) => sql::run_check(attempt, spec, log).await,
        Operator::BuildTable(spec) => build_table::run(attempt, spec, log).await,
        Operator::LoadFile(spec) => load_file::run(attempt, spec, log).await,
        Operator::Http(spec) => http::run(attempt, spec, log).await,
        Operator::Branch(spec) => branch::run(attempt, spec, log).await,
        Operator::LatestOnly => Err(Failure::new(
            FailureKind::Internal,
            "`latest_only` is decided before it is run",
        )),
        Operator::SqlSensor(spec) => return poked(sql::poke(attempt, spec, log).await),
        Operator::HttpSensor(spec) => return poked(http::poke(attempt, &spec.request, log).await),
        Operator::FileSensor(spec) => return poked(file_sensor::poke(attempt, spec, log).await),
        Operator::ExternalTaskSensor(_)
        | Operator::TimeSensor(_)
        | Operator::TriggerDagrun(_)
        | Operator::Approval(_) => Err(Failure::new(
            FailureKind::Internal,
            format!(
                "`{}` is about other runs, which nothing here knows",
                attempt.operator.name()
            ),
        )),
    };
    match outputs {
        Ok(outputs) => Outcome::Success { outputs },
        Err(failure) => failure.into(),
    }
}

/// What a sensor's look comes to; `None`: not there yet.
fn poked(found: Result<Option<Map<String, Value>>, Failure>) -> Outcome {
    match found {
        Ok(Some(outputs)) => Outcome::Success { outputs },
        Ok(None) => Outcome::Waits(Wait::Poke),
        Err(failure) => failure.into(),
    }
}

fn stopped(reason: StopReason, attempt: &Attempt) -> Outcome {
    match reason {
        StopReason::Cancelled { by } => {
            Failure::new(FailureKind::Cancelled, format!("cancelled by {by}")).into()
        }
        StopReason::Drain => Outcome::HandedBack,
        StopReason::Fenced => {
            attempt.clean_up.hurry();
            let message = "the worker lost its lease, so the task was given to another";
            Failure::new(FailureKind::Fenced, message).into()
        }
    }
}

fn timed_out(attempt: &Attempt) -> Outcome {
    let limit = attempt
        .execution_timeout
        .map(duration::human)
        .unwrap_or_default();
    let message = format!("stopped after {limit}, the task's `execution_timeout`");
    Failure::new(FailureKind::Timeout, message).into()
}

fn panicked(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text");
    Failure::new(FailureKind::Internal, format!("a defect of dagctl: {text}")).into()
}
