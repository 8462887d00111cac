//! `POST …/runs/{run_id}/retry`, `POST …/runs/{run_id}/clear` and `POST …/tasks/{task_id}/mark`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::post;
use dagctl_api::again::{Again, ClearRequest, Difference, MarkRequest, MarkedState, RetryRequest};
use dagctl_core::again::Reach;
use dagctl_core::state::Verdict;
use dagctl_engine::again::{AgainRequest, What};

use super::{Body, convert, find_run};
use crate::App;
use crate::auth::{Caller, Operator};
use crate::error::{Answer, Failure};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/dags/{dag_id}/runs/{run_id}/retry", post(retry))
        .route("/api/v1/dags/{dag_id}/runs/{run_id}/clear", post(clear))
        .route(
            "/api/v1/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/mark",
            post(mark),
        )
}

/// Runs what failed or was stopped again, and everything downstream of it.
async fn retry(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id)): Path<(String, String)>,
    Body(body): Body<RetryRequest>,
) -> Answer<Json<Again>> {
    let which = (dag_id.as_str(), run_id.as_str());
    let how = How {
        latest: body.latest,
        dry_run: body.dry_run,
    };
    let done = go_again(&app, &operator, which, What::Retry, how).await?;
    Ok(Json(done))
}

/// Runs tasks again.
async fn clear(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id)): Path<(String, String)>,
    Body(body): Body<ClearRequest>,
) -> Answer<Json<Again>> {
    if body.tasks.is_empty() {
        return Err(Failure::bad_request(
            "`tasks` names none: which tasks should run again?",
        ));
    }
    let what = What::Clear {
        tasks: body.tasks,
        reach: Reach {
            upstream: body.upstream,
            downstream: body.downstream,
            only_failed: body.only_failed,
        },
    };
    let which = (dag_id.as_str(), run_id.as_str());
    let how = How {
        latest: body.latest,
        dry_run: body.dry_run,
    };
    let done = go_again(&app, &operator, which, what, how).await?;
    Ok(Json(done))
}

/// Says how a task counts.
async fn mark(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id, task)): Path<(String, String, String)>,
    Body(body): Body<MarkRequest>,
) -> Answer<Json<Again>> {
    let verdict = match body.state {
        MarkedState::Success => Verdict::Success,
        MarkedState::Failed => Verdict::Failed,
        MarkedState::Skipped => Verdict::Skipped,
    };
    let what = What::Mark { task, verdict };
    let which = (dag_id.as_str(), run_id.as_str());
    let how = How {
        latest: false,
        dry_run: body.dry_run,
    };
    let done = go_again(&app, &operator, which, what, how).await?;
    Ok(Json(done))
}

/// How a run goes again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// Move it to the newest version first.
    latest: bool,
    /// Only say what would happen.
    dry_run: bool,
}

/// Does what somebody wants of a run, and says where it stands then.
pub(crate) async fn go_again(
    app: &App,
    caller: &Caller,
    (dag_id, run_id): (&str, &str),
    what: What,
    How { latest, dry_run }: How,
) -> Answer<Again> {
    let row = find_run(app, dag_id, run_id).await?;
    let again = app
        .engine()
        .go_again(AgainRequest {
            run: row.dag_run_id,
            what,
            latest,
            dry_run,
            by: caller.name().to_owned(),
        })
        .await?;
    let state = app.store().run_state(row.dag_run_id).await?;
    Ok(Again {
        dry_run,
        state: convert::run_state(state.unwrap_or(row.state)),
        cleared: again.cleared,
        reconsidered: again.reconsidered,
        published: again.published,
        difference: again.difference.map(|it| Difference {
            added: it.added,
            removed: it.removed,
            changed: it.changed,
        }),
    })
}
