//! Gathers what explains why something does not move; the core says it.

use dagctl_core::explain::{self, DagFacts, Explanation, PoolFacts, RunFacts, TaskFacts};
use dagctl_core::schedule::Schedule;
use dagctl_core::state::{RunState, TaskState};
use dagctl_store::views::dags::DagRow;
use dagctl_store::views::explain::TaskReasons;
use dagctl_store::views::runs::{RunFilter, RunKind, RunRow};
use dagctl_store::views::tasks::{TaskFilter, TaskRow};

use crate::App;
use crate::error::Answer;

/// Runs and tasks that are explained at once.
const MOST: i64 = 200;

/// Why a DAG makes no run now.
pub(crate) async fn dag(app: &App, dag: &DagRow) -> Answer<Explanation> {
    Ok(explain::dag(&dag_facts(app, dag).await?))
}

/// The runs of a DAG that have not ended, with why.
pub(crate) async fn runs(app: &App, dag: &DagRow) -> Answer<Vec<(RunRow, Explanation)>> {
    let mut open = runs_in(app, dag, RunState::Running).await?;
    open.extend(runs_in(app, dag, RunState::Queued).await?);
    let mut explained = vec![];
    for row in open {
        let explanation = run(app, &row).await?;
        explained.push((row, explanation));
    }
    Ok(explained)
}

async fn runs_in(app: &App, dag: &DagRow, state: RunState) -> Answer<Vec<RunRow>> {
    let filter = RunFilter {
        dag_key: dag.dag_key,
        state: Some(state),
        before: None,
        limit: MOST,
    };
    Ok(app.store().run_rows(&filter).await?)
}

/// Why a run does not move.
pub(crate) async fn run(app: &App, run: &RunRow) -> Answer<Explanation> {
    let dag = match app.store().dag_row(&run.dag_id).await? {
        Some(dag) => dag_facts(app, &dag).await?,
        None => DagFacts::default(),
    };
    Ok(explain::run(&run_facts(app, run).await?, &dag))
}

/// The task instances of a run that `filter` picks, with why they do not move.
pub(crate) async fn tasks(
    app: &App,
    run: &RunRow,
    filter: &TaskFilter,
) -> Answer<Vec<(TaskRow, Explanation)>> {
    let facts = run_facts(app, run).await?;
    let store = app.store();
    let (rows, reasons) = tokio::try_join!(
        store.task_rows(run.dag_run_id, filter),
        store.task_reasons(run.dag_run_id, run.version)
    )?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let explanation = explain::task(&task_facts(&row, run, &reasons), &facts);
            (row, explanation)
        })
        .collect())
}

/// The task instances of a run that have not settled, with why.
pub(crate) async fn open_tasks(app: &App, run: &RunRow) -> Answer<Vec<(TaskRow, Explanation)>> {
    let filter = TaskFilter {
        states: TaskState::ALL
            .into_iter()
            .filter(|it| !it.is_final())
            .collect(),
        limit: Some(MOST),
        ..TaskFilter::default()
    };
    tasks(app, run, &filter).await
}

async fn dag_facts(app: &App, dag: &DagRow) -> Answer<DagFacts> {
    let reasons = app.store().dag_reasons(dag).await?;
    let by_hand = Schedule::Manual.describe();
    let schedule = dag.schedule.clone().filter(|it| *it != by_hand);
    Ok(DagFacts {
        awaits_news: schedule
            .as_ref()
            .is_some_and(|it| it.starts_with("on news of ")),
        missing_since: dag.missing_since,
        has_version: dag.version.is_some(),
        broken: reasons.error,
        paused: dag.is_paused.then_some(reasons.paused_by),
        schedule,
        next_due_at: dag.next_due_at,
        skipped: reasons.skipped,
    })
}

async fn run_facts(app: &App, run: &RunRow) -> Answer<RunFacts> {
    let (mut active_runs, mut max_active_runs, mut backfill) = (vec![], 0, None);
    if run.state == RunState::Queued
        && let Some(dag) = app.store().dag_row(&run.dag_id).await?
    {
        let active = runs_in(app, &dag, RunState::Running).await?;
        active_runs = active.into_iter().map(|it| it.run_id).collect();
        max_active_runs = i64::from(dag.max_active_runs);
        backfill = app.store().backfill_of(run.dag_run_id).await?;
    }
    let who = run.cancel_requested_by.clone().unwrap_or_default();
    Ok(RunFacts {
        state: run.state,
        queued_at: run.queued_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        cancel: run.cancel_requested_at.map(|at| (who, at)),
        look_error: run.look_error.clone(),
        again_at: app.store().goes_again_at(run.dag_run_id).await?,
        is_asked_for: run.run_type == RunKind::Manual,
        active_runs,
        max_active_runs,
        backfill,
        tasks: app.store().task_counts(run.dag_run_id).await?.all,
    })
}

fn task_facts(row: &TaskRow, run: &RunRow, reasons: &TaskReasons) -> TaskFacts {
    let queue = reasons.queues.get(&row.task_index);
    let queue = queue.cloned().unwrap_or_default();
    let known = reasons.since.get(&(row.task_index, row.map_index)).copied();
    let since = match row.state {
        TaskState::None => run.started_at.or(Some(run.queued_at)),
        TaskState::Queued => row.queued_at,
        TaskState::Running => row.started_at,
        _ if row.state.is_final() => row.finished_at,
        _ => known,
    };
    let at = row.task_index;
    let instance = (row.task_index, row.map_index);
    let name = format!("{}.{}", run.dag_id, row.task_id);
    let limit = reasons.pools.get(&row.pool).cloned().map(|it| PoolFacts {
        wanted: reasons
            .pool_slots
            .get(&at)
            .map_or(1, |wanted| (*wanted).min(it.slots)),
        ahead: it.ahead.filter(|(first, _)| *first != name),
        ..it
    });
    let whole = row.map_index < 0;
    TaskFacts {
        state: row.state,
        since,
        open_upstream: reasons
            .open_upstream
            .get(&row.task_index)
            .cloned()
            .unwrap_or_default(),
        attempt: row.attempt,
        retry_at: row.retry_at,
        error: row.error.clone().or_else(|| row.reason.clone()),
        worker: row.worker.clone(),
        workers: reasons.workers.get(&queue).copied().unwrap_or((0, 0)),
        queue,
        pool: row.pool.clone(),
        limit,
        places: reasons.places.get(&at).copied().unwrap_or_default(),
        open_instances: reasons.open_instances.get(&at).copied().filter(|_| whole),
        past_run: reasons.past_runs.get(&at).cloned(),
        awaited_run: reasons.awaited_runs.get(&instance).cloned(),
        question: reasons.questions.get(&instance).cloned(),
    }
}
