//! `GET …/tasks`, `GET …/tasks/{task_id}/attempts` and `GET …/tasks/{task_id}/logs`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dagctl_api::tasks::{Attempts, LogQuery, Task};
use dagctl_core::ids::{AttemptKey, AttemptNo, MapIndex, TaskIndex, TaskInstanceKey};
use dagctl_store::views::runs::RunRow;
use dagctl_store::views::tasks::{TaskFilter, TaskRow};

use super::{Ask, convert, find_run};
use crate::App;
use crate::auth::Viewer;
use crate::clock::now;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

/// Lines in one answer.
pub(crate) const MOST_LINES: i64 = 10_000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/dags/{dag_id}/runs/{run_id}/tasks", get(list))
        .route(
            "/api/v1/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/attempts",
            get(attempts),
        )
        .route(
            "/api/v1/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/logs",
            get(logs),
        )
}

/// The tasks of a run, upstream first.
async fn list(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Answer<Json<Vec<Task>>> {
    let run = find_run(&app, &dag_id, &run_id).await?;
    let rows = app
        .store()
        .task_rows(run.dag_run_id, &TaskFilter::default())
        .await?;
    let now = now();
    Ok(Json(
        rows.into_iter().map(|it| convert::task(it, now)).collect(),
    ))
}

/// The attempts of a task.
async fn attempts(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Ask(query): Ask<LogQuery>,
) -> Answer<Json<Attempts>> {
    let (run, task) = find_task(&app, (&dag_id, &run_id, &task_id), query.map_index).await?;
    let key = instance_key(&run, &task);
    let now = now();
    let rows = app.store().attempt_rows(key).await?;
    Ok(Json(Attempts {
        attempts: rows
            .into_iter()
            .map(|it| convert::attempt(it, now))
            .collect(),
        outputs: app.store().output_of(key).await?,
        triggered_runs: app
            .store()
            .triggered_runs(key)
            .await?
            .into_iter()
            .map(convert::triggered_run)
            .collect(),
    }))
}

/// The lines of an attempt's log, one JSON object to a line.
async fn logs(
    State(app): State<App>,
    _: Viewer,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Ask(query): Ask<LogQuery>,
) -> Answer<Response> {
    let (run, task) = find_task(&app, (&dag_id, &run_id, &task_id), query.map_index).await?;
    let key = AttemptKey {
        instance: instance_key(&run, &task),
        attempt: shown_attempt(&app, &run, &task, query.attempt).await?,
    };
    let from = query.after_line.map_or(0, |it| it.saturating_add(1));
    let lines = app.store().log_lines(key, from, MOST_LINES).await?;
    let mut body = String::new();
    for line in lines {
        let line = serde_json::to_string(&convert::log_line(line)).map_err(Failure::internal)?;
        body.push_str(&line);
        body.push('\n');
    }
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, body).into_response())
}

/// The task instance that a path names.
pub(crate) async fn find_task(
    app: &App,
    (dag_id, run_id, task_id): (&str, &str, &str),
    map_index: Option<i32>,
) -> Answer<(RunRow, TaskRow)> {
    let run = find_run(app, dag_id, run_id).await?;
    let map_index = map_index.unwrap_or(MapIndex::UNMAPPED.get());
    let filter = TaskFilter {
        task_id: Some(task_id.to_owned()),
        ..TaskFilter::default()
    };
    let task = app
        .store()
        .task_rows(run.dag_run_id, &filter)
        .await?
        .into_iter()
        .find(|it| it.map_index == map_index)
        .ok_or_else(|| {
            Failure::not_found(format!("run `{}` has no task `{task_id}`", run.run_id)).hint(
                format!(
                    "`dagctl tasks list {dag_id} {}` lists its tasks",
                    run.run_id
                ),
            )
        })?;
    Ok((run, task))
}

/// The attempt whose log is shown where nobody asked for another: the last, but a sensor's looks that found nothing
/// left none.
pub(crate) async fn shown_attempt(
    app: &App,
    run: &RunRow,
    task: &TaskRow,
    asked: Option<i16>,
) -> Answer<AttemptNo> {
    let logged = match asked {
        None if task.pokes > 0 => app.store().logged_attempt(instance_key(run, task)).await?,
        None | Some(_) => None,
    };
    Ok(AttemptNo(asked.or(logged).unwrap_or(task.attempt)))
}

pub(crate) fn instance_key(run: &RunRow, task: &TaskRow) -> TaskInstanceKey {
    TaskInstanceKey {
        dag_run_id: run.dag_run_id,
        task_index: TaskIndex(task.task_index),
        map_index: MapIndex(task.map_index),
    }
}
