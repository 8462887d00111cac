//! Workers, pools and messages that have not arrived.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use dagctl_api::pools::PoolWrite;
use dagctl_store::views::service::{NoticeState, PoolRow, WorkerRow};

use super::badge::Badge;
use super::chrome::Chrome;
use super::log_text::visible;
use super::moment::{Clock, Moment};
use super::{links, page};
use crate::App;
use crate::api::set_pool;
use crate::auth::{Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/workers", get(list))
        .route("/pools/{name}", post(change_pool))
}

#[derive(Template)]
#[template(path = "workers.html")]
struct WorkersPage {
    chrome: Chrome,
    workers: Vec<WorkerLine>,
    pools: Vec<PoolLine>,
    notices: Vec<NoticeLine>,
}

struct WorkerLine {
    row: WorkerRow,
    badge: Badge,
    started: Moment,
}

struct PoolLine {
    row: PoolRow,
    path: String,
    slots: String,
}

struct NoticeLine {
    run: Option<(String, String)>,
    badge: Badge,
    sends: i16,
    created: Moment,
    error: Option<String>,
}

async fn list(State(app): State<App>, viewer: Viewer) -> Answer<Html<String>> {
    let clock = Clock::utc();
    let workers = app.store().worker_rows().await?;
    let pools = app.store().pool_rows().await?;
    let notices = app.store().undelivered_notices(50).await?;
    page(&WorkersPage {
        chrome: Chrome::new(&app, &viewer, "workers").await?,
        workers: workers
            .into_iter()
            .map(|row| WorkerLine {
                badge: row.state.into(),
                started: clock.short(row.started_at),
                row,
            })
            .collect(),
        pools: pools
            .into_iter()
            .map(|row| PoolLine {
                path: format!("/pools/{}", links::segment(&row.name)),
                slots: row.slots.map(|it| it.to_string()).unwrap_or_default(),
                row,
            })
            .collect(),
        notices: notices
            .into_iter()
            .map(|row| NoticeLine {
                run: row.run.map(|(dag_id, run_id)| {
                    (links::run(&dag_id, &run_id), format!("{dag_id} · {run_id}"))
                }),
                badge: notice_badge(row.state),
                sends: row.sends,
                created: clock.short(row.created_at),
                error: row.last_error.as_deref().map(visible),
            })
            .collect(),
    })
}

fn notice_badge(state: NoticeState) -> Badge {
    match state {
        NoticeState::Pending => Badge {
            name: "queued",
            label: "pending",
        },
        NoticeState::Unknown => Badge {
            name: "up_for_retry",
            label: "delivery unknown",
        },
        NoticeState::GivenUp => Badge {
            name: "failed",
            label: "given up",
        },
    }
}

async fn change_pool(
    State(app): State<App>,
    operator: Operator,
    Path(name): Path<String>,
    form: Form,
) -> Answer<Redirect> {
    let slots = match form.filled("slots").map(|it| it.parse::<i32>()) {
        Some(Ok(slots)) => Some(slots),
        Some(Err(_)) => {
            return Err(Failure::bad_request(
                "slots must be a whole number, or nothing for no limit",
            ));
        }
        None => None,
    };
    let write = PoolWrite {
        slots,
        description: None,
    };
    set_pool(&app, &operator, &name, &write).await?;
    Ok(Redirect::to("/workers"))
}
