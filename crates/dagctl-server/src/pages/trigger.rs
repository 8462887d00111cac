//! The form that makes a run, with a field for each parameter.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use dagctl_api::runs::TriggerRequest;
use dagctl_core::dag::Dag;
use dagctl_store::views::dags::DagRow;

use super::chrome::Chrome;
use super::param_form::{self, Input, ParamField};
use super::{filters, links, page};
use crate::App;
use crate::auth::{self, Caller, Operator};
use crate::error::{Answer, Failure};
use crate::form::{Fields, Form};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default().route("/dags/{dag_id}/trigger", get(form).post(trigger))
}

#[derive(Template)]
#[template(path = "trigger.html")]
struct TriggerPage {
    chrome: Chrome,
    dag: DagRow,
    path: String,
    params: Vec<ParamField>,
    logical_date: String,
    note: String,
    key: String,
    error: Option<String>,
}

async fn find(app: &App, dag_id: &str) -> Answer<(DagRow, Arc<Dag>)> {
    let row = app
        .store()
        .dag_row(dag_id)
        .await?
        .ok_or_else(|| Failure::unknown_dag(dag_id))?;
    let version = row.version.ok_or_else(|| {
        Failure::new(
            StatusCode::CONFLICT,
            "conflict",
            format!("DAG `{dag_id}` has no version that can run"),
        )
        .way("/problems", "Problems")
    })?;
    let dag = app.engine().dag(version).await.map_err(Failure::internal)?;
    Ok((row, dag))
}

async fn filled(
    app: &App,
    caller: &Caller,
    (dag, definition): (DagRow, &Dag),
    typed: Option<&Fields>,
    error: Option<String>,
) -> Answer<Html<String>> {
    let typed_text = |name| typed.map(|it| it.text(name).to_owned()).unwrap_or_default();
    page(&TriggerPage {
        chrome: Chrome::new(app, caller, "dags").await?,
        path: links::dag(&dag.dag_id),
        params: definition
            .spec
            .params
            .iter()
            .map(|it| ParamField::new(it, typed))
            .collect(),
        logical_date: typed_text("logical_date"),
        note: typed_text("note"),
        // The same form sent twice makes one run.
        key: auth::random_secret(),
        error,
        dag,
    })
}

async fn form(
    State(app): State<App>,
    operator: Operator,
    Path(dag_id): Path<String>,
) -> Answer<Html<String>> {
    let (row, dag) = find(&app, &dag_id).await?;
    filled(&app, &operator, (row, &dag), None, None).await
}

async fn trigger(
    State(app): State<App>,
    operator: Operator,
    Path(dag_id): Path<String>,
    form: Form,
) -> Answer<Response> {
    let (row, dag) = find(&app, &dag_id).await?;
    let body = TriggerRequest {
        params: param_form::values(&dag.spec.params, &form),
        logical_date: form.filled("logical_date"),
        run_id: None,
        note: form.filled("note"),
    };
    match crate::api::make_run(&app, &operator, &dag_id, body, form.filled("key")).await {
        Ok((run, _)) => Ok(Redirect::to(&links::run(&run.dag_id, &run.run_id)).into_response()),
        Err(failure) if failure.status == StatusCode::BAD_REQUEST => {
            let html = filled(
                &app,
                &operator,
                (row, &dag),
                Some(&form),
                Some(failure.message),
            )
            .await?;
            Ok((StatusCode::BAD_REQUEST, html).into_response())
        }
        Err(failure) => Err(failure),
    }
}
