//! `GET /assets`, `GET /assets/{name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use dagctl_api::assets::{Asset, AssetDetail, AssetEvent};
use dagctl_api::{Page, PageQuery};
use dagctl_core::nearest::nearest;
use dagctl_store::views::assets::{AssetEventRow, AssetRow, EventsOf};

use super::{Ask, convert, limit};
use crate::App;
use crate::auth::Viewer;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

/// Events of one table that are shown.
const EVENTS: i64 = 50;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/assets", get(list))
        .route("/api/v1/assets/{name}", get(show))
}

/// Tables by name.
async fn list(
    State(app): State<App>,
    _: Viewer,
    Ask(query): Ask<PageQuery>,
) -> Answer<Json<Page<Asset>>> {
    let limit = limit(query.limit);
    let rows = app
        .store()
        .asset_rows(query.after.as_deref(), limit + 1)
        .await?;
    Ok(Json(super::page(rows, limit, |it| it.name.clone(), asset)))
}

/// A table with its newest events.
async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(name): Path<String>,
) -> Answer<Json<AssetDetail>> {
    let Some(row) = app.store().asset_row(&name).await? else {
        let all = app.store().asset_rows(None, 500).await?;
        let near = nearest(&name, all.iter().map(|it| it.name.as_str()));
        let failure = Failure::not_found(format!("no DAG writes or waits for a table `{name}`"));
        return Err(match near {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`dagctl assets list` shows those there are"),
        });
    };
    let events = app
        .store()
        .asset_events(&EventsOf::Asset(&name), EVENTS)
        .await?;
    Ok(Json(AssetDetail {
        asset: asset(row),
        events: events.into_iter().map(event).collect(),
    }))
}

fn asset(row: AssetRow) -> Asset {
    Asset {
        name: row.name,
        conn_ids: row.conn_ids,
        writers: row.writers,
        readers: row.readers,
        schedules: row.schedules,
        last_event_at: row.last_event_at.map(convert::time),
    }
}

pub(super) fn event(row: AssetEventRow) -> AssetEvent {
    AssetEvent {
        asset: row.name,
        conn_id: row.conn_id,
        dag_id: row.dag_id,
        run_id: row.run_id,
        task_id: row.task_id,
        at: convert::time(row.created_at),
        runs: row.runs,
    }
}
