//! The backfills of a DAG as its page shows them, and the buttons beside them.

use axum::extract::{Path, State};
use axum::response::Redirect;
use axum::routing::post;
use dagctl_store::backfills::{BackfillRow, BackfillState};

use super::links;
use super::moment::{Clock, Moment};
use crate::App;
use crate::auth::Operator;
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::routes::Routes;

/// Backfills on a DAG's page.
const MOST: i64 = 5;

pub(super) fn routes() -> Routes {
    Routes::default().route("/dags/{dag_id}/backfills/{backfill_id}", post(change))
}

/// A backfill as one line.
pub(super) struct BackfillLine {
    pub(super) number: i32,
    pub(super) state: &'static str,
    pub(super) from: Moment,
    pub(super) to: Moment,
    pub(super) by: String,
    /// How many dates stand where, in words.
    pub(super) progress: String,
    /// Dates that were dealt with, of all, in percent.
    pub(super) share: i64,
    pub(super) is_running: bool,
    pub(super) is_paused: bool,
}

impl BackfillLine {
    fn new(row: BackfillRow, clock: &Clock) -> Self {
        let [queued, running, success, failed] = row.runs;
        let parts = [
            (success, "success"),
            (failed, "failed"),
            (running, "running"),
            (queued, "queued"),
            (row.waiting, "waiting"),
            (row.skipped, "left as they were"),
        ];
        let told: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let done = success + failed + row.skipped;
        let all = done + queued + running + row.waiting;
        Self {
            number: row.backfill_id,
            state: row.state.name(),
            from: clock.bare(row.from),
            to: clock.bare(row.to),
            by: row.created_by,
            progress: told.join(", "),
            share: done * 100 / all.max(1),
            is_running: row.state == BackfillState::Running,
            is_paused: row.state == BackfillState::Paused,
        }
    }
}

/// The newest backfills of a DAG.
pub(super) async fn lines(app: &App, dag_id: &str, clock: &Clock) -> Answer<Vec<BackfillLine>> {
    let rows = app.store().backfills(Some(dag_id), None, MOST).await?;
    let rows = rows.into_iter();
    Ok(rows.map(|it| BackfillLine::new(it, clock)).collect())
}

/// Pauses, resumes or cancels a backfill.
async fn change(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, backfill_id)): Path<(String, i32)>,
    form: Form,
) -> Answer<Redirect> {
    let state = match form.text("do") {
        "pause" => BackfillState::Paused,
        "unpause" => BackfillState::Running,
        "cancel" => BackfillState::Cancelled,
        other => {
            return Err(Failure::bad_request(format!(
                "`{other}` cannot be done to a backfill: it may be pause, unpause or cancel"
            )));
        }
    };
    app.engine()
        .set_backfill(backfill_id, state, operator.name())
        .await?;
    Ok(Redirect::to(&links::dag(&dag_id)))
}
