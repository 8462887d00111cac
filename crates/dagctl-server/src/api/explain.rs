//! `GET …/explain`: why a DAG, a run or a task does not move.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use dagctl_api::explain::Explained;
use dagctl_core::explain::Explanation;
use dagctl_store::views::runs::RunRow;
use dagctl_store::views::tasks::{TaskFilter, TaskRow};

use super::{convert, find_run, find_task};
use crate::App;
use crate::auth::Viewer;
use crate::error::{Answer, Failure};
use crate::explain;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/dags/{dag_id}/explain", get(dag))
        .route("/api/v1/dags/{dag_id}/runs/{run_id}/explain", get(run))
        .route(
            "/api/v1/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/explain",
            get(task),
        )
}

/// When a DAG runs next, and why its open runs do not move.
async fn dag(
    State(app): State<App>,
    _: Viewer,
    Path(dag_id): Path<String>,
) -> Answer<Json<Explained>> {
    let row = app.store().dag_row(&dag_id).await?;
    let row = row.ok_or_else(|| Failure::unknown_dag(&dag_id))?;
    let runs = explain::runs(&app, &row).await?;
    Ok(Json(Explained {
        parts: runs.iter().map(|(row, why)| of_run(row, why)).collect(),
        ..explained(dag_id, None, &explain::dag(&app, &row).await?)
    }))
}

/// Why a run does not move, and its open tasks.
async fn run(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Answer<Json<Explained>> {
    let row = find_run(&app, &dag_id, &run_id).await?;
    let tasks = explain::open_tasks(&app, &row).await?;
    Ok(Json(Explained {
        parts: tasks.iter().map(|(row, why)| of_task(row, why)).collect(),
        ..of_run(&row, &explain::run(&app, &row).await?)
    }))
}

/// Why the instances of a task do not move.
async fn task(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
) -> Answer<Json<Explained>> {
    let (run, _) = find_task(&app, (&dag_id, &run_id, &task_id), None).await?;
    let filter = TaskFilter {
        task_id: Some(task_id),
        ..TaskFilter::default()
    };
    let mut found = explain::tasks(&app, &run, &filter).await?.into_iter();
    let (row, why) = found
        .next()
        .ok_or_else(|| Failure::not_found("this task is gone"))?;
    let open = found.filter(|(row, _)| !row.state.is_final());
    Ok(Json(Explained {
        parts: open.map(|(row, why)| of_task(&row, &why)).collect(),
        ..of_task(&row, &why)
    }))
}

fn of_run(row: &RunRow, why: &Explanation) -> Explained {
    explained(row.run_id.clone(), Some(row.state.name()), why)
}

fn of_task(row: &TaskRow, why: &Explanation) -> Explained {
    let name = match row.map_index {
        -1 => row.task_id.clone(),
        mapped => format!("{}[{mapped}]", row.task_id),
    };
    explained(name, Some(row.state.name()), why)
}

fn explained(name: String, state: Option<&str>, why: &Explanation) -> Explained {
    Explained {
        name,
        state: state.map(str::to_owned),
        sentence: why.sentence.clone(),
        since: why.since.map(convert::time),
        parts: vec![],
    }
}
