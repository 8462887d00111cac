//! One attempt: gathers what the task needs to know, runs it, carries its log into the store.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use dagctl_core::dag::{Dag, Task};
use dagctl_core::ids::{DagRunId, MapIndex, TaskIndex, WorkerId};
use dagctl_core::mapping::{self, Expand};
use dagctl_core::operator::{Branch, BranchOption, Operator};
use dagctl_core::outcome::{Failure, FailureKind, Outcome, Wait};
use dagctl_core::template::{Context, ContextFacts};
use dagctl_core::timetable::Timetable;
use dagctl_runner::{CleanUp, Log, LogLimits, LogLine, Stop, StopReason, Stream};
use dagctl_store::attempts::Claim;
use dagctl_store::runs::{RunContext, RunType};
use dagctl_store::views::assets::EventsOf;
use dagctl_store::{Store, StoreError};
use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;
use tokio::time::sleep;

use super::orchestrated;
use crate::Engine;
use crate::advance::is_transient;
use crate::facts::Outputs;
use crate::flush::OnSuccess;

/// News of one run that its templates can read, the newest.
const MOST_EVENTS: i64 = 1000;
/// Lines on their way to the store; a task that writes faster waits.
const LINES_AT_HAND: usize = 4096;

/// Runs a claimed attempt to its end.
pub(super) async fn run(
    engine: &Engine,
    worker: WorkerId,
    claim: Claim,
    stop: Stop,
) -> (Outcome, OnSuccess) {
    let prepared = prepare_patiently(engine, &claim, stop.clone()).await;
    let ended = match prepared {
        Ok(Prepared::Done(outcome, on_success)) => return (outcome, on_success),
        Ok(Prepared::Ready(ready)) => perform(engine, worker, &claim, *ready, stop).await,
        Err(error) => Err(error),
    };
    ended.unwrap_or_else(|error| {
        let failure = Failure::new(
            FailureKind::Definition,
            format!("the worker could not prepare the task: {error:#}"),
        );
        (failure.into(), OnSuccess::Look)
    })
}

/// What is known of an attempt before it starts.
enum Prepared {
    /// There is nothing to do, or nothing to be done any more.
    Done(Outcome, OnSuccess),
    /// Everything it needs.
    Ready(Box<Ready>),
}

struct Ready {
    attempt: dagctl_runner::Attempt,
    /// Set where the attempt only finds out a mapped task's items.
    expand: Option<Expand>,
    tries: u16,
    on_success: OnSuccess,
}

/// A database that is away is waited for: its outage is no failure of the task.
async fn prepare_patiently(
    engine: &Engine,
    claim: &Claim,
    mut stop: Stop,
) -> anyhow::Result<Prepared> {
    let mut pause = Duration::from_millis(100);
    loop {
        match prepare(engine, claim).await {
            Err(error) if is_transient(&error) => {
                tracing::warn!("A task that was claimed waits for the database: {error:#}");
            }
            prepared => return prepared,
        }
        tokio::select! {
            reason = stop.requested() => {
                return Ok(Prepared::Done(not_started(reason), OnSuccess::Look));
            }
            () = sleep(pause) => (),
        }
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// What is reported of an attempt whose task panicked: a defect of dagctl, which ends this attempt alone.
pub(super) fn panicked(panic: &JoinError) -> (Outcome, OnSuccess) {
    let failure = Failure::new(
        FailureKind::Internal,
        format!("dagctl panicked while it ran this task: {panic}"),
    );
    (failure.into(), OnSuccess::Look)
}

fn not_started(reason: StopReason) -> Outcome {
    match reason {
        StopReason::Cancelled { by } => {
            Failure::new(FailureKind::Cancelled, format!("cancelled by {by}")).into()
        }
        StopReason::Drain => Outcome::HandedBack,
        StopReason::Fenced => Failure::new(FailureKind::Fenced, "the worker lost its lease").into(),
    }
}

async fn perform(
    engine: &Engine,
    worker: WorkerId,
    claim: &Claim,
    ready: Ready,
    stop: Stop,
) -> anyhow::Result<(Outcome, OnSuccess)> {
    let Ready {
        attempt,
        expand,
        tries,
        on_success,
    } = ready;
    let (sender, lines) = mpsc::channel(LINES_AT_HAND);
    let number = claim.key.attempt;
    let is_again = waits(&attempt.operator) && number.get() > 1;
    let (told, verdict) = oneshot::channel();
    let (writing, key) = (engine.clone(), claim.key);
    let writer = tokio::spawn(async move {
        let logs = &writing.inner.logs;
        let lines = match is_again {
            true => match held_back(lines, verdict).await {
                Some(lines) => lines,
                None => return,
            },
            false => lines,
        };
        logs.write(writing.store(), key, lines).await;
    });
    say(
        &sender,
        format!(
            "Attempt {number} of `{}` ({}), {tries} allowed, on worker {worker}",
            attempt.task_id,
            attempt.operator.name()
        ),
    )
    .await;
    // Whoever takes it drops it: the writer ends with the last sender.
    let log = || Log::new(sender.clone(), LogLimits::default());
    let outcome = match (expand, &attempt.operator) {
        (Some(it), _) => expanded(&it, &attempt.context, engine.config().max_map_length),
        (
            None,
            Operator::ExternalTaskSensor(_)
            | Operator::TimeSensor(_)
            | Operator::TriggerDagrun(_)
            | Operator::Approval(_),
        ) => {
            let (engine, instance) = (engine.clone(), claim.key.instance);
            dagctl_runner::run_as(attempt, log(), stop, |attempt, log| {
                orchestrated::run(engine, instance, attempt, log).boxed()
            })
            .await
        }
        (None, _) => dagctl_runner::run(attempt, log(), stop).await,
    };
    say(&sender, last_words(&outcome)).await;
    let _ = told.send(!matches!(outcome, Outcome::Waits(_)));
    drop(sender);
    writer.await.context("the log's writer panicked")?;
    Ok((outcome, on_success))
}

/// Whether the task may be looked at again and again without anything new to tell.
fn waits(operator: &Operator) -> bool {
    operator.poking().is_some() || matches!(operator, Operator::TriggerDagrun(_))
}

/// Keeps an attempt's lines until it is known whether there is anything new in them; `None`: there is not.
async fn held_back(
    mut lines: mpsc::Receiver<LogLine>,
    is_news: oneshot::Receiver<bool>,
) -> Option<mpsc::Receiver<LogLine>> {
    let mut kept = vec![];
    while let Some(line) = lines.recv().await {
        kept.push(line);
    }
    // No answer: the attempt broke off, which is news.
    if !is_news.await.unwrap_or(true) {
        return None;
    }
    let (sender, again) = mpsc::channel(kept.len().max(1));
    for line in kept {
        // There is room for all of them.
        let _ = sender.try_send(line);
    }
    Some(again)
}

/// Finds out the items of a mapped task. An empty list leaves the task out, as in Airflow.
fn expanded(expand: &Expand, context: &Context, limit: u16) -> Outcome {
    match expand.items(context, limit) {
        Ok(items) if items.is_empty() => Outcome::Skipped {
            reason: "`expand` found no items".to_owned(),
        },
        Ok(items) => Outcome::Expands { items },
        Err(error) => Failure::new(FailureKind::Definition, error.to_string()).into(),
    }
}

async fn prepare(engine: &Engine, claim: &Claim) -> anyhow::Result<Prepared> {
    let dag = engine
        .inner
        .dags
        .get(engine.store(), claim.dag_version_id)
        .await?;
    let index = claim.key.instance.task_index;
    let task = dag
        .task(index)
        .with_context(|| format!("the DAG has no task number {index}"))?;
    if is_immediate(task, claim) {
        return Ok(Prepared::Done(Outcome::success(), on_success(&dag, index)));
    }
    Ok(Prepared::Ready(Box::new(Ready {
        attempt: gather(engine, claim, &dag, task).await?,
        expand: to_expand(task, claim).cloned(),
        tries: task.retry.retries.saturating_add(1),
        on_success: on_success(&dag, index),
    })))
}

/// Carries out an attempt that neither waits nor works; `None`: it does, or its DAG is not at hand.
pub(super) fn at_once(engine: &Engine, claim: &Claim) -> Option<(Outcome, OnSuccess)> {
    let dag = engine.inner.dags.known(claim.dag_version_id)?;
    let index = claim.key.instance.task_index;
    let task = dag.task(index)?;
    is_immediate(task, claim).then(|| (Outcome::success(), on_success(&dag, index)))
}

fn is_immediate(task: &Task, claim: &Claim) -> bool {
    matches!(task.operator, Operator::Empty)
        && task.run_if.is_none()
        && to_expand(task, claim).is_none()
}

/// The `expand` of a mapped task whose items this attempt is to find out.
fn to_expand<'a>(task: &'a Task, claim: &Claim) -> Option<&'a Expand> {
    let is_whole = claim.key.instance.map_index == MapIndex::UNMAPPED;
    task.expand.as_ref().filter(|_| is_whole)
}

fn on_success(dag: &Dag, index: TaskIndex) -> OnSuccess {
    let is_told = dag
        .task(index)
        .is_none_or(|it| !it.on_success_callback.is_empty() || !it.writes.is_empty());
    // What comes of a mapped task is told once, when it settles with its last instance.
    let is_mapped = dag.task(index).is_some_and(|it| it.expand.is_some());
    if !is_mapped && (is_told || dag.success_needs_look(index)) {
        OnSuccess::Look
    } else if dag.is_limited() {
        OnSuccess::Limited
    } else {
        OnSuccess::Plain
    }
}

/// What a task does, once it is known when: `latest_only` is a branch that follows all or nothing.
async fn operator(
    engine: &Engine,
    dag: &Dag,
    index: TaskIndex,
    run: &RunContext,
) -> anyhow::Result<Operator> {
    let task = dag
        .task(index)
        .with_context(|| format!("the DAG has no task number {index}"))?;
    if task.operator != Operator::LatestOnly {
        return Ok(task.operator.clone());
    }
    let is_latest = run.run_type == RunType::Manual
        || Timetable::new(&dag.spec).is_latest(run.interval_end, engine.store().now().await?);
    let below = dag.downstream(index).iter();
    let otherwise = BranchOption {
        when: None,
        follow: below
            .filter_map(|it| Some(dag.task(*it)?.task_id.clone()))
            .collect(),
    };
    Ok(Operator::Branch(Branch {
        options: if is_latest { vec![otherwise] } else { vec![] },
    }))
}

async fn gather(
    engine: &Engine,
    claim: &Claim,
    dag: &Dag,
    task: &Task,
) -> anyhow::Result<dagctl_runner::Attempt> {
    let instance = claim.key.instance;
    let (store, facts) = (engine.store(), &engine.inner.facts);
    let reads_outputs =
        reads(task, "outputs") || to_expand(task, claim).is_some_and(|it| it.may_read("outputs"));
    let ancestors = match reads_outputs {
        true => dag.ancestors(instance.task_index),
        false => vec![],
    };
    let reads_events = reads(task, "triggering_asset_events");
    let settings = async { Ok(engine.settings().snapshot().await?) };
    let (run, settings, mut outputs) = tokio::try_join!(
        facts.run(store, instance.dag_run_id),
        settings,
        facts.outputs(store, instance.dag_run_id, &ancestors)
    )?;
    let asset_events = match reads_events && run.run_type == RunType::AssetTriggered {
        true => asset_events(store, instance.dag_run_id).await?,
        false => BTreeMap::new(),
    };
    gather_instances(engine, instance.dag_run_id, dag, &ancestors, &mut outputs).await?;
    // Every task upstream has an entry, so that a missing key is told apart from a missing task.
    let outputs: BTreeMap<_, _> = ancestors
        .iter()
        .filter_map(|it| {
            Some((
                dag.task(*it)?.task_id.to_string(),
                outputs.get(it).cloned().unwrap_or_default(),
            ))
        })
        .collect();
    let items = match (&task.expand, instance.map_index) {
        (None, _) | (_, MapIndex::UNMAPPED) => Map::new(),
        (Some(_), _) => store.map_item(instance).await?,
    };
    let config = engine.config();
    let run_dir = config.runs_folder.join(instance.dag_run_id.to_string());
    let dag_dir = config
        .dags_folder
        .join(&dag.spec.file)
        .parent()
        .map_or_else(|| config.dags_folder.clone(), Into::into);
    let facts = ContextFacts {
        dag_id: dag.spec.dag_id.to_string(),
        dag_owner: dag
            .tasks()
            .iter()
            .find_map(|it| it.owner.clone())
            .unwrap_or_default(),
        tags: dag.spec.tags.clone(),
        task_id: task.task_id.to_string(),
        task_owner: task.owner.clone().unwrap_or_default(),
        run_id: run.run_id.clone(),
        run_type: run.run_type.name().to_owned(),
        commit: run.commit.clone().unwrap_or_default(),
        logical_date: run.logical_at,
        data_interval_start: run.interval_start,
        data_interval_end: run.interval_end,
        timezone: dag.spec.timezone.clone(),
        params: run.params.clone(),
        outputs,
        variables: settings.variables().clone(),
        connections: settings.connections().clone(),
        run_dir: run_dir.to_string_lossy().into_owned(),
        asset_events,
        try_number: claim.key.attempt.get(),
        map_index: instance.map_index.get(),
        items,
    };
    Ok(dagctl_runner::Attempt {
        dag_id: dag.spec.dag_id.clone(),
        task_id: task.task_id.clone(),
        run_id: run.run_id.clone(),
        attempt: claim.key.attempt,
        idempotency_key: format!(
            "{}-{}-{}-{}",
            instance.dag_run_id, instance.task_index, instance.map_index, claim.epoch
        ),
        operator: operator(engine, dag, instance.task_index, &run).await?,
        run_if: task.run_if.clone(),
        context: Context::new(facts),
        connections: settings.connections().clone(),
        run_dir,
        dag_dir,
        execution_timeout: task.execution_timeout,
        masker: settings.masker().clone(),
        clean_up: CleanUp::default(),
    })
}

/// Whether any text of a task may read a name.
fn reads(task: &Task, name: &str) -> bool {
    let run_if = task.run_if.as_ref();
    task.operator.may_read(name) || run_if.is_some_and(|it| it.contains(name))
}

/// The news that a run was made for, by table, oldest first.
async fn asset_events(
    store: &Store,
    run: DagRunId,
) -> Result<BTreeMap<String, Vec<Value>>, StoreError> {
    let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let found = store.asset_events(&EventsOf::Run(run), MOST_EVENTS).await?;
    for it in found.into_iter().rev() {
        events.entry(it.name).or_default().push(json!({
            "dag_id": it.dag_id,
            "run_id": it.run_id,
            "task_id": it.task_id,
            "conn_id": it.conn_id,
            "timestamp": it.created_at,
        }));
    }
    Ok(events)
}

/// Outputs of mapped tasks, which are those of their instances.
async fn gather_instances(
    engine: &Engine,
    run: DagRunId,
    dag: &Dag,
    ancestors: &[TaskIndex],
    outputs: &mut Outputs,
) -> anyhow::Result<()> {
    for index in ancestors {
        if dag.task(*index).is_some_and(|it| it.expand.is_some()) {
            let (each, counts) = engine.store().instance_outputs(run, *index).await?;
            outputs.insert(*index, mapping::gathered(each, &counts));
        }
    }
    Ok(())
}

async fn say(sender: &mpsc::Sender<LogLine>, text: String) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a log line bears the worker's own clock"
    )]
    let at = Timestamp::now();
    for text in text.lines() {
        // Nobody listens only when the writer panicked, which is said elsewhere.
        let _ = sender
            .send(LogLine {
                at,
                stream: Stream::Task,
                text: text.to_owned(),
            })
            .await;
    }
}

fn last_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success { .. } => "Succeeded".to_owned(),
        Outcome::Skipped { reason } => format!("Skipped: {reason}"),
        Outcome::HandedBack => "Handed back: the worker is shutting down".to_owned(),
        Outcome::Waits(Wait::Poke) => "Not there yet: looks again later".to_owned(),
        Outcome::Waits(Wait::Until(at)) => format!("Waits until {at}"),
        Outcome::Waits(Wait::Run(_)) => "Waits for the end of that run".to_owned(),
        Outcome::Waits(Wait::Answer { subject, .. }) => format!("Waits for an answer: {subject}"),
        Outcome::Expands { items } => format!("Expands into {} instances", items.len()),
        Outcome::Failed(failure) => {
            format!("Failed ({}): {}", failure.kind.code(), failure.message)
        }
    }
}
