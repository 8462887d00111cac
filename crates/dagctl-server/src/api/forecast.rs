//! `GET /dags/{dag_id}/next` and `GET /simulate`.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use dagctl_api::forecast::{NextQuery, NextRuns, SimulateQuery, Simulation};
use dagctl_core::state::RunState;
use dagctl_core::timetable::Watermark;
use dagctl_engine::scheduler;
use dagctl_store::dags::KnownDag;
use dagctl_store::views::assets::EventsOf;
use dagctl_store::views::runs::RunBar;

use super::{Ask, assets, dags};
use crate::App;
use crate::auth::Viewer;
use crate::error::{Answer, Failure};
use crate::forecast::{self, Shown, Stretch};
use crate::routes::Routes;

/// Runs of which a DAG's usual duration is told.
const RUNS: i64 = 14;
/// News of one DAG that are shown.
const NEWS: i64 = 50;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/dags/{dag_id}/next", get(next))
        .route("/api/v1/simulate", get(simulate))
}

/// The coming runs of a DAG.
async fn next(
    State(app): State<App>,
    _: Viewer,
    Path(dag_id): Path<String>,
    Ask(query): Ask<NextQuery>,
) -> Answer<Json<NextRuns>> {
    let row = dags::find(&app, &dag_id).await?;
    let known = app.store().known_dags(Some(&[row.dag_key])).await?;
    let (Some(known), Some(version)) = (known.into_iter().next(), row.version) else {
        return Err(
            Failure::not_found(format!("DAG `{dag_id}` has no version that can run"))
                .hint("`dagctl problems` says why"),
        );
    };
    let dag = app.engine().dag(version).await.map_err(Failure::internal)?;
    let now = app.store().now().await?;
    let state = scheduler::watermark(&known, now);
    let count = query.count.unwrap_or(5).min(500);
    let news = app
        .store()
        .asset_events(&EventsOf::Pending(row.dag_key), NEWS)
        .await?;
    Ok(Json(NextRuns {
        is_paused: known.is_paused,
        news: news.into_iter().map(assets::event).collect(),
        ..forecast::next_runs(&dag, &state, now, count)
    }))
}

/// The runs of many DAGs on a virtual clock.
async fn simulate(
    State(app): State<App>,
    _: Viewer,
    Ask(query): Ask<SimulateQuery>,
) -> Answer<Json<Simulation>> {
    let now = app.store().now().await?;
    let stretch = Stretch::read(query.from.as_deref(), query.to.as_deref(), now)
        .map_err(Failure::bad_request)?;
    let asked: HashSet<&str> = query.dags.iter().flat_map(|it| it.split(',')).collect();
    let known = app.store().known_dags(None).await?;
    if let Some(missing) = asked
        .iter()
        .find(|it| !known.iter().any(|known| known.dag_id.as_str() == **it))
    {
        return Err(Failure::unknown_dag(missing));
    }
    let keys: Vec<_> = known.iter().map(|it| it.dag_key).collect();
    let mut last = app.store().last_runs(&keys, RUNS).await?;
    let mut shown = vec![];
    for it in known.iter().filter(|it| !it.is_missing) {
        let Some(version) = it.active_version_id else {
            continue;
        };
        let dag = app.engine().dag(version).await.map_err(Failure::internal)?;
        let duration = usual_duration(&last.remove(&it.dag_key).unwrap_or_default());
        // Another start is another world: what was owed before is no matter there.
        let state = match query.from {
            Some(_) => Watermark::Standing(stretch.from),
            None => scheduler::watermark(it, now),
        };
        let is_asked = asked.is_empty() || asked.contains(it.dag_id.as_str());
        shown.push(Shown {
            simulated: (!it.is_paused).then(|| forecast::simulated(&dag, state, duration)),
            listed: is_asked.then(|| dagctl_api::forecast::SimulatedDag {
                left_out: left_out(it),
                ..forecast::listed(&dag, duration)
            }),
        });
    }
    Ok(Json(forecast::simulation(shown, stretch)))
}

fn left_out(known: &KnownDag) -> Option<String> {
    known.is_paused.then(|| "its schedule is paused".to_owned())
}

/// The middle one of the durations of the runs that succeeded.
fn usual_duration(runs: &[RunBar]) -> Option<Duration> {
    let succeeded = runs.iter().filter(|it| it.state == RunState::Success);
    let mut durations: Vec<Duration> = succeeded
        .filter_map(|it| {
            let duration = it.finished_at?.duration_since(it.started_at?);
            Duration::try_from(duration).ok()
        })
        .collect();
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied()
}
