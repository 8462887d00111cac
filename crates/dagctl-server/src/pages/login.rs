//! Logging in and out, and making the first account.

use askama::Template;
use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum_extra::extract::CookieJar;
use dagctl_store::accounts::{AccountError, LoginPlace, LoginSlot};
use dagctl_store::audit::AuditEntry;
use serde::Deserialize;

use super::{links, page};
use crate::App;
use crate::auth::{self, Caller, Gate, Viewer};
use crate::error::{Answer, Failure};
use crate::form::{Fields, Form};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/setup", get(setup_page).post(setup))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    next: String,
    name: String,
    error: Option<String>,
    /// Nobody can log in yet.
    is_new: bool,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    key: String,
    name: String,
    error: Option<String>,
    /// The link does not work any more.
    is_spent: bool,
}

#[derive(Deserialize)]
struct LoginQuery {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct SetupQuery {
    #[serde(default)]
    key: String,
}

async fn login_page(
    State(app): State<App>,
    caller: Option<Extension<Caller>>,
    Query(query): Query<LoginQuery>,
) -> Answer<Response> {
    let next = links::own_path(&query.next).to_owned();
    if caller.is_some() {
        return Ok(Redirect::to(&next).into_response());
    }
    let is_new = !app.store().has_login().await?;
    Ok(page(&LoginPage {
        next,
        name: String::new(),
        error: None,
        is_new,
    })?
    .into_response())
}

/// Checks a password. Says the same, and takes as long, whether the name or the password is wrong.
async fn login(
    State(app): State<App>,
    Extension(gate): Extension<Gate>,
    jar: CookieJar,
    request: Request,
) -> Answer<Response> {
    let fields = Fields::read(request, &app).await?;
    let name = fields.text("name").trim().to_owned();
    let next = links::own_path(fields.text("next")).to_owned();
    let place = LoginPlace {
        account: name.chars().take(64).collect(),
        address: gate.address.clone(),
    };
    if let LoginSlot::Wait(wait) = app.store().reserve_login(&place).await? {
        let seconds = wait.as_secs() + 1;
        let error = format!("Too many failed tries. Wait {seconds} s and try again.");
        return refuse(StatusCode::TOO_MANY_REQUESTS, name, next, error);
    }
    let known = app.store().account(&name).await?;
    let hash = known
        .as_ref()
        .filter(|(account, _)| account.disabled_at.is_none())
        .and_then(|(_, hash)| hash.clone());
    let is_right = auth::verify(&app, fields.text("password").to_owned(), hash).await;
    let who = AuditEntry {
        who: &place.account,
        address: Some(&gate.address),
        ..AuditEntry::default()
    };
    let (true, Some((account, _))) = (is_right, known) else {
        app.store()
            .audit(AuditEntry {
                action: "login.refused",
                ..who
            })
            .await?;
        let error = "This name and password do not fit.".to_owned();
        return refuse(StatusCode::UNAUTHORIZED, name, next, error);
    };
    app.store().login_succeeded(&place).await?;
    app.store()
        .audit(AuditEntry {
            action: "login",
            ..who
        })
        .await?;
    let jar = start_session(&app, jar, account.account_id).await?;
    Ok((jar, Redirect::to(&next)).into_response())
}

fn refuse(status: StatusCode, name: String, next: String, error: String) -> Answer<Response> {
    let html = page(&LoginPage {
        next,
        name,
        error: Some(error),
        is_new: false,
    })?;
    Ok((status, html).into_response())
}

/// A new reference with every login, so that one planted before is worth nothing.
async fn start_session(app: &App, jar: CookieJar, account_id: i32) -> Answer<CookieJar> {
    let session = auth::random_secret();
    app.store().start_session(&session, account_id).await?;
    Ok(jar.add(auth::session_cookie(app, session)))
}

async fn logout(
    State(app): State<App>,
    viewer: Viewer,
    jar: CookieJar,
    _: Form,
) -> Answer<Response> {
    if let Some(session) = viewer.session() {
        app.store().end_session(session).await?;
    }
    let jar = jar.add(auth::spent_cookie(&app));
    Ok((jar, Redirect::to("/login")).into_response())
}

async fn setup_page(State(app): State<App>, Query(query): Query<SetupQuery>) -> Answer<Response> {
    let works = app.store().setup_secret_works(&query.key).await?;
    let status = match works {
        true => StatusCode::OK,
        false => StatusCode::GONE,
    };
    let html = page(&SetupPage {
        key: query.key,
        name: "admin".to_owned(),
        error: None,
        is_spent: !works,
    })?;
    Ok((status, html).into_response())
}

/// Makes the first admin, who is logged in at once.
async fn setup(
    State(app): State<App>,
    Extension(gate): Extension<Gate>,
    jar: CookieJar,
    request: Request,
) -> Answer<Response> {
    let fields = Fields::read(request, &app).await?;
    let key = fields.text("key").to_owned();
    let name = fields.text("name").trim().to_owned();
    let password = fields.text("password").to_owned();
    if !app.store().setup_secret_works(&key).await? {
        let html = page(&SetupPage {
            key,
            name,
            error: None,
            is_spent: true,
        })?;
        return Ok((StatusCode::GONE, html).into_response());
    }
    let checked = auth::check_account_name(&name)
        .map_err(|error| error.to_string())
        .and_then(|()| auth::check_password(&name, &password).map_err(|error| error.to_string()))
        .and_then(|()| match password == fields.text("password_again") {
            true => Ok(()),
            false => Err("the two passwords differ".to_owned()),
        });
    let error = match checked {
        Err(error) => error,
        Ok(()) => {
            let hash = auth::hash(&app, password).await;
            match app
                .store()
                .create_account_with_setup_secret(&key, &name, &hash)
                .await
            {
                Ok(account) => {
                    app.store()
                        .audit(AuditEntry {
                            who: &name,
                            action: "account.setup",
                            object: &name,
                            address: Some(&gate.address),
                            ..AuditEntry::default()
                        })
                        .await?;
                    let jar = start_session(&app, jar, account.account_id).await?;
                    return Ok((jar, Redirect::to("/")).into_response());
                }
                Err(AccountError::Store(error)) => return Err(Failure::from(error)),
                Err(error @ (AccountError::NameTaken(_) | AccountError::SetupLinkSpent)) => {
                    error.to_string()
                }
            }
        }
    };
    let html = page(&SetupPage {
        key,
        name,
        error: Some(error),
        is_spent: false,
    })?;
    Ok((StatusCode::BAD_REQUEST, html).into_response())
}
