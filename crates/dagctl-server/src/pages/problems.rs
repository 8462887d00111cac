//! What is wrong with the DAG files, as the command line prints it.

use askama::Template;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use dagctl_store::views::service::ProblemRow;

use super::chrome::Chrome;
use super::log_text::visible;
use super::moment::{Clock, Moment};
use super::{filters, links, page};
use crate::App;
use crate::auth::Viewer;
use crate::error::Answer;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default().route("/problems", get(list))
}

#[derive(Template)]
#[template(path = "problems.html")]
struct ProblemsPage {
    chrome: Chrome,
    problems: Vec<ProblemLine>,
    /// Messages that could not be sent.
    undelivered: usize,
}

struct ProblemLine {
    row: ProblemRow,
    dag_path: Option<String>,
    rendered: String,
    since: Moment,
}

async fn list(State(app): State<App>, viewer: Viewer) -> Answer<Html<String>> {
    let clock = Clock::utc();
    let problems = app
        .store()
        .problem_rows()
        .await?
        .into_iter()
        .map(|row| ProblemLine {
            dag_path: row
                .dag_id
                .as_deref()
                .filter(|_| row.has_version)
                .map(links::dag),
            rendered: visible(&row.rendered),
            since: clock.short(row.first_seen_at),
            row,
        })
        .collect();
    let notices = app.store().undelivered_notices(100).await?;
    page(&ProblemsPage {
        undelivered: notices.iter().filter(|it| it.last_error.is_some()).count(),
        chrome: Chrome::new(&app, &viewer, "problems").await?,
        problems,
    })
}
