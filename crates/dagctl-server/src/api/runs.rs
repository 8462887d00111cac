//! `GET` and `POST /dags/{dag_id}/runs`, `GET /dags/{dag_id}/runs/{run_id}`, `POST …/cancel`, `GET …/events`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use dagctl_api::runs::{Cancelled, Run, TriggerRequest, Triggered};
use dagctl_api::{IDEMPOTENCY_KEY, Page, PageQuery};
use dagctl_core::ids::DagRunId;
use dagctl_store::audit::AuditEntry;
use dagctl_store::views::runs::{RunFilter, RunRow};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::json;

use super::events::RunEvents;
use super::{Ask, Body, convert, dag_id, dags, find_run, limit};
use crate::App;
use crate::auth::{Caller, Operator, Viewer};
use crate::clock::now;
use crate::error::{Answer, Failure};
use crate::live;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/dags/{dag_id}/runs", get(list).post(trigger))
        .route("/api/v1/dags/{dag_id}/runs/{run_id}", get(show))
        .route("/api/v1/dags/{dag_id}/runs/{run_id}/cancel", post(cancel))
        .route("/api/v1/dags/{dag_id}/runs/{run_id}/events", get(events))
}

/// The runs of a DAG, newest first.
async fn list(
    State(app): State<App>,
    _: Viewer,
    Path(dag_id): Path<String>,
    Ask(query): Ask<PageQuery>,
) -> Answer<Json<Page<Run>>> {
    let dag = app.store().shown_dag(&dag_id).await?;
    let dag_key = dag.ok_or_else(|| Failure::unknown_dag(&dag_id))?;
    let limit = limit(query.limit);
    let before = match query.after.as_deref().map(str::parse) {
        Some(Ok(key)) => Some(DagRunId(key)),
        Some(Err(_)) => {
            return Err(Failure::bad_request(
                "`after` must be the `next` of the page before",
            ));
        }
        None => None,
    };
    let rows = app
        .store()
        .run_rows(&RunFilter {
            dag_key,
            state: None,
            before,
            limit: limit + 1,
        })
        .await?;
    let now = now();
    Ok(Json(super::page(
        rows,
        limit,
        |it| it.dag_run_id.to_string(),
        |it| convert::run(it, now),
    )))
}

/// A run.
async fn show(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Answer<Json<Run>> {
    let row = find_run(&app, &dag_id, &run_id).await?;
    Ok(Json(convert::run(row, now())))
}

/// Makes a run.
async fn trigger(
    State(app): State<App>,
    operator: Operator,
    Path(dag): Path<String>,
    headers: HeaderMap,
    Body(body): Body<TriggerRequest>,
) -> Answer<(StatusCode, Json<Triggered>)> {
    let key = match headers.get(IDEMPOTENCY_KEY).map(|it| it.to_str()) {
        Some(Ok(key)) if (1..=250).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => {
            return Err(Failure::bad_request(
                "Idempotency-Key must be 1 to 250 visible characters",
            ));
        }
        None => None,
    };
    let (row, created) = make_run(&app, &operator, &dag, body, key).await?;
    let status = match created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let run = convert::run(row, now());
    Ok((status, Json(Triggered { run, created })))
}

/// Makes a run. Whether it is a new one.
pub(crate) async fn make_run(
    app: &App,
    caller: &Caller,
    dag: &str,
    body: TriggerRequest,
    idempotency_key: Option<String>,
) -> Answer<(RunRow, bool)> {
    let dag_id = dag_id(dag)?;
    let logical_date = match &body.logical_date {
        Some(text) => Some(moment(app, dag, text).await?),
        None => None,
    };
    let triggered = app
        .engine()
        .trigger(dagctl_engine::TriggerRequest {
            dag_id,
            params: body.params,
            logical_date,
            run_id: body.run_id,
            note: body.note,
            idempotency_key,
            principal: caller.name().to_owned(),
        })
        .await?;
    Ok((triggered.row, triggered.created))
}

/// A moment with its offset, or in the DAG's zone without one.
async fn moment(app: &App, dag_id: &str, text: &str) -> Answer<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let row = dags::find(app, dag_id).await?;
    let zone = TimeZone::get(&row.timezone).unwrap_or(TimeZone::UTC);
    text.parse::<DateTime>()
        .ok()
        .and_then(|it| zone.to_timestamp(it).ok())
        .ok_or_else(|| {
            Failure::bad_request(format!(
                "`{text}` is not a moment; write `2026-01-31`, `2026-01-31T08:00` or `2026-01-31T08:00:00Z`"
            ))
        })
}

/// Asks for a run to stop. Attempts under way end at their worker's next heartbeat.
async fn cancel(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Answer<(StatusCode, Json<Cancelled>)> {
    let requested = stop_run(&app, &operator, &dag_id, &run_id).await?;
    Ok((StatusCode::ACCEPTED, Json(Cancelled { requested })))
}

/// Asks for a run to stop, and remembers who did. Whether that was news.
pub(crate) async fn stop_run(
    app: &App,
    caller: &Caller,
    dag_id: &str,
    run_id: &str,
) -> Answer<bool> {
    let row = find_run(app, dag_id, run_id).await?;
    let requested = app
        .engine()
        .request_cancel(row.dag_run_id, caller.name())
        .await?;
    if requested {
        app.store()
            .audit(AuditEntry {
                who: caller.name(),
                action: "run.cancel",
                object: dag_id,
                detail: json!({"run_id": row.run_id}),
                ..AuditEntry::default()
            })
            .await?;
    }
    Ok(requested)
}

/// Follows a run.
async fn events(
    State(app): State<App>,
    viewer: Viewer,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Answer<Response> {
    let row = find_run(&app, &dag_id, &run_id).await?;
    live::stream(&app, &viewer, RunEvents::new(app.clone(), row.dag_run_id)).await
}
