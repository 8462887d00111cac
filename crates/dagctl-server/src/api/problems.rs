//! `GET /problems`.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use dagctl_api::problems::Problem;

use super::convert;
use crate::App;
use crate::auth::Viewer;
use crate::error::Answer;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default().route("/api/v1/problems", get(list))
}

/// Everything wrong with the DAG files, errors first.
async fn list(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Problem>>> {
    let rows = app.store().problem_rows().await?;
    Ok(Json(rows.into_iter().map(convert::problem).collect()))
}
