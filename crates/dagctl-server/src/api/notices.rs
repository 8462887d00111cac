//! `GET /notices` and `POST /notices/{notice_id}/send`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use dagctl_api::notices::Notice;
use dagctl_store::audit::AuditEntry;
use dagctl_store::views::service::{NoticeRow, NoticeState};

use super::convert;
use crate::App;
use crate::auth::{Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::routes::Routes;

/// Messages that are listed at once.
const MOST: i64 = 500;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/notices", get(list))
        .route("/api/v1/notices/{notice_id}/send", post(send))
}

/// Messages that have not arrived for certain, newest first.
async fn list(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Notice>>> {
    let rows = app.store().undelivered_notices(MOST).await?;
    Ok(Json(rows.into_iter().map(notice).collect()))
}

/// Sends a message again that was given up, or of which nobody knows whether it arrived.
async fn send(
    State(app): State<App>,
    operator: Operator,
    Path(notice_id): Path<i64>,
) -> Answer<Json<Vec<Notice>>> {
    if !app.store().resend_notice(notice_id).await? {
        let message = format!("there is no message {notice_id} that was given up or may be lost");
        return Err(Failure::not_found(message).hint("`dagctl notices list` lists them"));
    }
    app.engine().notices_changed();
    app.store()
        .audit(AuditEntry {
            who: operator.name(),
            action: "notice.send",
            object: &notice_id.to_string(),
            ..AuditEntry::default()
        })
        .await?;
    let rows = app.store().undelivered_notices(MOST).await?;
    Ok(Json(rows.into_iter().map(notice).collect()))
}

fn notice(row: NoticeRow) -> Notice {
    let (dag_id, run_id) = row.run.unzip();
    Notice {
        notice_id: row.notice_id,
        dag_id,
        run_id,
        state: match row.state {
            NoticeState::Pending => "pending",
            NoticeState::Unknown => "unknown",
            NoticeState::GivenUp => "given_up",
        }
        .to_owned(),
        sends: row.sends,
        due_at: convert::time(row.due_at),
        last_error: row.last_error,
        created_at: convert::time(row.created_at),
    }
}
