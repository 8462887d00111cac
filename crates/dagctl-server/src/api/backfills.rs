//! `GET` and `POST /backfills`, `GET /backfills/{id}`, `POST /backfills/{id}/pause`, `…/unpause` and `…/cancel`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use dagctl_api::backfills::{
    Backfill, BackfillChanged, BackfillDetail, BackfillPlan, BackfillRequest, BackfilledDate,
    DateAction, PlannedDate, Progress,
};
use dagctl_core::backfill::Action;
use dagctl_store::backfills::{BackfillRow, BackfillState};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Ask, Body, convert, dag_id, dags};
use crate::App;
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::routes::Routes;

/// Runs of a backfill under way at once where nobody says; as in Airflow.
const MAX_ACTIVE_RUNS: i32 = 10;

/// Backfills in one list.
const MOST: i64 = 100;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/backfills", get(list).post(create))
        .route("/api/v1/backfills/{backfill_id}", get(show))
        .route("/api/v1/backfills/{backfill_id}/pause", post(pause))
        .route("/api/v1/backfills/{backfill_id}/unpause", post(unpause))
        .route("/api/v1/backfills/{backfill_id}/cancel", post(cancel))
}

#[derive(Debug, Deserialize)]
struct Which {
    dag_id: Option<String>,
}

/// Backfills, newest first.
async fn list(
    State(app): State<App>,
    _: Viewer,
    Ask(which): Ask<Which>,
) -> Answer<Json<Vec<Backfill>>> {
    if let Some(dag_id) = &which.dag_id {
        dags::find(&app, dag_id).await?;
    }
    let rows = app
        .store()
        .backfills(which.dag_id.as_deref(), None, MOST)
        .await?;
    Ok(Json(rows.into_iter().map(backfill).collect()))
}

/// A backfill and its dates.
async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(backfill_id): Path<i32>,
) -> Answer<Json<BackfillDetail>> {
    let row = find(&app, backfill_id).await?;
    let dates = app.store().backfill_dates(backfill_id).await?;
    Ok(Json(BackfillDetail {
        backfill: backfill(row),
        dates: dates
            .into_iter()
            .map(|it| BackfilledDate {
                logical_date: convert::time(it.interval.start),
                data_interval_end: convert::time(it.interval.end),
                run_id: it.run_id,
                state: it.state.map(convert::run_state),
                skipped: it.is_skipped,
            })
            .collect(),
    }))
}

/// Makes a backfill, or says what it would do.
async fn create(
    State(app): State<App>,
    operator: Operator,
    Body(body): Body<BackfillRequest>,
) -> Answer<Json<BackfillPlan>> {
    let plan = match &body.token {
        Some(token) => app.engine().planned_backfill(token).await?,
        None => {
            let request = request(&app, &body).await?;
            app.engine().plan_backfill(request).await?
        }
    };
    let answer = BackfillPlan {
        dag_id: plan.request.dag_id.to_string(),
        dates: plan
            .steps
            .iter()
            .map(|it| {
                let (action, existing) = match &it.action {
                    Action::Create => (DateAction::Create, None),
                    Action::Again(run) => (DateAction::Again, Some(run)),
                    Action::Skip(run) => (DateAction::Skip, Some(run)),
                };
                PlannedDate {
                    logical_date: convert::time(it.interval.start),
                    data_interval_end: convert::time(it.interval.end),
                    action,
                    run_id: existing.map(|it| it.run_id.clone()),
                    state: existing.map(|it| convert::run_state(it.state)),
                }
            })
            .collect(),
        token: plan.token.clone(),
        backfill: None,
    };
    if body.dry_run {
        return Ok(Json(answer));
    }
    let made = app.engine().create_backfill(plan, operator.name()).await?;
    let made = find(&app, made).await?;
    Ok(Json(BackfillPlan {
        backfill: Some(backfill(made)),
        ..answer
    }))
}

async fn pause(
    app: State<App>,
    operator: Operator,
    backfill_id: Path<i32>,
) -> Answer<Json<BackfillChanged>> {
    change(&app, &operator, *backfill_id, BackfillState::Paused).await
}

async fn unpause(
    app: State<App>,
    operator: Operator,
    backfill_id: Path<i32>,
) -> Answer<Json<BackfillChanged>> {
    change(&app, &operator, *backfill_id, BackfillState::Running).await
}

async fn cancel(
    app: State<App>,
    operator: Operator,
    backfill_id: Path<i32>,
) -> Answer<Json<BackfillChanged>> {
    change(&app, &operator, *backfill_id, BackfillState::Cancelled).await
}

async fn change(
    app: &App,
    caller: &Caller,
    backfill_id: i32,
    state: BackfillState,
) -> Answer<Json<BackfillChanged>> {
    let changed = app
        .engine()
        .set_backfill(backfill_id, state, caller.name())
        .await?;
    Ok(Json(BackfillChanged {
        changed,
        backfill: backfill(find(app, backfill_id).await?),
    }))
}

async fn find(app: &App, backfill_id: i32) -> Answer<BackfillRow> {
    let found = app.store().backfills(None, Some(backfill_id), 1).await?;
    found.into_iter().next().ok_or_else(|| {
        Failure::not_found(format!("there is no backfill {backfill_id}"))
            .hint("`dagctl backfill list` lists them all")
    })
}

async fn request(
    app: &App,
    body: &BackfillRequest,
) -> Answer<dagctl_engine::backfill::BackfillRequest> {
    let needed = |value: &Option<String>, name: &str| {
        value.clone().ok_or_else(|| {
            Failure::bad_request(format!(
                "`{name}` is missing: a backfill needs `dag_id`, `from_date` and `to_date`, or a `token`"
            ))
        })
    };
    let name = needed(&body.dag_id, "dag_id")?;
    let row = dags::find(app, &name).await?;
    let zone = TimeZone::get(&row.timezone).unwrap_or(TimeZone::UTC);
    let from = needed(&body.from_date, "from_date")?;
    let to = needed(&body.to_date, "to_date")?;
    Ok(dagctl_engine::backfill::BackfillRequest {
        dag_id: dag_id(&name)?,
        from: moment(&zone, &from, "from_date").map(|(at, _)| at)?,
        to: moment(&zone, &to, "to_date").map(|(_, last)| last)?,
        reprocess: body.reprocess.clone().unwrap_or_else(|| "none".to_owned()),
        max_active_runs: body.max_active_runs.unwrap_or(MAX_ACTIVE_RUNS),
        is_reversed: body.reverse,
    })
}

/// A moment with its offset, or in the DAG's zone without one; of a day alone its first and last moment.
fn moment(zone: &TimeZone, text: &str, field: &str) -> Answer<(Timestamp, Timestamp)> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok((at, at));
    }
    let at = |it: DateTime| zone.to_timestamp(it).ok();
    let found = if text.contains(['T', ':']) {
        let at = text.parse::<DateTime>().ok().and_then(at);
        at.map(|it| (it, it))
    } else {
        text.parse::<Date>().ok().and_then(|day| {
            let next = at(day
                .tomorrow()
                .ok()?
                .to_datetime(jiff::civil::Time::midnight()))?;
            let last = next.checked_sub(SignedDuration::from_nanos(1)).ok()?;
            Some((at(day.to_datetime(jiff::civil::Time::midnight()))?, last))
        })
    };
    found.ok_or_else(|| {
        Failure::bad_request(format!(
            "`{field}`: `{text}` is not a moment; write `2026-01-31`, `2026-01-31T08:00` or `2026-01-31T08:00:00Z`"
        ))
    })
}

fn backfill(row: BackfillRow) -> Backfill {
    let [queued, running, success, failed] = row.runs;
    Backfill {
        backfill_id: row.backfill_id,
        dag_id: row.dag_id,
        from_date: convert::time(row.from),
        to_date: convert::time(row.to),
        reprocess: row.reprocess.name().to_owned(),
        reverse: row.is_reversed,
        max_active_runs: row.max_active_runs,
        state: row.state.name().to_owned(),
        created_by: row.created_by,
        created_at: convert::time(row.created_at),
        ended_at: row.ended_at.map(convert::time),
        progress: Progress {
            waiting: row.waiting,
            skipped: row.skipped,
            queued,
            running,
            success,
            failed,
        },
    }
}
