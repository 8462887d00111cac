//! A run: what failed, and where each task stands.

mod tasks;

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::sse::Event;
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};
use dagctl_core::ids::DagRunId;
use dagctl_core::state::TaskState;
use dagctl_engine::again::What;
use dagctl_store::views::assets::EventsOf;
use dagctl_store::views::runs::{RunKind, RunRow};
use dagctl_store::views::tasks::TaskRow;
use jiff::Timestamp;

use self::tasks::{Part, Tasks, TasksQuery};
use super::badge::Badge;
use super::chrome::Chrome;
use super::dag::kind_word;
use super::log_text::visible;
use super::moment::{Clock, Moment};
use super::news::{self, NewsLine};
use super::{filters, links, page};
use crate::App;
use crate::api::find_run;
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::live::{self, News, Source};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/dags/{dag_id}/runs/{run_id}", get(show))
        .route("/dags/{dag_id}/runs/{run_id}/live", get(live_run))
        .route("/dags/{dag_id}/runs/{run_id}/cancel", post(cancel))
        .route("/dags/{dag_id}/runs/{run_id}/retry", post(retry))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    chrome: Chrome,
    dag_id: String,
    dag_path: String,
    run_id: String,
    live: String,
    is_final: bool,
    body: RunBody,
}

/// The part that is told again when it changes.
#[derive(Template)]
#[template(path = "run_body.html")]
struct RunBody {
    dag_id: String,
    dag_path: String,
    run_id: String,
    path: String,
    badge: Badge,
    kind: &'static str,
    by: Option<String>,
    /// The page of the task that made it.
    by_path: Option<String>,
    note: Option<String>,
    started: Option<Moment>,
    queued: Moment,
    took: Option<String>,
    logical: Moment,
    interval: Option<(Moment, Moment)>,
    commit: Option<String>,
    params: Vec<(String, String)>,
    /// The news that it was made for.
    news: Vec<NewsLine>,
    stopping: Option<String>,
    reason: Option<String>,
    quarantined: Option<String>,
    why: Option<String>,
    is_final: bool,
    may_change: bool,
    token: String,
    errors: Vec<TaskError>,
    more_errors: usize,
    settled: i64,
    total: i64,
    /// The states of a large run, with how many tasks are in each.
    parts: Vec<Part>,
    tasks: Vec<TaskLine>,
    state: String,
    next: Option<String>,
}

struct TaskError {
    task_id: String,
    path: String,
    attempt: i16,
    reason: Option<String>,
    message: String,
}

struct TaskLine {
    id: String,
    name: String,
    path: String,
    operator: String,
    badge: Badge,
    attempt: i16,
    took: Option<String>,
    remark: Option<String>,
    retry: Option<Moment>,
    wait: Option<Span>,
    work: Option<Span>,
}

/// A part of the run's time, in percent.
struct Span {
    from: String,
    length: String,
}

/// The time between the run's first moment and its last, or now.
struct Timeline {
    from: i64,
    length: i64,
}

impl Timeline {
    fn new(run: &RunRow, now: Timestamp) -> Self {
        let from = run.started_at.unwrap_or(run.queued_at).as_millisecond();
        let to = run.finished_at.unwrap_or(now).as_millisecond();
        Self {
            from,
            length: (to - from).max(1),
        }
    }

    fn span(&self, from: Option<Timestamp>, to: Timestamp) -> Option<Span> {
        let share = |at: Timestamp| {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a drawing needs no more than a few digits"
            )]
            let share = (at.as_millisecond() - self.from) as f64 * 100.0 / self.length as f64;
            share.clamp(0.0, 100.0)
        };
        let (from, to) = (share(from?), share(to));
        let length = (to - from).max(0.6);
        Some(Span {
            from: format!("{:.2}%", from.min(99.4)),
            length: format!("{length:.2}%"),
        })
    }
}

async fn body(app: &App, caller: &Caller, run: RunRow, query: &TasksQuery) -> Answer<RunBody> {
    let tasks = Tasks::read(app, run.dag_run_id, query).await?;
    let clock = Clock::new(&run.timezone);
    let timeline = Timeline::new(&run, clock.now);
    let errors: Vec<TaskError> = tasks
        .failed
        .iter()
        .map(|it| TaskError {
            task_id: full_name(it),
            path: links::task(&run.dag_id, &run.run_id, &it.task_id, it.map_index),
            attempt: it.attempt,
            reason: it.reason.clone(),
            message: visible(it.error.as_deref().unwrap_or_default()),
        })
        .collect();
    let is_final = run.state.is_final();
    let why = match is_final || run.look_error.is_some() {
        true => None,
        false => Some(crate::explain::run(app, &run).await?.sentence),
    };
    let news = match run.run_type {
        RunKind::AssetTriggered => news::news(app, &EventsOf::Run(run.dag_run_id), &clock).await?,
        RunKind::Scheduled | RunKind::Manual | RunKind::Backfill => vec![],
    };
    // An account's name has no slash; what a task made bears the task's path.
    let by_path = match run.triggered_by.as_ref().filter(|it| it.contains('/')) {
        Some(_) => app.store().trigger_of(run.dag_run_id).await?,
        None => None,
    };
    let above = links::tasks(&run.dag_id, &run.run_id);
    let by_path = by_path.map(|it| links::task(&it.dag_id, &it.run_id, &it.task_id, it.map_index));
    Ok(RunBody {
        path: links::run(&run.dag_id, &run.run_id),
        dag_path: links::dag(&run.dag_id),
        badge: run.state.into(),
        kind: kind_word(run.run_type),
        started: run.started_at.map(|it| clock.long(it)),
        queued: clock.long(run.queued_at),
        took: clock.took(run.started_at, run.finished_at),
        logical: clock.zoned(run.logical_at),
        interval: (run.interval_start != run.interval_end).then(|| {
            (
                clock.bare(run.interval_start),
                clock.zoned(run.interval_end),
            )
        }),
        params: run
            .params
            .iter()
            .map(|(name, value)| (name.clone(), visible(&value.to_string())))
            .collect(),
        news,
        reason: run.reason(),
        stopping: run
            .cancel_requested_by
            .filter(|_| run.cancel_requested_at.is_some()),
        commit: run.git_commit.map(|it| it.chars().take(10).collect()),
        by_path,
        by: run.triggered_by,
        note: run.note,
        quarantined: run.look_error,
        why,
        is_final,
        may_change: caller.is_operator(),
        token: caller.form_token(),
        more_errors: tasks.more_failed(),
        errors,
        settled: tasks.count(TaskState::is_final),
        total: tasks.count(|_| true),
        parts: tasks.parts(query),
        state: links::segment(&query.state),
        next: tasks.next,
        tasks: tasks
            .shown
            .iter()
            .map(|it| {
                let mut line = line(it, &above, &clock, &timeline);
                if it.map_index == -1
                    && let Some(counts) = tasks.instances.get(&it.task_index)
                {
                    line.remark = Some(counted(counts));
                }
                line
            })
            .collect(),
        dag_id: run.dag_id,
        run_id: run.run_id,
    })
}

/// `3 instances: 2 success, 1 failed`.
fn counted(instances: &[(TaskState, i64)]) -> String {
    let all: i64 = instances.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> = TaskState::ALL
        .into_iter()
        .filter_map(|state| {
            let (_, count) = instances.iter().find(|(it, _)| *it == state)?;
            Some(format!("{count} {state}"))
        })
        .collect();
    let noun = if all == 1 { "instance" } else { "instances" };
    format!("{all} {noun}: {}", parts.join(", "))
}

fn full_name(task: &TaskRow) -> String {
    match task.map_index {
        -1 => task.task_id.clone(),
        index => format!("{}[{index}]", task.task_id),
    }
}

fn line(task: &TaskRow, above: &str, clock: &Clock, timeline: &Timeline) -> TaskLine {
    let is_running = task.state == TaskState::Running;
    let ended = task.finished_at.or(is_running.then_some(clock.now));
    TaskLine {
        id: format!("task-{}-{}", task.task_index, task.map_index),
        name: full_name(task),
        path: links::instance(above, &task.task_id, task.map_index),
        operator: task.operator.clone(),
        badge: task.state.into(),
        attempt: task.attempt,
        took: match is_running {
            true => clock.took(task.started_at, None),
            false => task
                .finished_at
                .and_then(|it| clock.took(task.started_at, Some(it))),
        },
        remark: task.reason.clone().filter(|_| {
            task.state != TaskState::Success && task.state != TaskState::UpstreamFailed
        }),
        retry: task.retry_at.map(|it| clock.short(it)),
        wait: timeline
            .span(
                task.queued_at,
                task.started_at.or(task.finished_at).unwrap_or(clock.now),
            )
            .filter(|_| task.queued_at.is_some() && !is_put_off(task.state)),
        work: ended.and_then(|it| timeline.span(task.started_at, it)),
    }
}

/// Whether nothing happens to the task until a moment to come.
fn is_put_off(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::UpForRetry | TaskState::UpForReschedule | TaskState::WaitingApproval
    )
}

async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path((dag_id, run_id)): Path<(String, String)>,
    Query(query): Query<TasksQuery>,
) -> Answer<Html<String>> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let (body, chrome) = tokio::try_join!(
        body(&app, &viewer, run, &query),
        Chrome::new(&app, &viewer, "dags")
    )?;
    page(&RunPage {
        chrome,
        dag_id: body.dag_id.clone(),
        dag_path: body.dag_path.clone(),
        run_id: body.run_id.clone(),
        live: format!(
            "{}/live?state={}&after={}",
            body.path,
            links::segment(&query.state),
            links::segment(&query.after)
        ),
        is_final: body.is_final,
        body,
    })
}

struct LiveRun {
    app: App,
    caller: Caller,
    run: DagRunId,
    query: TasksQuery,
    told: String,
}

impl Source for LiveRun {
    async fn look(&mut self) -> Answer<News> {
        let run = self
            .app
            .store()
            .run_row(self.run)
            .await?
            .ok_or_else(|| Failure::not_found("this run is gone"))?;
        let is_last = run.state.is_final();
        let html = body(&self.app, &self.caller, run, &self.query)
            .await?
            .render()
            .map_err(Failure::internal)?;
        let mut events = vec![];
        if html != self.told {
            events.push(Event::default().data(&html));
            self.told = html;
        }
        Ok(News { events, is_last })
    }

    fn period(&self) -> Duration {
        Duration::from_millis(250)
    }
}

async fn live_run(
    State(app): State<App>,
    viewer: Viewer,
    Path((dag_id, run_id)): Path<(String, String)>,
    Query(query): Query<TasksQuery>,
) -> Answer<Response> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let source = LiveRun {
        app: app.clone(),
        caller: viewer.0.clone(),
        run: run.dag_run_id,
        query,
        told: String::new(),
    };
    live::stream(&app, &viewer, source).await
}

async fn cancel(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id)): Path<(String, String)>,
    _: Form,
) -> Answer<Redirect> {
    crate::api::stop_run(&app, &operator, &dag_id, &run_id).await?;
    Ok(Redirect::to(&links::run(&dag_id, &run_id)))
}

async fn retry(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id)): Path<(String, String)>,
    _: Form,
) -> Answer<Redirect> {
    crate::api::go_again(
        &app,
        &operator,
        (&dag_id, &run_id),
        What::Retry,
        crate::api::How::default(),
    )
    .await?;
    Ok(Redirect::to(&links::run(&dag_id, &run_id)))
}
