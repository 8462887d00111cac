//! One's own account: its password, its sessions and its tokens.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use dagctl_store::accounts::{AccountRow, LoginPlace, LoginSlot};
use dagctl_store::audit::AuditEntry;
use jiff::ToSpan as _;

use super::chrome::Chrome;
use super::moment::{Clock, Moment};
use super::{filters, page};
use crate::App;
use crate::auth::{self, Admin, Caller, Gate, Role, Viewer};
use crate::clock::now;
use crate::error::{Answer, Failure};
use crate::form::Form;
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/account", get(show))
        .route("/account/password", post(change_password))
        .route("/account/sessions/end", post(end_sessions))
        .route("/account/tokens", post(make_token))
        .route("/account/tokens/{token_id}/delete", post(delete_token))
        .route("/accounts", post(make_account))
        .route("/accounts/{name}/disable", post(disable_account))
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    chrome: Chrome,
    role: &'static str,
    is_admin: bool,
    sessions: Vec<SessionLine>,
    tokens: Vec<TokenLine>,
    accounts: Vec<AccountLine>,
    new_token: Option<String>,
    said: Option<&'static str>,
    error: Option<String>,
}

struct SessionLine {
    created: Moment,
    seen: Moment,
    ends: Moment,
}

struct TokenLine {
    token_id: i32,
    name: String,
    created: Moment,
    ends: Option<Moment>,
    used: Option<Moment>,
}

struct AccountLine {
    name: String,
    role: &'static str,
    is_disabled: bool,
    is_self: bool,
    created: Moment,
}

/// What the page says beside its lists.
#[derive(Default)]
struct News {
    token: Option<String>,
    said: Option<&'static str>,
    error: Option<String>,
}

async fn shown(app: &App, caller: &Caller, news: News) -> Answer<Html<String>> {
    let clock = Clock::utc();
    let is_admin = caller.role() >= Role::Admin;
    let accounts: Vec<AccountRow> = match is_admin {
        true => app.store().accounts().await?,
        false => vec![],
    };
    page(&AccountPage {
        chrome: Chrome::new(app, caller, "account").await?,
        role: caller.role().name(),
        is_admin,
        sessions: app
            .store()
            .sessions_of(caller.account_id())
            .await?
            .into_iter()
            .map(|it| SessionLine {
                created: clock.short(it.created_at),
                seen: clock.short(it.last_seen_at),
                ends: clock.short(it.expires_at),
            })
            .collect(),
        tokens: app
            .store()
            .tokens_of(caller.account_id())
            .await?
            .into_iter()
            .map(|it| TokenLine {
                token_id: it.token_id,
                name: it.name,
                created: clock.short(it.created_at),
                ends: it.expires_at.map(|at| clock.short(at)),
                used: it.last_used_at.map(|at| clock.short(at)),
            })
            .collect(),
        accounts: accounts
            .into_iter()
            .map(|it| AccountLine {
                role: it.role.name(),
                is_disabled: it.disabled_at.is_some(),
                is_self: it.account_id == caller.account_id(),
                created: clock.short(it.created_at),
                name: it.name,
            })
            .collect(),
        new_token: news.token,
        said: news.said,
        error: news.error,
    })
}

async fn refused(app: &App, caller: &Caller, error: String) -> Answer<Response> {
    let html = shown(
        app,
        caller,
        News {
            error: Some(error),
            ..News::default()
        },
    )
    .await?;
    Ok((StatusCode::BAD_REQUEST, html).into_response())
}

async fn show(State(app): State<App>, viewer: Viewer) -> Answer<Html<String>> {
    shown(&app, &viewer, News::default()).await
}

/// Changes one's password, which ends every session, this one too.
async fn change_password(
    State(app): State<App>,
    viewer: Viewer,
    axum::Extension(gate): axum::Extension<Gate>,
    form: Form,
) -> Answer<Response> {
    // Whoever sits at an open browser must not be able to guess here either.
    let place = LoginPlace {
        account: viewer.name().to_owned(),
        address: gate.address,
    };
    if let LoginSlot::Wait(wait) = app.store().reserve_login(&place).await? {
        let error = format!("too many failed tries; wait {} s", wait.as_secs() + 1);
        return refused(&app, &viewer, error).await;
    }
    let hash = app
        .store()
        .account(viewer.name())
        .await?
        .and_then(|(_, hash)| hash);
    if !auth::verify(&app, form.text("password").to_owned(), hash).await {
        return refused(
            &app,
            &viewer,
            "the present password is not this one".to_owned(),
        )
        .await;
    }
    app.store().login_succeeded(&place).await?;
    let new = form.text("new_password");
    if let Err(error) = auth::check_password(viewer.name(), new) {
        return refused(&app, &viewer, error.to_string()).await;
    }
    let hash = auth::hash(&app, new.to_owned()).await;
    app.store().set_password(viewer.name(), &hash).await?;
    audit(&app, &viewer, "account.password", viewer.name()).await?;
    Ok(Redirect::to("/login").into_response())
}

async fn end_sessions(State(app): State<App>, viewer: Viewer, _: Form) -> Answer<Redirect> {
    app.store().end_sessions(viewer.account_id()).await?;
    Ok(Redirect::to("/login"))
}

/// Makes a token and shows it, for the only time.
async fn make_token(State(app): State<App>, viewer: Viewer, form: Form) -> Answer<Response> {
    let Some(name) = form.filled("name").filter(|it| it.chars().count() <= 100) else {
        return refused(
            &app,
            &viewer,
            "a token needs a name of at most 100 characters".to_owned(),
        )
        .await;
    };
    let days = form
        .text("days")
        .parse::<i64>()
        .unwrap_or(90)
        .clamp(0, 3650);
    let expires_at = match days {
        0 => None,
        days => Some(
            now()
                .checked_add((days * 24).hours())
                .map_err(Failure::internal)?,
        ),
    };
    let token = auth::create_token(app.store(), viewer.account_id(), &name, expires_at).await?;
    audit(&app, &viewer, "token.create", &name).await?;
    let html = shown(
        &app,
        &viewer,
        News {
            token: Some(token),
            ..News::default()
        },
    )
    .await?;
    Ok(html.into_response())
}

async fn delete_token(
    State(app): State<App>,
    viewer: Viewer,
    Path(token_id): Path<i32>,
    _: Form,
) -> Answer<Redirect> {
    app.store()
        .delete_token(viewer.account_id(), token_id)
        .await?;
    audit(&app, &viewer, "token.delete", &token_id.to_string()).await?;
    Ok(Redirect::to("/account"))
}

/// Makes an account for somebody else.
async fn make_account(State(app): State<App>, admin: Admin, form: Form) -> Answer<Response> {
    let name = form.text("name").trim().to_owned();
    let Some(role) = Role::from_name(form.text("role")) else {
        return refused(&app, &admin, "choose a role".to_owned()).await;
    };
    match auth::create_account(app.store(), &name, Some(form.text("password")), role).await {
        Ok(_) => {
            audit(&app, &admin, "account.create", &name).await?;
            let news = News {
                said: Some("The account is made. Its owner should change the password."),
                ..News::default()
            };
            Ok(shown(&app, &admin, news).await?.into_response())
        }
        Err(auth::NewAccountError::Account(dagctl_store::accounts::AccountError::Store(error))) => {
            Err(error.into())
        }
        Err(error) => refused(&app, &admin, error.to_string()).await,
    }
}

async fn disable_account(
    State(app): State<App>,
    admin: Admin,
    Path(name): Path<String>,
    _: Form,
) -> Answer<Response> {
    if name == admin.name() {
        return refused(
            &app,
            &admin,
            "an admin cannot disable the own account".to_owned(),
        )
        .await;
    }
    app.store().disable_account(&name).await?;
    audit(&app, &admin, "account.disable", &name).await?;
    Ok(Redirect::to("/account").into_response())
}

async fn audit(app: &App, caller: &Caller, action: &str, object: &str) -> Answer<()> {
    app.store()
        .audit(AuditEntry {
            who: caller.name(),
            action,
            object,
            ..AuditEntry::default()
        })
        .await?;
    Ok(())
}
