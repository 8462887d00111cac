//! `GET /health`, `GET /ready`, `GET /version`, `GET /workers`, `GET /pools` and `PUT /pools/{name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use dagctl_api::pools::{Pool, PoolWrite, Worker};
use dagctl_api::service::{Health, Readiness, Version};
use dagctl_core::ids::PoolName;
use dagctl_store::audit::AuditEntry;
use serde_json::json;

use super::{Body, convert};
use crate::App;
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/health", get(health))
        .route("/api/v1/ready", get(ready))
        .route("/api/v1/version", get(version))
        .route("/api/v1/workers", get(workers))
        .route("/api/v1/pools", get(pools))
        .route("/api/v1/pools/{name}", put(change_pool))
}

/// The process is alive; asks nobody else.
async fn health() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
    })
}

/// Whether work can be done.
async fn ready(State(app): State<App>, _: Viewer) -> (StatusCode, Json<Readiness>) {
    match app.store().counts().await {
        Ok(counts) => (
            StatusCode::OK,
            Json(Readiness {
                database: true,
                workers: counts.workers,
            }),
        ),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(Readiness {
                database: false,
                workers: 0,
            }),
        ),
    }
}

/// The version that answers.
async fn version(State(app): State<App>, _: Viewer) -> Json<Version> {
    Json(Version {
        version: app.config().version.clone(),
    })
}

/// Worker processes, the living first.
async fn workers(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Worker>>> {
    let rows = app.store().worker_rows().await?;
    Ok(Json(rows.into_iter().map(convert::worker).collect()))
}

/// Pools by name.
async fn pools(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Pool>>> {
    let rows = app.store().pool_rows().await?;
    Ok(Json(rows.into_iter().map(convert::pool).collect()))
}

/// Sets how many tasks a pool runs at once.
async fn change_pool(
    State(app): State<App>,
    operator: Operator,
    Path(name): Path<String>,
    Body(write): Body<PoolWrite>,
) -> Answer<Json<Vec<Pool>>> {
    set_pool(&app, &operator, &name, &write).await?;
    let rows = app.store().pool_rows().await?;
    Ok(Json(rows.into_iter().map(convert::pool).collect()))
}

/// Sets how many tasks a pool runs at once, and remembers who did.
pub(crate) async fn set_pool(
    app: &App,
    caller: &Caller,
    name: &str,
    write: &PoolWrite,
) -> Answer<()> {
    let name = PoolName::new(name).map_err(|error| Failure::bad_request(error.to_string()))?;
    if write.slots.is_some_and(|it| it < 0) {
        return Err(Failure::bad_request(
            "a pool cannot have fewer than 0 slots",
        ));
    }
    app.store()
        .put_pool(name.as_str(), write.slots, write.description.as_deref())
        .await?;
    app.engine().pools_changed();
    app.store()
        .audit(AuditEntry {
            who: caller.name(),
            action: "pool.set",
            object: name.as_str(),
            detail: json!({"slots": write.slots}),
            ..AuditEntry::default()
        })
        .await?;
    Ok(())
}
