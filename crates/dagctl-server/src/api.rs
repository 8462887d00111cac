//! REST under `/api/v1`, one resource a file.

mod again;
mod approvals;
mod assets;
mod backfills;
mod convert;
mod dags;
mod events;
mod explain;
mod forecast;
mod notices;
mod problems;
mod runs;
mod service;
mod settings;
mod tasks;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use dagctl_core::ids::DagId;
use dagctl_store::views::runs::RunRow;
use serde::de::DeserializeOwned;

use crate::App;
use crate::error::{Answer, Failure};
use crate::pages::links;
use crate::routes::Routes;

pub(crate) use again::{How, go_again};
pub(crate) use approvals::{MOST_QUESTIONS, give_answer};
pub(crate) use dags::set_paused;
pub(crate) use runs::{make_run, stop_run};
pub(crate) use service::set_pool;
pub(crate) use settings::{remove_connection, remove_variable, save_connection, save_variable};
pub(crate) use tasks::{MOST_LINES, find_task, instance_key, shown_attempt};

pub(crate) fn routes() -> Routes {
    Routes::default()
        .merge(dags::routes())
        .merge(runs::routes())
        .merge(again::routes())
        .merge(backfills::routes())
        .merge(tasks::routes())
        .merge(explain::routes())
        .merge(notices::routes())
        .merge(approvals::routes())
        .merge(problems::routes())
        .merge(assets::routes())
        .merge(forecast::routes())
        .merge(settings::routes())
        .merge(service::routes())
}

/// A JSON body; what is wrong with it is told.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, app).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(error) => Err(Failure::unreadable(error.status(), error.body_text())),
        }
    }
}

/// A query; what is wrong with it is told.
pub(crate) struct Ask<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Ask<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(Failure::bad_request(error.body_text())),
        }
    }
}

/// How many rows a list answers with.
pub(crate) fn limit(asked: Option<u32>) -> i64 {
    i64::from(asked.unwrap_or(50).clamp(1, 500))
}

/// Rows, and where the next ones begin: one row more than asked for was read to know whether there are any.
pub(crate) fn page<R, T>(
    mut rows: Vec<R>,
    limit: i64,
    key: impl Fn(&R) -> String,
    convert: impl Fn(R) -> T,
) -> dagctl_api::Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    dagctl_api::Page {
        next: rows.last().filter(|_| has_more).map(&key),
        items: rows.into_iter().map(convert).collect(),
    }
}

pub(crate) fn dag_id(text: &str) -> Answer<DagId> {
    DagId::new(text).map_err(|_| Failure::unknown_dag(text))
}

/// The run that a path names; says whether the DAG or the run is unknown.
pub(crate) async fn find_run(app: &App, dag_id: &str, run_id: &str) -> Answer<RunRow> {
    if let Some(run) = app.store().run_called(dag_id, run_id).await? {
        return Ok(run);
    }
    Err(match app.store().dag_row(dag_id).await? {
        Some(_) if run_id == "latest" => {
            Failure::not_found(format!("DAG `{dag_id}` has not run yet"))
                .hint(format!("`dagctl trigger {dag_id}` runs it"))
                .way(links::dag(dag_id), "The DAG")
        }
        Some(_) => Failure::unknown_run(dag_id, run_id),
        None => Failure::unknown_dag(dag_id),
    })
}
