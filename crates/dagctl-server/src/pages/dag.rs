//! A DAG: its runs, its tasks and what it is for.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use axum::routing::get;
use dagctl_core::ids::DagRunId;
use dagctl_core::state::RunState;
use dagctl_store::views::dags::{DagRow, DagTaskRow};
use dagctl_store::views::runs::{RunFilter, RunKind, RunRow};
use serde::Deserialize;

use super::badge::Badge;
use super::chrome::Chrome;
use super::dags::Bars;
use super::graph::Graph;
use super::moment::{Clock, Moment};
use super::{links, page};
use crate::App;
use crate::auth::Viewer;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

/// Runs on one page.
const PAGE: usize = 25;

pub(super) fn routes() -> Routes {
    Routes::default().route("/dags/{dag_id}", get(show))
}

#[derive(Debug, Default, Deserialize)]
struct RunsQuery {
    #[serde(default)]
    state: String,
    #[serde(default)]
    before: String,
}

#[derive(Template)]
#[template(path = "dag.html")]
struct DagPage {
    chrome: Chrome,
    dag: DagRow,
    path: String,
    query: RunsQuery,
    bars: Bars,
    next_due: Option<Moment>,
    missing: Option<Moment>,
    doc: Option<String>,
    graph: Option<Graph>,
    tasks: Vec<DagTaskRow>,
    runs: Vec<RunLine>,
    zone: String,
    older: Option<String>,
}

struct RunLine {
    path: String,
    run_id: String,
    badge: Badge,
    kind: &'static str,
    logical: Moment,
    started: Option<Moment>,
    took: Option<String>,
    by: Option<String>,
    note: Option<String>,
    reason: Option<String>,
}

impl RunLine {
    fn new(row: RunRow, clock: &Clock) -> Self {
        Self {
            path: links::run(&row.dag_id, &row.run_id),
            badge: row.state.into(),
            kind: kind_word(row.run_type),
            logical: clock.bare(row.logical_at),
            started: row.started_at.map(|it| clock.short(it)),
            took: clock.took(row.started_at, row.finished_at),
            reason: row.reason(),
            by: row.triggered_by,
            note: row.note,
            run_id: row.run_id,
        }
    }
}

pub(super) fn kind_word(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Scheduled => "scheduled",
        RunKind::Manual => "manual",
        RunKind::Backfill => "backfill",
    }
}

async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(dag_id): Path<String>,
    Query(query): Query<RunsQuery>,
) -> Answer<Html<String>> {
    let dag = app
        .store()
        .dag_row(&dag_id)
        .await?
        .ok_or_else(|| Failure::unknown_dag(&dag_id))?;
    let clock = Clock::new(&dag.timezone);
    let mut rows = app
        .store()
        .run_rows(&RunFilter {
            dag_key: Some(dag.dag_key),
            state: RunState::from_name(&query.state),
            before: query.before.parse().ok().map(DagRunId),
            limit: i64::try_from(PAGE).unwrap_or(i64::MAX) + 1,
        })
        .await?;
    let has_more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let older = rows
        .last()
        .filter(|_| has_more)
        .map(|it| it.dag_run_id.to_string());
    let mut last = app.store().last_runs(&[dag.dag_key], 14).await?;
    let last = last.remove(&dag.dag_key).unwrap_or_default();
    let (mut tasks, mut doc) = (vec![], None);
    if let Some(version) = dag.version {
        tasks = app.store().version_tasks(version).await?;
        // A page without its text is better than none.
        doc = app
            .engine()
            .dag(version)
            .await
            .ok()
            .and_then(|it| it.spec.doc_md.clone());
    }
    page(&DagPage {
        chrome: Chrome::new(&app, &viewer, "dags").await?,
        path: links::dag(&dag.dag_id),
        bars: Bars::new(&dag.dag_id, &last, &clock),
        next_due: dag
            .next_due_at
            .filter(|_| !dag.is_paused && dag.missing_since.is_none())
            .map(|it| clock.long(it)),
        missing: dag.missing_since.map(|it| clock.long(it)),
        doc,
        graph: Graph::new(&tasks),
        tasks,
        runs: rows
            .into_iter()
            .map(|it| RunLine::new(it, &clock))
            .collect(),
        zone: clock.zone_name(),
        older,
        query,
        dag,
    })
}
