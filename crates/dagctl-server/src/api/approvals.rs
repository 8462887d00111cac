//! `GET /approvals` and `POST …/tasks/{task_id}/approval`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use dagctl_api::approvals::{self, AnswerWrite, Approval};
use dagctl_core::operator::Answer as Said;
use dagctl_store::waiting::NewAnswer;

use super::{Body, convert, find_task, instance_key};
use crate::App;
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::pages::links;
use crate::routes::Routes;

/// Questions in one answer; nobody reads more.
pub(crate) const MOST_QUESTIONS: i64 = 200;
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 2000;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/approvals", get(list))
        .route(
            "/api/v1/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/approval",
            post(answer),
        )
}

/// The questions that wait for an answer, the oldest first.
async fn list(State(app): State<App>, _: Viewer) -> Answer<Json<Vec<Approval>>> {
    let rows = app.store().open_approvals(MOST_QUESTIONS).await?;
    Ok(Json(
        rows.into_iter()
            .map(|it| Approval {
                path: links::task(&it.dag_id, &it.run_id, &it.task_id, it.map_index),
                dag_id: it.dag_id,
                run_id: it.run_id,
                task_id: it.task_id,
                map_index: it.map_index,
                subject: it.subject,
                body: it.body,
                asked_at: convert::time(it.asked_at),
                deadline: it.deadline.map(convert::time),
            })
            .collect(),
    ))
}

/// Answers a question.
async fn answer(
    State(app): State<App>,
    operator: Operator,
    Path((dag_id, run_id, task_id)): Path<(String, String, String)>,
    Body(body): Body<AnswerWrite>,
) -> Answer<Json<AnswerWrite>> {
    let said = match body.answer {
        approvals::Answer::Approve => Said::Approve,
        approvals::Answer::Reject => Said::Reject,
    };
    let names = (dag_id.as_str(), run_id.as_str(), task_id.as_str());
    let reason = body.reason.clone();
    give_answer(&app, &operator, names, body.map_index, (said, reason)).await?;
    Ok(Json(body))
}

/// Answers a question in a person's name.
pub(crate) async fn give_answer(
    app: &App,
    caller: &Caller,
    names: (&str, &str, &str),
    map_index: Option<i32>,
    (answer, reason): (Said, Option<String>),
) -> Answer<()> {
    let reason = reason
        .map(|it| it.trim().to_owned())
        .filter(|it| !it.is_empty());
    if reason
        .as_ref()
        .is_some_and(|it| it.len() > LONGEST_REASON || it.contains('\0'))
    {
        return Err(Failure::bad_request(format!(
            "a reason has at most {LONGEST_REASON} bytes of plain text"
        )));
    }
    let (run, task) = find_task(app, names, map_index).await?;
    let new = NewAnswer {
        instance: instance_key(&run, &task),
        answer,
        by: caller.name().to_owned(),
        reason,
        object: format!("{}/{}/{}", run.dag_id, run.run_id, task.task_id),
    };
    Ok(app.engine().answer(new).await?)
}
