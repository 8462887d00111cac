//! The text of a DAG and of what it pulls in, as dagctl runs it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use axum::routing::get;
use dagctl_store::views::dags::VersionRow;

use super::chrome::Chrome;
use super::moment::{Clock, Moment};
use super::{links, page};
use crate::App;
use crate::auth::Viewer;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default().route("/dags/{dag_id}/definition", get(show))
}

#[derive(Template)]
#[template(path = "definition.html")]
struct DefinitionPage {
    chrome: Chrome,
    dag_id: String,
    path: String,
    version: VersionRow,
    hash: String,
    since: Moment,
}

async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path(dag_id): Path<String>,
) -> Answer<Html<String>> {
    let dag = app
        .store()
        .dag_row(&dag_id)
        .await?
        .ok_or_else(|| Failure::unknown_dag(&dag_id))?;
    let missing = || {
        Failure::not_found(format!("DAG `{dag_id}` has no version that can run"))
            .way("/problems", "Problems")
    };
    let version = dag.version.ok_or_else(missing)?;
    let version = app
        .store()
        .version_source(version)
        .await?
        .ok_or_else(missing)?;
    page(&DefinitionPage {
        chrome: Chrome::new(&app, &viewer, "dags").await?,
        path: links::dag(&dag.dag_id),
        since: Clock::new(&dag.timezone).long(version.created_at),
        dag_id: dag.dag_id,
        hash: version.hash.chars().take(12).collect(),
        version,
    })
}
