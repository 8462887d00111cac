//! Operators that are about dagctl itself: other runs, the clock, people. They need the store, which the runner lacks.

use std::time::Duration;

use dagctl_core::ids::{DagId, DagRunId, TaskInstanceKey};
use dagctl_core::operator::{
    Approval, ExternalTaskSensor, Judgement, Operator, TimeSensor, TriggerDagrun,
};
use dagctl_core::outcome::{Failure, FailureKind, Outcome, Wait};
use dagctl_core::poke;
use dagctl_core::state::{RunState, Verdict};
use dagctl_core::template::{self, Quoting};
use dagctl_runner::{Attempt, Log};
use dagctl_store::StoreError;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::Engine;
use crate::trigger::{TriggerError, TriggerRequest};

/// Carries out one attempt of such an operator.
pub(super) async fn run(
    engine: Engine,
    instance: TaskInstanceKey,
    attempt: &Attempt,
    log: &Log,
) -> Outcome {
    let done = match &attempt.operator {
        Operator::ExternalTaskSensor(spec) => external_tasks(&engine, attempt, spec, log).await,
        Operator::TimeSensor(spec) => moment(&engine, instance, attempt, spec).await,
        Operator::TriggerDagrun(spec) => trigger(&engine, instance, attempt, spec, log).await,
        Operator::Approval(spec) => ask(attempt, spec),
        other => Err(Failure::new(
            FailureKind::Internal,
            format!("`{}` is the runner's", other.name()),
        )),
    };
    done.unwrap_or_else(Outcome::from)
}

async fn external_tasks(
    engine: &Engine,
    attempt: &Attempt,
    spec: &ExternalTaskSensor,
    log: &Log,
) -> Result<Outcome, Failure> {
    let store = engine.store();
    let dag_id = rendered(attempt, &spec.external_dag_id, "external_dag_id")?;
    let mut task_ids = vec![];
    for it in &spec.external_task_ids {
        task_ids.push(rendered(attempt, it, "external_task_id")?);
    }
    let logical_date = attempt.context.facts().logical_date;
    let logical_date = SignedDuration::try_from(spec.execution_delta)
        .ok()
        .and_then(|it| logical_date.checked_sub(it).ok())
        .ok_or_else(|| definition("`execution_delta` leads out of the calendar".to_owned()))?;
    let missing = |what: String| {
        definition(format!(
            "{what}: without `check_existence: true` it is waited for"
        ))
    };
    if spec.check_existence && !patiently(|| store.has_dag(&dag_id)).await? {
        return Err(missing(format!("no DAG is called `{dag_id}`")));
    }
    let Some(run) = patiently(|| store.external_run(&dag_id, logical_date)).await? else {
        log.line(format!("`{dag_id}` has no run of {logical_date} yet"))
            .await;
        return Ok(Outcome::Waits(Wait::Poke));
    };
    let mut stands: Vec<(String, Option<Verdict>)> = vec![];
    if task_ids.is_empty() {
        let verdict = match run.state {
            RunState::Success => Some(Verdict::Success),
            RunState::Failed => Some(Verdict::Failed),
            RunState::Queued | RunState::Running => None,
        };
        stands.push((format!("run {} of `{dag_id}`", run.run_id), verdict));
    } else {
        let found = patiently(|| store.external_tasks(&run, &task_ids)).await?;
        for task_id in &task_ids {
            let name = format!("`{dag_id}.{task_id}` in run {}", run.run_id);
            let of_task: Vec<_> = found.iter().filter(|it| it.task_id == *task_id).collect();
            if of_task.is_empty() && spec.check_existence {
                return Err(missing(format!("`{dag_id}` has no task `{task_id}`")));
            }
            if of_task.is_empty() {
                stands.push((name.clone(), None));
            }
            stands.extend(of_task.iter().map(|it| (name.clone(), it.verdict)));
        }
    }
    match spec.judge(&stands) {
        Judgement::There => {
            log.line(format!("{} stand as they should", listed(&stands)))
                .await;
            let outputs = Map::from_iter([
                ("dag_id".to_owned(), Value::String(dag_id)),
                ("run_id".to_owned(), Value::String(run.run_id)),
            ]);
            Ok(Outcome::Success { outputs })
        }
        Judgement::NotYet => {
            log.line(format!("{}: not yet", listed(&stands))).await;
            Ok(Outcome::Waits(Wait::Poke))
        }
        Judgement::Never(reason) if spec.poking.soft_fail => Ok(Outcome::Skipped { reason }),
        Judgement::Never(reason) => Err(Failure::new(FailureKind::Check, reason)),
    }
}

fn listed(stands: &[(String, Option<Verdict>)]) -> String {
    let names: Vec<&str> = stands.iter().map(|(name, _)| name.as_str()).collect();
    names.join(", ")
}

async fn moment(
    engine: &Engine,
    instance: TaskInstanceKey,
    attempt: &Attempt,
    spec: &TimeSensor,
) -> Result<Outcome, Failure> {
    let store = engine.store();
    let now = patiently(|| store.now()).await?;
    // A time of day is one of the day on which the task first looked.
    let since = patiently(|| store.first_poke_at(instance)).await?;
    let text = rendered(attempt, &spec.target_time, "target_time")?;
    let zone = &attempt.context.facts().timezone;
    let at = poke::target_time(&text, zone, since.unwrap_or(now))
        .map_err(|problem| definition(format!("`target_time: {text}`: {problem}")))?;
    Ok(match at <= now {
        true => Outcome::success(),
        false => Outcome::Waits(Wait::Until(at)),
    })
}

fn ask(attempt: &Attempt, spec: &Approval) -> Result<Outcome, Failure> {
    let body = match &spec.body {
        Some(it) => rendered(attempt, it, "body")?,
        None => String::new(),
    };
    Ok(Outcome::Waits(Wait::Answer {
        subject: rendered(attempt, &spec.subject, "subject")?,
        body,
    }))
}

async fn trigger(
    engine: &Engine,
    instance: TaskInstanceKey,
    attempt: &Attempt,
    spec: &TriggerDagrun,
    log: &Log,
) -> Result<Outcome, Failure> {
    let store = engine.store();
    let dag_id = rendered(attempt, &spec.trigger_dag_id, "trigger_dag_id")?;
    let child = made_run(engine, instance, attempt, spec, &dag_id, log).await?;
    patiently(|| store.link_run(child, instance)).await?;
    let row = patiently(|| store.run_row(child)).await?;
    let row = row.ok_or_else(|| definition(format!("run {child} of `{dag_id}` is gone")))?;
    let outputs = Map::from_iter([
        ("dag_id".to_owned(), Value::String(dag_id.clone())),
        ("run_id".to_owned(), Value::String(row.run_id.clone())),
    ]);
    if !spec.wait_for_completion {
        return Ok(Outcome::Success { outputs });
    }
    let state = row.state;
    if spec.allowed_states.contains(&state) {
        log.line(format!("run {} of `{dag_id}` ended as {state}", row.run_id))
            .await;
        return Ok(Outcome::Success { outputs });
    }
    if !state.is_final() {
        return Ok(Outcome::Waits(Wait::Run(child)));
    }
    let why = match spec.failed_states.contains(&state) {
        true => "",
        false => ", which is neither in `allowed_states` nor in `failed_states`",
    };
    let message = format!("run {} of `{dag_id}` ended as {state}{why}", row.run_id);
    Err(Failure::new(FailureKind::Check, message))
}

/// The run that this try of the task made, made now if it has not been.
async fn made_run(
    engine: &Engine,
    instance: TaskInstanceKey,
    attempt: &Attempt,
    spec: &TriggerDagrun,
    dag_id: &str,
    log: &Log,
) -> Result<DagRunId, Failure> {
    let store = engine.store();
    let facts = attempt.context.facts();
    // A name that no account can have: `/` is none of an account's letters.
    let principal = format!("{}/{}/{}", facts.dag_id, facts.run_id, facts.task_id);
    let tries = patiently(|| store.tries(instance)).await?;
    let key = format!("{}-{tries}", attempt.idempotency_key);
    if let Some(run) = patiently(|| store.run_of_key(&principal, &key)).await? {
        return Ok(run);
    }
    let request = TriggerRequest {
        dag_id: DagId::new(dag_id)
            .map_err(|err| definition(format!("`trigger_dag_id: {dag_id}`: {err}")))?,
        params: conf(attempt, spec)?,
        logical_date: logical_date(attempt, spec)?,
        run_id: None,
        note: None,
        idempotency_key: Some(key.clone()),
        principal: principal.clone(),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match engine.trigger(request.clone()).await {
            Ok(made) => {
                log.line(format!("made run {} of `{dag_id}`", made.run_id))
                    .await;
                return Ok(made.dag_run_id);
            }
            // Another attempt of this try was faster, with other values in its templates.
            Err(TriggerError::KeyTaken) => {
                let made = patiently(|| store.run_of_key(&principal, &key)).await?;
                return made.ok_or_else(|| definition("the run it made is gone".to_owned()));
            }
            Err(TriggerError::Store { source, .. }) if source.is_transient() => {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error @ TriggerError::BadParams(_)) => {
                return Err(definition(format!(
                    "`conf` does not suit `{dag_id}`: {error}"
                )));
            }
            Err(error @ (TriggerError::Store { .. } | TriggerError::Defect(_))) => {
                return Err(Failure::new(FailureKind::Internal, error.to_string()));
            }
            Err(error) => return Err(definition(error.to_string())),
        }
    }
}

fn conf(attempt: &Attempt, spec: &TriggerDagrun) -> Result<Map<String, Value>, Failure> {
    let mut conf = Map::new();
    for (name, value) in &spec.conf {
        let value = template::render_value(value, &attempt.context)
            .map_err(|err| definition(format!("cannot render `{name}` of `conf`: {err}")))?;
        conf.insert(name.clone(), value);
    }
    Ok(conf)
}

fn logical_date(attempt: &Attempt, spec: &TriggerDagrun) -> Result<Option<Timestamp>, Failure> {
    let Some(source) = &spec.logical_date else {
        return Ok(None);
    };
    let text = rendered(attempt, source, "logical_date")?;
    let zone = &attempt.context.facts().timezone;
    poke::moment(&text, zone).map(Some).ok_or_else(|| {
        definition(format!(
            "`logical_date: {text}` is no date: write `2026-01-31`, `2026-01-31T08:00:00` or a template such as \
             `{{{{ data_interval_end }}}}`"
        ))
    })
}

fn rendered(attempt: &Attempt, source: &str, field: &str) -> Result<String, Failure> {
    template::render(source, &attempt.context, Quoting::Plain)
        .map_err(|err| definition(format!("cannot render `{field}`: {err}")))
}

fn definition(message: String) -> Failure {
    Failure::new(FailureKind::Definition, message)
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A database that is away is waited for: its outage is no failure of the task.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Ok(it) => return Ok(it),
            Err(error) if error.is_transient() => (),
            Err(error) => return Err(Failure::new(FailureKind::Internal, error.to_string())),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
