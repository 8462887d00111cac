//! A DAG: its runs, its tasks and what it is for.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Html;
use axum::routing::get;
use dagctl_core::ids::{DagKey, DagRunId};
use dagctl_core::schedule::Schedule;
use dagctl_core::state::RunState;
use dagctl_store::views::assets::EventsOf;
use dagctl_store::views::dags::{DagRow, DagTaskRow};
use dagctl_store::views::runs::{RunBar, RunFilter, RunKind, RunRow};
use serde::Deserialize;

use super::backfills::{self, BackfillLine};
use super::badge::Badge;
use super::chrome::Chrome;
use super::dags::Bars;
use super::graph::Graph;
use super::moment::{Clock, Moment};
use super::news::{self, NewsLine};
use super::{filters, links, page};
use crate::App;
use crate::auth::Viewer;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

/// Runs on one page.
const PAGE: usize = 25;
/// Runs as bars.
const BARS: usize = 14;
/// Tasks on one page. Ten thousand rows take a browser seconds, and nobody reads them.
const MOST_TASKS: i64 = 500;

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
    /// What it has not run for, if it runs on news of tables.
    news: Option<Vec<NewsLine>>,
    doc: Option<String>,
    why: String,
    graph: Option<Graph>,
    tasks: Vec<DagTaskRow>,
    runs: Vec<RunLine>,
    backfills: Vec<BackfillLine>,
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
        RunKind::AssetTriggered => "news of tables",
    }
}

async fn last_runs(app: &App, dag: DagKey) -> Answer<Vec<RunBar>> {
    let count = i64::try_from(BARS).unwrap_or(i64::MAX);
    let mut last = app.store().last_runs(&[dag], count).await?;
    Ok(last.remove(&dag).unwrap_or_default())
}

/// What a page says of a DAG's text.
#[derive(Default)]
struct Definition {
    /// The first tasks.
    tasks: Vec<DagTaskRow>,
    /// What its author says about it.
    doc: Option<String>,
    /// Whether it runs on news of tables.
    awaits_news: bool,
}

async fn definition(app: &App, dag: &DagRow) -> Answer<Definition> {
    let Some(version) = dag.version else {
        return Ok(Definition::default());
    };
    let tasks = app.store().version_tasks(version, MOST_TASKS).await?;
    // A page without its text is better than none.
    let text = app.engine().dag(version).await.ok();
    let spec = text.as_ref().map(|it| &it.spec);
    Ok(Definition {
        tasks,
        doc: spec.and_then(|it| it.doc_md.clone()),
        awaits_news: spec.is_some_and(|it| matches!(it.schedule, Schedule::Assets(_))),
    })
}

async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(dag_id): Path<String>,
    Query(query): Query<RunsQuery>,
) -> Answer<Html<String>> {
    // What does not take the DAG is asked beside it.
    let (dag, chrome) = tokio::try_join!(
        async { Ok::<_, Failure>(app.store().dag_row(&dag_id).await?) },
        Chrome::new(&app, &viewer, "dags")
    )?;
    let dag = dag.ok_or_else(|| Failure::unknown_dag(&dag_id))?;
    let clock = Clock::new(&dag.timezone);
    let filter = RunFilter {
        dag_key: dag.dag_key,
        state: RunState::from_name(&query.state),
        before: query.before.parse().ok().map(DagRunId),
        limit: i64::try_from(PAGE).unwrap_or(i64::MAX) + 1,
    };
    let (mut rows, definition, why, backfills) = tokio::try_join!(
        async { Ok::<_, Failure>(app.store().run_rows(&filter).await?) },
        definition(&app, &dag),
        crate::explain::dag(&app, &dag),
        backfills::lines(&app, &dag.dag_id, &clock)
    )?;
    let news = match definition.awaits_news {
        true => Some(news::news(&app, &EventsOf::Pending(dag.dag_key), &clock).await?),
        false => None,
    };
    let has_more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let older = rows
        .last()
        .filter(|_| has_more)
        .map(|it| it.dag_run_id.to_string());
    let last = match query.state.is_empty() && query.before.is_empty() {
        true => rows.iter().take(BARS).map(RunRow::bar).collect(),
        false => last_runs(&app, dag.dag_key).await?,
    };
    page(&DagPage {
        chrome,
        path: links::dag(&dag.dag_id),
        bars: Bars::new(&dag.dag_id, last, &clock),
        next_due: dag
            .next_due_at
            .filter(|_| !dag.is_paused && dag.missing_since.is_none())
            .map(|it| clock.long(it)),
        missing: dag.missing_since.map(|it| clock.long(it)),
        news,
        doc: definition.doc,
        why: why.sentence,
        graph: Graph::new(&definition.tasks),
        tasks: definition.tasks,
        runs: rows
            .into_iter()
            .map(|it| RunLine::new(it, &clock))
            .collect(),
        backfills,
        zone: clock.zone_name(),
        older,
        query,
        dag,
    })
}
