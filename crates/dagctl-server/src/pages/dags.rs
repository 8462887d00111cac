//! The list of DAGs: how each is doing, at a glance.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::sse::Event;
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};
use dagctl_core::state::RunState;
use dagctl_store::dags::Paused;
use dagctl_store::views::approvals::OpenApproval;
use dagctl_store::views::dags::{DagFilter, DagRow};
use dagctl_store::views::runs::RunBar;
use serde::Deserialize;

use super::chrome::Chrome;
use super::links::{self, Segment};
use super::log_text::visible;
use super::moment::{Clock, Moment};
use super::page;
use crate::App;
use crate::api::MOST_QUESTIONS;
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::live::{self, News, Source};
use crate::routes::Routes;

/// DAGs on one page.
const PAGE: usize = 100;
/// Bars of one DAG.
const BARS: i64 = 14;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/", get(list))
        .route("/live", get(live_list))
        .route("/dags", get(async || Redirect::permanent("/")))
        .route("/dags/{dag_id}/pause", post(pause))
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "dags.html")]
struct DagsPage {
    chrome: Chrome,
    query: ListQuery,
    tags: Vec<String>,
    rows: DagRows,
    live: String,
}

/// The part that is told again when it changes.
#[derive(Template)]
#[template(path = "dag_rows.html")]
struct DagRows {
    questions: Vec<Question>,
    dags: Vec<DagLine>,
    next: Option<String>,
    is_filtered: bool,
    may_change: bool,
    token: String,
}

/// A question that waits for an answer.
struct Question {
    path: String,
    subject: String,
    dag_id: String,
    task: String,
    asked: Moment,
    deadline: Option<Moment>,
}

struct DagLine {
    row: DagRow,
    path: String,
    bars: Bars,
    last: Option<Moment>,
    next_due: Option<Moment>,
}

/// The last runs as bars, the newest first. Their places from right to left are in the style sheet.
pub(super) struct Bars {
    /// What stands before the names of the runs in their addresses.
    pub(super) above: String,
    pub(super) bars: Vec<Bar>,
    pub(super) summary: String,
}

pub(super) struct Bar {
    pub(super) y: u32,
    pub(super) height: u32,
    pub(super) state: &'static str,
    pub(super) run_id: String,
    pub(super) took: Option<String>,
}

impl Bar {
    pub(super) fn segment(&self) -> Segment<'_> {
        Segment(&self.run_id)
    }
}

/// The height of the longest bar.
const TALLEST: u32 = 22;

impl Bars {
    pub(super) fn new(dag_id: &str, runs: Vec<RunBar>, clock: &Clock) -> Self {
        let millis = |run: &RunBar| {
            let from = run.started_at.unwrap_or(clock.now);
            let to = run.finished_at.unwrap_or(clock.now);
            (to.as_millisecond() - from.as_millisecond()).max(0)
        };
        let longest = runs.iter().map(millis).max().unwrap_or(0).max(1);
        let failed = runs
            .iter()
            .filter(|it| it.state == RunState::Failed)
            .count();
        let summary = match (runs.len(), failed) {
            (0, _) => "no runs yet".to_owned(),
            (count, 0) => format!("last {count} runs, none failed"),
            (count, failed) => format!("last {count} runs, {failed} failed"),
        };
        let bars = runs
            .into_iter()
            .map(|run| {
                let share = millis(&run) * i64::from(TALLEST - 5) / longest;
                let height = 5 + u32::try_from(share).unwrap_or(0);
                Bar {
                    y: TALLEST - height,
                    height,
                    state: run.state.name(),
                    took: clock.took(run.started_at, run.finished_at),
                    run_id: run.run_id,
                }
            })
            .collect();
        Self {
            above: links::runs(dag_id),
            bars,
            summary,
        }
    }
}

async fn rows(app: &App, caller: &Caller, query: &ListQuery) -> Answer<DagRows> {
    let filled = |text: &str| {
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let (last_state, is_paused) = match query.state.as_str() {
        "paused" => (None, Some(true)),
        name => (RunState::from_name(name), None),
    };
    let mut rows = app
        .store()
        .dag_rows(&DagFilter {
            search: filled(&query.q),
            tag: filled(&query.tag),
            last_state,
            is_paused,
            after: filled(&query.after),
            limit: i64::try_from(PAGE).unwrap_or(i64::MAX) + 1,
        })
        .await?;
    let next = (rows.len() > PAGE)
        .then(|| rows.get(PAGE - 1).map(|it| it.dag_id.clone()))
        .flatten();
    rows.truncate(PAGE);
    let keys: Vec<_> = rows.iter().map(|it| it.dag_key).collect();
    let (mut runs, questions) = tokio::try_join!(
        app.store().last_runs(&keys, BARS),
        app.store().open_approvals(MOST_QUESTIONS)
    )?;
    let dags = rows
        .into_iter()
        .map(|row| {
            let clock = Clock::new(&row.timezone);
            let runs = runs.remove(&row.dag_key).unwrap_or_default();
            DagLine {
                path: links::dag(&row.dag_id),
                last: runs.first().map(|it| clock.short(it.queued_at)),
                bars: Bars::new(&row.dag_id, runs, &clock),
                next_due: row
                    .next_due_at
                    .filter(|_| !row.is_paused && row.missing_since.is_none())
                    .map(|it| clock.short(it)),
                row,
            }
        })
        .collect();
    Ok(DagRows {
        questions: questions.into_iter().map(question).collect(),
        dags,
        next,
        is_filtered: !(query.q.is_empty() && query.tag.is_empty() && query.state.is_empty()),
        may_change: caller.is_operator(),
        token: caller.form_token(),
    })
}

fn question(it: OpenApproval) -> Question {
    let clock = Clock::new(&it.timezone);
    Question {
        path: links::task(&it.dag_id, &it.run_id, &it.task_id, it.map_index),
        subject: visible(&it.subject),
        asked: clock.short(it.asked_at),
        deadline: it.deadline.map(|it| clock.zoned(it)),
        dag_id: it.dag_id,
        task: it.task_id,
    }
}

async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Query(query): Query<ListQuery>,
) -> Answer<Html<String>> {
    let (rows, tags, chrome) = tokio::try_join!(
        rows(&app, &viewer, &query),
        async { Ok::<_, Failure>(app.store().tags().await?) },
        Chrome::new(&app, &viewer, "dags")
    )?;
    page(&DagsPage {
        chrome,
        tags,
        live: format!(
            "/live?q={}&tag={}&state={}&after={}",
            links::segment(&query.q),
            links::segment(&query.tag),
            links::segment(&query.state),
            links::segment(&query.after)
        ),
        query,
        rows,
    })
}

struct LiveRows {
    app: App,
    caller: Caller,
    query: ListQuery,
    told: String,
}

impl Source for LiveRows {
    async fn look(&mut self) -> Answer<News> {
        let html = rows(&self.app, &self.caller, &self.query)
            .await?
            .render()
            .map_err(Failure::internal)?;
        let mut events = vec![];
        if html != self.told {
            events.push(Event::default().data(&html));
            self.told = html;
        }
        Ok(News {
            events,
            is_last: false,
        })
    }

    fn period(&self) -> Duration {
        Duration::from_secs(1)
    }
}

async fn live_list(
    State(app): State<App>,
    viewer: Viewer,
    Query(query): Query<ListQuery>,
) -> Answer<Response> {
    let source = LiveRows {
        app: app.clone(),
        caller: viewer.0.clone(),
        query,
        told: String::new(),
    };
    live::stream(&app, &viewer, source).await
}

/// Switches a schedule off or on, and goes back to where the switch was.
async fn pause(
    State(app): State<App>,
    operator: Operator,
    Path(dag_id): Path<String>,
    form: Form,
) -> Answer<Redirect> {
    let paused = match form.text("paused") {
        "yes" => Paused::Yes,
        "no" => Paused::No,
        _ => return Err(Failure::bad_request("`paused` must be `yes` or `no`")),
    };
    crate::api::set_paused(&app, &operator, &dag_id, paused).await?;
    Ok(Redirect::to(links::own_path(form.text("back"))))
}
