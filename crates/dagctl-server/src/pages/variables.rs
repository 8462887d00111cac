//! Variables: where each comes from and what it hides; secrets are shown to nobody.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use dagctl_api::settings::VariableWrite;
use dagctl_engine::settings::{Source, Variable};
use serde::Deserialize;

use super::chrome::Chrome;
use super::log_text::visible;
use super::moment::{Clock, Moment};
use super::{filters, links, page};
use crate::App;
use crate::api::{remove_variable, save_variable};
use crate::auth::{Caller, Operator, Viewer};
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/variables", get(list).post(save))
        .route("/variables/{name}/delete", post(delete))
}

/// What a page says after it was left by a form.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said {
    #[serde(default)]
    pub(super) edit: String,
    #[serde(default)]
    pub(super) said: String,
}

impl Said {
    /// Only sentences of our own: a link could hold any.
    pub(super) fn sentence(&self) -> Option<&'static str> {
        match self.said.as_str() {
            "saved" => Some("Saved."),
            "overruled" => Some("Saved, but the environment sets this name too, and comes first."),
            "deleted" => Some("Deleted."),
            "still-set" => Some("Deleted here, but the environment still sets this name."),
            _ => None,
        }
    }
}

#[derive(Template)]
#[template(path = "variables.html")]
struct VariablesPage {
    chrome: Chrome,
    variables: Vec<VariableLine>,
    said: Option<&'static str>,
    error: Option<String>,
    form: VariableForm,
}

#[derive(Default)]
struct VariableForm {
    name: String,
    value: String,
    description: String,
    is_secret: bool,
    /// It is in the database already.
    is_known: bool,
    is_open: bool,
}

struct VariableLine {
    name: String,
    path: String,
    value: Option<String>,
    source: &'static str,
    shadows: Vec<&'static str>,
    description: Option<String>,
    updated: Option<Moment>,
    problem: Option<String>,
    is_saved: bool,
    is_built_in: bool,
}

pub(super) fn source_word(source: Source) -> &'static str {
    match source {
        Source::Environment => "environment",
        Source::AirflowEnvironment => "environment (AIRFLOW_)",
        Source::Database => "database",
        Source::Default => "built in",
    }
}

fn is_saved(it: &Variable) -> bool {
    it.source == Source::Database || it.shadows.contains(&Source::Database)
}

async fn shown(
    app: &App,
    caller: &Caller,
    said: &Said,
    typed: Option<(VariableForm, String)>,
) -> Answer<Html<String>> {
    let all = app.engine().settings().list_variables().await?;
    let clock = Clock::utc();
    let (form, error) = match typed {
        Some((form, error)) => (form, Some(error)),
        None => (form_of(&all, &said.edit), None),
    };
    page(&VariablesPage {
        chrome: Chrome::new(app, caller, "variables").await?,
        said: said.sentence(),
        error,
        form,
        variables: all
            .into_iter()
            .map(|it| VariableLine {
                path: format!("/variables/{}", links::segment(&it.name)),
                is_saved: is_saved(&it),
                is_built_in: it.source == Source::Default,
                value: it.value.as_deref().map(visible),
                source: source_word(it.source),
                shadows: it.shadows.iter().copied().map(source_word).collect(),
                description: it.description,
                updated: it.updated_at.map(|at| clock.short(at)),
                problem: it.problem,
                name: it.name,
            })
            .collect(),
    })
}

fn form_of(all: &[Variable], name: &str) -> VariableForm {
    match all.iter().find(|it| it.name == name) {
        Some(it) => VariableForm {
            name: it.name.clone(),
            value: it
                .value
                .clone()
                .filter(|_| it.source == Source::Database)
                .unwrap_or_default(),
            description: it.description.clone().unwrap_or_default(),
            is_secret: it.is_secret,
            is_known: is_saved(it),
            is_open: true,
        },
        None => VariableForm {
            name: name.to_owned(),
            is_open: !name.is_empty(),
            ..VariableForm::default()
        },
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
    let name = form.text("name").trim().to_owned();
    let is_known = form.ticked("known");
    let is_secret = form.ticked("secret");
    let value = form.text("value").replace("\r\n", "\n");
    let write = VariableWrite {
        // A secret's field comes back empty when it was not typed anew.
        value: match is_known && is_secret && value.is_empty() {
            true => None,
            false => Some(value.clone()),
        },
        is_secret: match is_known {
            true => Some(is_secret),
            // Left unticked, the name decides.
            false => is_secret.then_some(true),
        },
        description: Some(form.text("description").trim().to_owned()),
    };
    match save_variable(&app, &operator, &name, write).await {
        Ok(warnings) => {
            let said = if warnings.is_empty() {
                "saved"
            } else {
                "overruled"
            };
            Ok(Redirect::to(&format!("/variables?said={said}")).into_response())
        }
        Err(Failure {
            status: StatusCode::BAD_REQUEST,
            message,
            ..
        }) => {
            let typed = VariableForm {
                name,
                value,
                description: form.text("description").to_owned(),
                is_secret,
                is_known,
                is_open: true,
            };
            let html = shown(&app, &operator, &Said::default(), Some((typed, message))).await?;
            Ok((StatusCode::BAD_REQUEST, html).into_response())
        }
        Err(failure) => Err(failure),
    }
}

async fn delete(
    State(app): State<App>,
    operator: Operator,
    Path(name): Path<String>,
    _: Form,
) -> Answer<Redirect> {
    let warnings = remove_variable(&app, &operator, &name).await?;
    let said = if warnings.is_empty() {
        "deleted"
    } else {
        "still-set"
    };
    Ok(Redirect::to(&format!("/variables?said={said}")))
}
