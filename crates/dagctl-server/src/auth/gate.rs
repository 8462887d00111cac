//! The one layer that every request passes, whatever it asks for: who are you, and is this your own page asking?

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use url::form_urlencoded;

use super::caller::{Caller, Proof, unauthenticated};
use super::secret::TOKEN_PREFIX;
use crate::App;
use crate::error::Failure;

/// The only routes that anybody may use, as they are written in the router.
pub(crate) const PUBLIC: [&str; 5] = [
    "/login",
    "/login.css",
    "/icon.svg",
    "/setup",
    "/api/v1/health",
];

/// What the layer found out, for the few public handlers that ask.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Where the request comes from.
    pub(crate) address: String,
}

/// Lets a request through to its handler with its [`Caller`], or refuses it.
pub(crate) async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&app, &mut request).await {
        Ok(()) => {
            let caller = request.extensions().get::<Caller>().cloned();
            let mut response = next.run(request).await;
            // The page of a failure is for somebody, too.
            if let Some(caller) = caller {
                response.extensions_mut().insert(caller);
            }
            response
        }
        Err(failure) if failure.status == StatusCode::UNAUTHORIZED => refused(&request, failure),
        Err(failure) => failure.into_response(),
    }
}

async fn admit(app: &App, request: &mut Request) -> Result<(), Failure> {
    let address = super::client_address(app, request.headers(), request.extensions());
    request.extensions_mut().insert(Gate { address });
    let is_public = request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|it| PUBLIC.contains(&it.as_str()));
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let own = Own {
        host: request.uri().host(),
        origin: app.config().base_url.as_deref(),
    };
    if !is_safe && is_cross_site(request.headers(), own) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "this request was sent by a page of another site",
        ));
    }
    let caller = match bearer(request.headers()) {
        Some(token) => {
            let token = token?;
            let principal = app.store().token(token).await?;
            Some(Caller::new(
                principal.ok_or_else(unauthenticated)?,
                Proof::Token(token.to_owned()),
            ))
        }
        None => from_cookie(app, request.headers()).await?,
    };
    let Some(caller) = caller else {
        return match is_public {
            true => Ok(()),
            false => Err(unauthenticated()),
        };
    };
    // A browser sends the cookie by itself; a program that changes things must say that it means to.
    let is_api = request.uri().path().starts_with("/api/");
    if !is_safe && is_api && caller.session().is_some() {
        let token = request
            .headers()
            .get("x-csrf-token")
            .and_then(|it| it.to_str().ok());
        if !token.is_some_and(|it| caller.owns_form_token(it)) {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "changes through REST take a token, not a browser's login",
            ));
        }
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

/// The token of the `Authorization` header; an error where the header holds anything else.
fn bearer(headers: &HeaderMap) -> Option<Result<&str, Failure>> {
    let value = headers.get(header::AUTHORIZATION)?;
    let token = value
        .to_str()
        .ok()
        .and_then(|it| it.strip_prefix("Bearer "))
        .filter(|it| it.starts_with(TOKEN_PREFIX));
    Some(token.ok_or_else(unauthenticated))
}

async fn from_cookie(app: &App, headers: &HeaderMap) -> Result<Option<Caller>, Failure> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(cookie_name(app)) else {
        return Ok(None);
    };
    let session = cookie.value().to_owned();
    let principal = app.store().session(&session).await?;
    Ok(principal.map(|it| Caller::new(it, Proof::Session(session))))
}

/// What we are called, as far as it is known.
#[derive(Clone, Copy, Default)]
struct Own<'a> {
    host: Option<&'a str>,
    origin: Option<&'a str>,
}

/// Browsers say where a request comes from; programs do not, and have no cookie that could be misused.
fn is_cross_site(headers: &HeaderMap, own: Own<'_>) -> bool {
    let text = |name| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let host = text(header::HOST).or(own.host).unwrap_or_default();
    // A proxy may have changed the host; the configured address is ours in any case.
    if own.origin == Some(origin) {
        return false;
    }
    let authority = origin.split_once("://").map_or("", |(_, it)| it);
    authority.is_empty() || authority != host
}

/// A person is led to the login and back; a program gets an error.
fn refused(request: &Request, failure: Failure) -> Response {
    let wants_page = request.method() == Method::GET
        && !request.uri().path().starts_with("/api/")
        && request
            .headers()
            .get(header::ACCEPT)
            .and_then(|it| it.to_str().ok())
            .is_some_and(|it| it.contains("text/html"));
    if !wants_page {
        return failure.into_response();
    }
    let here = request.uri().path_and_query().map_or("/", |it| it.as_str());
    match here {
        "/" => Redirect::to("/login").into_response(),
        here => {
            let next: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
            Redirect::to(&format!("/login?next={next}")).into_response()
        }
    }
}

fn cookie_name(app: &App) -> &'static str {
    match app.is_https() {
        true => "__Host-dagctl_session",
        false => "dagctl_session",
    }
}

/// The cookie that carries a session.
pub(crate) fn session_cookie(app: &App, session: String) -> Cookie<'static> {
    Cookie::build((cookie_name(app), session))
        .path("/")
        .http_only(true)
        .secure(app.is_https())
        .same_site(SameSite::Lax)
        .build()
}

/// The cookie that makes a browser forget its session.
pub(crate) fn spent_cookie(app: &App) -> Cookie<'static> {
    let mut cookie = session_cookie(app, String::new());
    cookie.make_removal();
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    header::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn requests_of_other_sites_pages_are_recognised() {
        let host = ("host", "dagctl.example:8080");
        for (pairs, wanted) in [
            (vec![host], false),
            (vec![host, ("sec-fetch-site", "same-origin")], false),
            (vec![host, ("sec-fetch-site", "none")], false),
            (vec![host, ("sec-fetch-site", "same-site")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], true),
            (vec![host, ("origin", "http://dagctl.example:8080")], false),
            (vec![host, ("origin", "http://dagctl.example")], true),
            (vec![host, ("origin", "http://evil.example:8080")], true),
            (vec![host, ("origin", "null")], true),
            (vec![("origin", "null")], true),
        ] {
            assert_eq!(
                is_cross_site(&headers(&pairs), Own::default()),
                wanted,
                "{pairs:?}"
            );
        }
    }
    #[test]
    fn behind_a_proxy_the_configured_address_is_ours() {
        let own = Own {
            host: None,
            origin: Some("https://dagctl.example"),
        };
        let inner = ("host", "10.0.0.7:8080");
        let ours = headers(&[inner, ("origin", "https://dagctl.example")]);
        let other = headers(&[inner, ("origin", "https://dagctl.example.evil")]);
        assert!(!is_cross_site(&ours, own));
        assert!(is_cross_site(&other, own));
    }
}
