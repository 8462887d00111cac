//! A task of a run: its error first, its attempts, its log as it grows, and what it handed on.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, header};
use axum::response::sse::Event;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use dagctl_core::again::Reach;
use dagctl_core::ids::{AttemptKey, AttemptNo, TaskInstanceKey};
use dagctl_core::operator::Answer as Said;
use dagctl_core::state::Verdict;
use dagctl_engine::again::What;
use dagctl_store::views::approvals::ApprovalRow;
use dagctl_store::views::logs::{LineStream, LogLineRow};
use dagctl_store::views::tasks::{AttemptRow, TaskFilter};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::badge::Badge;
use super::chrome::Chrome;
use super::log_text::visible;
use super::moment::{Clock, Moment};
use super::{filters, links, page};
use crate::App;
use crate::api::{MOST_LINES, find_task, give_answer, instance_key, shown_attempt};
use crate::auth::{Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::explain;
use crate::form::Form;
use crate::live::{self, News, Source};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}", get(show))
        .route(
            "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/log",
            get(live_log),
        )
        .route(
            "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/log.txt",
            get(log_file),
        )
        .route(
            "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/approval",
            post(answer),
        )
        .route(
            "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/clear",
            post(clear),
        )
        .route(
            "/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/mark",
            post(mark),
        )
}

#[derive(Debug, Default, Deserialize)]
struct TaskQuery {
    attempt: Option<i16>,
    map_index: Option<i32>,
    /// The first line that a stream is asked for.
    from: Option<i64>,
}

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    chrome: Chrome,
    dag_id: String,
    dag_path: String,
    run_id: String,
    run_path: String,
    task_id: String,
    path: String,
    map_index: i32,
    operator: String,
    pool: String,
    badge: Badge,
    why: Option<String>,
    /// Whether the task has begun, and the viewer may run it again.
    may_change: bool,
    may_answer: bool,
    token: String,
    pokes: u32,
    question: Option<Question>,
    made: Vec<MadeRun>,
    retry: Option<Moment>,
    attempts: Vec<AttemptLine>,
    zone: String,
    shown: i16,
    error: Option<AttemptError>,
    lines: LogLines,
    next_line: i64,
    is_live: bool,
    outputs: Option<String>,
}

/// What the task asks a person, and what came of it.
struct Question {
    row: ApprovalRow,
    asked: Moment,
    deadline: Option<Moment>,
    answered: Option<Moment>,
}

/// A run that the task made.
struct MadeRun {
    dag_id: String,
    run_id: String,
    path: String,
    badge: Badge,
}

struct AttemptLine {
    number: i16,
    badge: Badge,
    started: Option<Moment>,
    took: Option<String>,
    worker: Option<String>,
    reason: Option<String>,
}

struct AttemptError {
    reason: Option<String>,
    message: String,
}

/// Lines as rows of the log.
#[derive(Template)]
#[template(path = "log_lines.html")]
struct LogLines {
    lines: Vec<LogLine>,
}

struct LogLine {
    number: i64,
    at: String,
    /// The fraction of its second, which narrow screens leave out.
    millis: String,
    stream: &'static str,
    stream_name: &'static str,
    text: String,
}

impl LogLines {
    fn new(rows: Vec<LogLineRow>, zone: &TimeZone) -> Self {
        let lines = rows
            .into_iter()
            .map(|row| {
                let (stream, stream_name) = match row.stream {
                    LineStream::Task => ("t", "task"),
                    LineStream::Stdout => ("o", "stdout"),
                    LineStream::Stderr => ("e", "stderr"),
                };
                let at = row.at.to_zoned(zone.clone());
                LogLine {
                    number: row.line,
                    at: at.strftime("%H:%M:%S").to_string(),
                    millis: at.strftime("%.3f").to_string(),
                    stream,
                    stream_name,
                    text: visible(&row.text),
                }
            })
            .collect();
        Self { lines }
    }
}

type Names = Path<(String, String, String)>;

async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path((dag_id, run_id, task_id)): Names,
    Query(query): Query<TaskQuery>,
) -> Answer<Html<String>> {
    let (run, task) = find_task(&app, (&dag_id, &run_id, &task_id), query.map_index).await?;
    let clock = Clock::new(&run.timezone);
    let key = instance_key(&run, &task);
    let shown = shown_attempt(&app, &run, &task, query.attempt).await?.get();
    let attempt_key = AttemptKey {
        instance: key,
        attempt: AttemptNo(shown),
    };
    let store = app.store();
    let filter = TaskFilter {
        task_id: Some(task.task_id.clone()),
        ..TaskFilter::default()
    };
    let (attempts, rows, outputs, explained, question, made, chrome) = tokio::try_join!(
        async { Ok::<_, Failure>(store.attempt_rows(key).await?) },
        async { Ok::<_, Failure>(store.log_lines(attempt_key, 0, MOST_LINES).await?) },
        async { Ok::<_, Failure>(store.output_of(key).await?) },
        async {
            match task.state.is_final() {
                true => Ok(vec![]),
                false => explain::tasks(&app, &run, &filter).await,
            }
        },
        async { Ok::<_, Failure>(store.approval_row(key).await?) },
        async { Ok::<_, Failure>(store.triggered_runs(key).await?) },
        Chrome::new(&app, &viewer, "dags")
    )?;
    let next_line = rows.last().map_or(0, |it| it.line + 1);
    let zone = TimeZone::get(&run.timezone).unwrap_or(TimeZone::UTC);
    let error = attempts
        .iter()
        .find(|it| it.attempt == shown)
        .and_then(|it| {
            Some(AttemptError {
                message: visible(it.message.as_deref()?),
                reason: it.reason.clone(),
            })
        });
    let is_ended = |it: &AttemptRow| it.finished_at.is_some();
    let is_live = !task.state.is_final()
        && !attempts
            .iter()
            .any(|it| it.attempt == shown && is_ended(it));
    let outputs = outputs
        .map(|it| serde_json::to_string_pretty(&it).map_err(Failure::internal))
        .transpose()?;
    page(&TaskPage {
        chrome,
        dag_path: links::dag(&run.dag_id),
        run_path: links::run(&run.dag_id, &run.run_id),
        path: links::task(&run.dag_id, &run.run_id, &task.task_id, -1),
        map_index: task.map_index,
        badge: task.state.into(),
        why: explained
            .into_iter()
            .find(|(it, _)| it.map_index == task.map_index && !it.state.is_final())
            .map(|(_, why)| why.sentence),
        may_change: viewer.is_operator() && task.state.is_final(),
        may_answer: viewer.is_operator(),
        token: viewer.form_token(),
        pokes: task.pokes,
        question: question.map(|it| Question {
            asked: clock.long(it.asked_at),
            deadline: it.deadline.map(|it| clock.long(it)),
            answered: it.answered_at.map(|it| clock.long(it)),
            row: ApprovalRow {
                subject: visible(&it.subject),
                body: visible(&it.body),
                ..it
            },
        }),
        made: made
            .into_iter()
            .map(|it| MadeRun {
                path: links::run(&it.dag_id, &it.run_id),
                badge: it.state.into(),
                dag_id: it.dag_id,
                run_id: it.run_id,
            })
            .collect(),
        retry: task.retry_at.map(|it| clock.long(it)),
        attempts: attempts
            .into_iter()
            .map(|it| AttemptLine {
                number: it.attempt,
                badge: it.state.into(),
                started: it.started_at.map(|it| clock.bare(it)),
                took: clock.took(it.started_at, it.finished_at),
                worker: it.worker,
                reason: it.reason,
            })
            .collect(),
        zone: clock.zone_name(),
        shown,
        error,
        lines: LogLines::new(rows, &zone),
        next_line,
        is_live,
        outputs: outputs.map(|it| visible(&it)),
        operator: task.operator,
        pool: task.pool,
        task_id: task.task_id,
        dag_id: run.dag_id,
        run_id: run.run_id,
    })
}

async fn clear(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    form: Form,
) -> Answer<Redirect> {
    let what = What::Clear {
        tasks: vec![task_id],
        reach: Reach {
            downstream: form.ticked("downstream"),
            ..Reach::default()
        },
    };
    crate::api::go_again(
        &app,
        &operator,
        (&dag_id, &run_id),
        what,
        crate::api::How::default(),
    )
    .await?;
    Ok(Redirect::to(&links::run(&dag_id, &run_id)))
}

async fn mark(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id, task)): Path<(String, String, String)>,
    form: Form,
) -> Answer<Redirect> {
    let verdict = match form.text("state") {
        "success" => Verdict::Success,
        "failed" => Verdict::Failed,
        "skipped" => Verdict::Skipped,
        other => {
            return Err(Failure::bad_request(format!(
                "`{other}` is no state to mark a task with: it may be success, failed or skipped"
            )));
        }
    };
    let what = What::Mark { task, verdict };
    crate::api::go_again(
        &app,
        &operator,
        (&dag_id, &run_id),
        what,
        crate::api::How::default(),
    )
    .await?;
    Ok(Redirect::to(&links::run(&dag_id, &run_id)))
}

/// Answers the task's question, and goes back to it.
async fn answer(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id, task_id)): Names,
    form: Form,
) -> Answer<Redirect> {
    let said = Said::ALL
        .into_iter()
        .find(|it| it.name() == form.text("answer"))
        .ok_or_else(|| Failure::bad_request("`answer` must be `approve` or `reject`"))?;
    let map_index = form.text("map_index").parse().unwrap_or(-1);
    let names = (dag_id.as_str(), run_id.as_str(), task_id.as_str());
    let reason = form.filled("reason");
    give_answer(&app, &operator, names, Some(map_index), (said, reason)).await?;
    Ok(Redirect::to(&links::task(
        &dag_id, &run_id, &task_id, map_index,
    )))
}

struct LiveLog {
    app: App,
    key: TaskInstanceKey,
    attempt: AttemptNo,
    from: i64,
    zone: TimeZone,
}

impl Source for LiveLog {
    async fn look(&mut self) -> Answer<News> {
        // The attempt is read first: once it has ended, its log is whole.
        let attempts = self.app.store().attempt_rows(self.key).await?;
        let is_ended = attempts
            .iter()
            .any(|it| it.attempt == self.attempt.get() && it.finished_at.is_some());
        let key = AttemptKey {
            instance: self.key,
            attempt: self.attempt,
        };
        let rows = self
            .app
            .store()
            .log_lines(key, self.from, MOST_LINES)
            .await?;
        let mut events = vec![];
        if let Some(last) = rows.last() {
            self.from = last.line + 1;
            let html = LogLines::new(rows, &self.zone)
                .render()
                .map_err(Failure::internal)?;
            // A browser that lost the stream asks again from here.
            events.push(Event::default().id(self.from.to_string()).data(html));
        }
        Ok(News {
            events,
            is_last: is_ended,
        })
    }

    fn period(&self) -> Duration {
        Duration::from_millis(300)
    }
}

async fn live_log(
    State(app): State<App>,
    viewer: Viewer,
    Path((dag_id, run_id, task_id)): Names,
    Query(query): Query<TaskQuery>,
    headers: axum::http::HeaderMap,
) -> Answer<Response> {
    let (run, task) = find_task(&app, (&dag_id, &run_id, &task_id), query.map_index).await?;
    let resumed = headers
        .get("last-event-id")
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.parse().ok());
    let source = LiveLog {
        app: app.clone(),
        key: instance_key(&run, &task),
        attempt: shown_attempt(&app, &run, &task, query.attempt).await?,
        from: resumed.or(query.from).unwrap_or(0),
        zone: TimeZone::get(&run.timezone).unwrap_or(TimeZone::UTC),
    };
    live::stream(&app, &viewer, source).await
}

/// The log as a file; a browser is told to treat it as nothing but text.
async fn log_file(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id, task_id)): Names,
    Query(query): Query<TaskQuery>,
) -> Answer<Response> {
    let (run, task) = find_task(&app, (&dag_id, &run_id, &task_id), query.map_index).await?;
    let key = AttemptKey {
        instance: instance_key(&run, &task),
        attempt: shown_attempt(&app, &run, &task, query.attempt).await?,
    };
    let mut text = String::new();
    let mut from = 0;
    loop {
        let rows = app.store().log_lines(key, from, MOST_LINES).await?;
        let Some(last) = rows.last() else { break };
        from = last.line + 1;
        for row in rows {
            text.push_str(&row.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ ").to_string());
            text.push_str(&row.text);
            text.push('\n');
        }
    }
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    Ok(response)
}
