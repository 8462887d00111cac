//! Connections: where each comes from and what it hides; passwords are shown to nobody.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use dagctl_api::settings::ConnectionWrite;
use dagctl_engine::settings::{ShownConnection, Source};

use super::chrome::Chrome;
use super::moment::{Clock, Moment};
use super::variables::{Said, source_word};
use super::{filters, links, page};
use crate::App;
use crate::api::{remove_connection, save_connection};
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/connections", get(list).post(save))
        .route("/connections/{conn_id}/delete", post(delete))
}

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage {
    chrome: Chrome,
    connections: Vec<ConnectionLine>,
    said: Option<&'static str>,
    error: Option<String>,
    form: ConnectionForm,
}

#[derive(Default)]
struct ConnectionForm {
    conn_id: String,
    conn_type: String,
    host: String,
    port: String,
    schema: String,
    login: String,
    extra_keys: String,
    description: String,
    has_password: bool,
    is_known: bool,
    is_open: bool,
}

struct ConnectionLine {
    conn_id: String,
    path: String,
    uri: String,
    source: &'static str,
    shadows: Vec<&'static str>,
    description: Option<String>,
    updated: Option<Moment>,
    problem: Option<String>,
    is_saved: bool,
    is_built_in: bool,
}

fn is_saved(it: &ShownConnection) -> bool {
    it.source == Source::Database || it.shadows.contains(&Source::Database)
}

async fn shown(
    app: &App,
    caller: &Caller,
    said: &Said,
    typed: Option<(ConnectionForm, String)>,
) -> Answer<Html<String>> {
    let all = app.engine().settings().list_connections().await?;
    let clock = Clock::utc();
    let (form, error) = match typed {
        Some((form, error)) => (form, Some(error)),
        None => (form_of(&all, &said.edit), None),
    };
    page(&ConnectionsPage {
        chrome: Chrome::new(app, caller, "connections").await?,
        said: said.sentence(),
        error,
        form,
        connections: all
            .into_iter()
            .map(|it| ConnectionLine {
                path: format!("/connections/{}", links::segment(&it.conn_id)),
                is_saved: is_saved(&it),
                is_built_in: it.source == Source::Default,
                uri: it.masked_uri,
                source: source_word(it.source),
                shadows: it.shadows.iter().copied().map(source_word).collect(),
                description: it.description,
                updated: it.updated_at.map(|at| clock.short(at)),
                problem: it.problem,
                conn_id: it.conn_id,
            })
            .collect(),
    })
}

fn form_of(all: &[ShownConnection], conn_id: &str) -> ConnectionForm {
    // What is not saved here cannot be kept either, so its form starts empty.
    let Some(it) = all.iter().find(|it| it.conn_id == conn_id && is_saved(it)) else {
        return ConnectionForm {
            conn_id: conn_id.to_owned(),
            is_open: !conn_id.is_empty(),
            ..ConnectionForm::default()
        };
    };
    let known = it.connection.clone().unwrap_or_default();
    ConnectionForm {
        conn_id: it.conn_id.clone(),
        conn_type: known.conn_type,
        host: known.host.unwrap_or_default(),
        port: known.port.map(|it| it.to_string()).unwrap_or_default(),
        schema: known.schema.unwrap_or_default(),
        login: known.login.unwrap_or_default(),
        extra_keys: it.extra_keys.join(", "),
        description: it.description.clone().unwrap_or_default(),
        has_password: it.has_password && it.source == Source::Database,
        is_known: true,
        is_open: true,
    }
}

async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Query(said): Query<Said>,
) -> Answer<Html<String>> {
    shown(&app, &viewer, &said, None).await
}

async fn save(State(app): State<App>, operator: Operator, form: Form) -> Answer<Response> {
    let conn_id = form.text("conn_id").trim().to_owned();
    let saved = match write(&form) {
        Ok(write) => save_connection(&app, &operator, &conn_id, write).await,
        Err(failure) => Err(failure),
    };
    match saved {
        Ok(warnings) => {
            let said = if warnings.is_empty() {
                "saved"
            } else {
                "overruled"
            };
            Ok(Redirect::to(&format!("/connections?said={said}")).into_response())
        }
        Err(Failure {
            status: StatusCode::BAD_REQUEST,
            message,
            ..
        }) => {
            let text = |name| form.text(name).to_owned();
            let typed = ConnectionForm {
                conn_id,
                conn_type: text("conn_type"),
                host: text("host"),
                port: text("port"),
                schema: text("schema"),
                login: text("login"),
                extra_keys: String::new(),
                description: text("description"),
                has_password: form.ticked("has_password"),
                is_known: form.ticked("known"),
                is_open: true,
            };
            let html = shown(&app, &operator, &Said::default(), Some((typed, message))).await?;
            Ok((StatusCode::BAD_REQUEST, html).into_response())
        }
        Err(failure) => Err(failure),
    }
}

/// A whole URI where one was typed, else the parts; an empty password or `extra` keeps the saved one.
fn write(form: &Form) -> Answer<ConnectionWrite> {
    let description = Some(form.text("description").trim().to_owned());
    if let Some(uri) = form.filled("uri") {
        return Ok(ConnectionWrite {
            uri: Some(uri),
            description,
            ..ConnectionWrite::default()
        });
    }
    let port = match form.filled("port").map(|it| it.parse::<u16>()) {
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => {
            return Err(Failure::bad_request(
                "the port must be a number from 1 to 65535",
            ));
        }
        None => None,
    };
    let extra = match form.filled("extra").map(|it| serde_json::from_str(&it)) {
        Some(Ok(extra)) => Some(extra),
        Some(Err(_)) => {
            return Err(Failure::bad_request(
                "further settings must be a JSON map, such as {\"sslmode\": \"require\"}",
            ));
        }
        None => None,
    };
    let Some(conn_type) = form.filled("conn_type") else {
        return Err(Failure::bad_request(
            "choose what kind of connection it is, or type a whole URI",
        ));
    };
    Ok(ConnectionWrite {
        uri: None,
        conn_type: Some(conn_type),
        host: form.filled("host"),
        port,
        schema: form.filled("schema"),
        login: form.filled("login"),
        password: Some(form.text("password").to_owned()).filter(|it| !it.is_empty()),
        extra,
        description,
    })
}

async fn delete(
    State(app): State<App>,
    operator: Operator,
    Path(conn_id): Path<String>,
    _: Form,
) -> Answer<Redirect> {
    let warnings = remove_connection(&app, &operator, &conn_id).await?;
    let said = if warnings.is_empty() {
        "deleted"
    } else {
        "still-set"
    };
    Ok(Redirect::to(&format!("/connections?said={said}")))
}
