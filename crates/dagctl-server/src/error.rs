//! What a refused or failed request gets: a page for people, JSON for programs, and never an inner cause.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use dagctl_api::error::{ErrorBody, ErrorDetail};
use dagctl_engine::again::AgainError;
use dagctl_engine::backfill::FillError;
use dagctl_engine::settings::SettingsError;
use dagctl_engine::{AnswerError, EngineError, TriggerError};
use dagctl_store::StoreError;

use crate::App;
use crate::auth::Caller;
use crate::headers::RequestId;
use crate::pages::{Chrome, filters, links};

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Where a page sends a person, in place of the hint: a path and what is there.
    pub(crate) way: Option<(String, &'static str)>,
}

/// What handlers answer.
pub(crate) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: None,
            way: None,
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub(crate) fn way(self, path: impl Into<String>, there: &'static str) -> Self {
        Self {
            way: Some((path.into(), there)),
            ..self
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn unknown_dag(dag_id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_dag",
            format!("no DAG is called `{dag_id}`"),
        )
        .hint("`dagctl dags list` lists them all")
        .way("/", "All DAGs")
    }

    pub(crate) fn unknown_run(dag_id: &str, run_id: &str) -> Self {
        Self::not_found(format!("DAG `{dag_id}` has no run `{run_id}`"))
            .hint(format!("`dagctl runs list {dag_id}` lists its runs"))
            .way(links::dag(dag_id), "Its runs")
    }

    /// A failure that is ours: the cause goes to the log, the request's id to the client.
    pub(crate) fn internal(error: impl std::fmt::Display + std::fmt::Debug) -> Self {
        tracing::error!("A request failed: {error:#} ({error:?})");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong inside dagctl",
        )
        .hint("the server's log has the cause under this request id")
    }

    /// A body that could not be taken in, and why as far as the client can do something about it.
    pub(crate) fn unreadable(status: StatusCode, why: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::of_status(status),
            status => Self::new(status, "bad_request", why),
        }
    }

    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "bad_request",
                "this address does not take that method",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(status, "too_large", "the request is larger than 1 MiB")
            }
            status if status.is_client_error() => {
                Self::new(status, "bad_request", "the request cannot be understood")
            }
            status => Self::new(status, "internal", "something went wrong inside dagctl"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<StoreError>> for Failure {
    fn from(error: Arc<StoreError>) -> Self {
        // Which statement failed and why is for the log alone.
        tracing::error!("The store failed: {:#}", anyhow::Error::new(error));
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the database does not answer",
        )
        .hint("nothing is lost; try again in a few seconds")
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::UnknownDag(dag_id) => Self::unknown_dag(&dag_id),
            EngineError::Store(error) => error.into(),
        }
    }
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        let message = error.to_string();
        match error {
            TriggerError::UnknownDag { .. } => {
                Self::new(StatusCode::NOT_FOUND, "unknown_dag", message)
                    .hint("`dagctl dags list` lists them all")
                    .way("/", "All DAGs")
            }
            TriggerError::NoVersion(_) => Self::new(StatusCode::CONFLICT, "conflict", message)
                .hint("`dagctl problems` says what is wrong with its file")
                .way("/problems", "Problems"),
            TriggerError::BadParams(errors) => {
                let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
                Self::new(StatusCode::BAD_REQUEST, "bad_params", lines.join("\n"))
                    .hint("`dagctl trigger DAG --param NAME=VALUE` sets one")
            }
            TriggerError::BadRunId(_) => Self::bad_request(message),
            TriggerError::RunExists { .. } | TriggerError::KeyTaken => {
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            TriggerError::Store { source, .. } => source.into(),
            TriggerError::Version { .. } | TriggerError::Defect(_) => Self::internal(error),
        }
    }
}

impl From<AgainError> for Failure {
    fn from(error: AgainError) -> Self {
        let message = error.to_string();
        match error {
            AgainError::Gone | AgainError::UnknownTask { .. } => Self::not_found(message),
            AgainError::NotStarted(_)
            | AgainError::Stopping(_)
            | AgainError::Running(_)
            | AgainError::Nothing(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            AgainError::Store(error) => error.into(),
            AgainError::Version(_) => Self::internal(error),
        }
    }
}

impl From<FillError> for Failure {
    fn from(error: FillError) -> Self {
        let message = error.to_string();
        match error {
            FillError::UnknownDag(dag_id) => Self::unknown_dag(dag_id.as_str()),
            FillError::Range(_) | FillError::Bad(_) | FillError::BadToken => {
                Self::bad_request(message)
            }
            FillError::NoVersion(_)
            | FillError::Changed
            | FillError::NothingToDo
            | FillError::UnderWay(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            FillError::Store(error) => error.into(),
            FillError::Version(_) => Self::internal(error),
        }
    }
}

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        let message = error.to_string();
        match error {
            AnswerError::NotAsked(_) => Self::new(StatusCode::CONFLICT, "conflict", message)
                .hint("`dagctl approvals list` lists what does"),
            AnswerError::Answered { .. } => Self::new(StatusCode::CONFLICT, "conflict", message),
            AnswerError::Engine(error) => error.into(),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let message = error.to_string();
        match error {
            SettingsError::BadName(_)
            | SettingsError::BadConnection(_)
            | SettingsError::ValueNeeded(_)
            | SettingsError::TooLong(_)
            | SettingsError::PasswordNeeded(_) => Self::bad_request(message),
            SettingsError::Unknown { .. } => Self::not_found(message),
            SettingsError::NotInDatabase { .. } => {
                Self::new(StatusCode::CONFLICT, "conflict", message)
            }
            SettingsError::Store(error) => error.into(),
        }
    }
}

/// A failure as people read it.
#[derive(Template)]
#[template(path = "error_card.html")]
struct ErrorCard {
    title: &'static str,
    failure: Arc<Failure>,
    request_id: String,
}

/// The page of somebody who is not logged in, or of a server without its database.
#[derive(Template)]
#[template(path = "error_bare.html")]
struct BarePage {
    card: ErrorCard,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    chrome: Chrome,
    card: ErrorCard,
}

impl ErrorCard {
    async fn page(self, app: &App, caller: Option<Caller>) -> askama::Result<String> {
        if let Some(caller) = caller
            && self.failure.status != StatusCode::SERVICE_UNAVAILABLE
            && let Ok(chrome) = Chrome::new(app, &caller, "").await
        {
            return ErrorPage { chrome, card: self }.render();
        }
        BarePage { card: self }.render()
    }
}

/// Writes every failure the way its reader can use it: JSON under `/api/`, a page elsewhere.
pub(crate) async fn present(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let is_head = request.method() == Method::HEAD;
    let request_id = request
        .extensions()
        .get::<RequestId>()
        .map(|it| it.0.clone())
        .unwrap_or_default();
    let known = request.extensions().get::<MatchedPath>().is_some();
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let failure = response.extensions().get::<Arc<Failure>>().cloned();
    let failure = match failure {
        Some(failure) => failure,
        None if known
            && response.headers().contains_key(header::CONTENT_TYPE)
            && status != StatusCode::PAYLOAD_TOO_LARGE =>
        {
            return response;
        }
        None => Arc::new(Failure::of_status(status)),
    };
    let caller = response.extensions().get::<Caller>().cloned();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        parts
            .headers
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    let body = if is_head {
        ().into_response()
    } else if is_api {
        Json(ErrorBody {
            error: ErrorDetail {
                code: failure.code.to_owned(),
                message: failure.message.clone(),
                hint: failure.hint.clone(),
                request_id,
            },
        })
        .into_response()
    } else {
        let card = ErrorCard {
            title: title(status),
            failure,
            request_id,
        };
        match card.page(&app, caller).await {
            Ok(text) => Html(text).into_response(),
            Err(_) => title(status).into_response(),
        }
    };
    let (body_parts, body) = body.into_parts();
    parts.headers.extend(body_parts.headers);
    Response::from_parts(parts, body)
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::UNAUTHORIZED => "Please log in",
        StatusCode::SERVICE_UNAVAILABLE => "The database does not answer",
        StatusCode::TOO_MANY_REQUESTS => "Too many tries",
        status if status.is_client_error() => "That did not work",
        _ => "Something went wrong",
    }
}
