//! Nobody gets past the door.

use axum::http::{Method, StatusCode};
use dagctl_store::accounts::Role;
use serde_json::json;

use super::harness::{PASSWORD, TestApp};
use crate::auth::{self, PUBLIC};
use crate::routes::paths;
use crate::{AppConfig, auth::make_setup_path};

fn filled(path: &str) -> String {
    path.replace("{*name}", "app.js")
        .replace("{token_id}", "1")
        .replace(['{', '}'], "")
}

#[tokio::test]
async fn every_route_refuses_everybody_who_has_not_logged_in() {
    let app = TestApp::new().await;
    let somebody = app.browser("kim", Role::Admin).await;
    assert_eq!(somebody.get("/").await.status, StatusCode::OK);
    app.sql("update login_session set expires_at = now() - interval '1 second'")
        .await;
    let account = app.store.account("kim").await.unwrap().unwrap().0;
    let revoked = auth::create_token(&app.store, account.account_id, "old", None)
        .await
        .unwrap();
    app.sql("update token set expires_at = now() - interval '1 second'")
        .await;
    let callers = [
        ("anonymous", app.anon()),
        ("expired session", somebody),
        (
            "garbage session",
            app.anon().with("cookie", "dagctl_session=garbage"),
        ),
        (
            "garbage token",
            app.anon().with("authorization", "Bearer dagctl_garbage"),
        ),
        (
            "foreign token",
            app.anon().with("authorization", "Bearer nothing"),
        ),
        (
            "expired token",
            app.anon()
                .with("authorization", &format!("Bearer {revoked}")),
        ),
    ];
    let routes = paths();
    assert!(routes.len() > 40, "only {} routes", routes.len());
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    for path in routes.iter().filter(|it| !PUBLIC.contains(it)) {
        for (who, caller) in &callers {
            for method in methods.clone() {
                let reply = caller
                    .send(
                        method.clone(),
                        &filled(path),
                        Some("application/json"),
                        "{}".to_owned(),
                    )
                    .await;
                assert_eq!(
                    reply.status,
                    StatusCode::UNAUTHORIZED,
                    "{who}: {method} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn paths_that_only_look_public_are_not() {
    let app = TestApp::new().await;
    for path in [
        "/health",
        "/api/v1/health/",
        "/api/v1/health/x",
        "/api/v1//health",
        "/api/v1/HEALTH",
        "/api/v1/dags;/health",
        "/api/v1/dags/%2e%2e/health",
        "/api/v1/dags/x/../health",
        "/api/v1/dags?x=/login",
        "/login/",
        "/login/x",
        "//login",
        "/setup/x",
        "/assets/login.css",
        "/assets/..%2Flogin.css",
        "/unknown/login.css",
        "/live",
    ] {
        assert_eq!(
            app.anon().get(path).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_person_is_led_to_the_login_and_back() {
    let app = TestApp::new().await;
    let person = app.anon().with("accept", "text/html,*/*");
    let reply = person.get("/dags/a?state=failed").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(
        reply.header("location"),
        "/login?next=%2Fdags%2Fa%3Fstate%3Dfailed"
    );
    auth::create_account(&app.store, "kim", Some(PASSWORD), Role::Viewer)
        .await
        .unwrap();
    for (next, wanted) in [
        ("/dags/a?state=failed", "/dags/a?state=failed"),
        ("//evil.example", "/"),
    ] {
        let fields = [("name", "kim"), ("password", PASSWORD), ("next", next)];
        let reply = app.anon().form("/login", &fields).await;
        assert_eq!(reply.header("location"), wanted);
    }
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_get_the_same_answer() {
    let app = TestApp::new().await;
    auth::create_account(&app.store, "kim", Some(PASSWORD), Role::Viewer)
        .await
        .unwrap();
    let wrong = app
        .anon()
        .form("/login", &[("name", "kim"), ("password", "x")])
        .await;
    let unknown = app
        .anon()
        .form("/login", &[("name", "lee"), ("password", "x")])
        .await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(unknown.status, wrong.status);
    assert_eq!(unknown.text.replace("lee", "kim"), wrong.text);
    assert_eq!(wrong.header("set-cookie"), "");
}

#[tokio::test]
async fn guessing_is_slowed_down_even_in_parallel() {
    let app = TestApp::new().await;
    auth::create_account(&app.store, "kim", Some(PASSWORD), Role::Viewer)
        .await
        .unwrap();
    let guesses = (0..20).map(|_| {
        let anon = app.anon();
        async move {
            anon.form("/login", &[("name", "kim"), ("password", "guess")])
                .await
                .status
        }
    });
    let statuses = futures::future::join_all(guesses).await;
    let looked_at = statuses
        .iter()
        .filter(|it| **it == StatusCode::UNAUTHORIZED)
        .count();
    assert_eq!(looked_at, 5, "{statuses:?}");
    let right = app
        .anon()
        .form("/login", &[("name", "kim"), ("password", PASSWORD)])
        .await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(right.text.contains("Wait 1"), "{}", right.text);
    app.sql("update login_failure set at = at - interval '1 minute'")
        .await;
    let later = app
        .anon()
        .form("/login", &[("name", "kim"), ("password", PASSWORD)])
        .await;
    assert_eq!(later.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_session_ends_with_its_logout_its_account_and_its_idleness() {
    let app = TestApp::new().await;
    let kim = app.browser("kim", Role::Viewer).await;
    let token = kim.get("/").await.form_token();
    let reply = kim.form("/logout", &[("csrf", &token)]).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    assert_eq!(kim.get("/").await.status, StatusCode::UNAUTHORIZED);

    let lee = app.browser("lee", Role::Viewer).await;
    app.store.disable_account("lee").await.unwrap();
    assert_eq!(lee.get("/").await.status, StatusCode::UNAUTHORIZED);

    let park = app.browser("park", Role::Viewer).await;
    app.sql("update login_session set last_seen_at = now() - interval '31 minutes'")
        .await;
    assert_eq!(park.get("/").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_ends_with_its_account() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Viewer).await;
    assert_eq!(bot.get("/api/v1/dags").await.status, StatusCode::OK);
    app.store.disable_account("bot").await.unwrap();
    assert_eq!(
        bot.get("/api/v1/dags").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Viewer).await;
    for (method, path, body) in [
        (Method::PATCH, "/api/v1/dags/a", json!({"is_paused": true})),
        (Method::POST, "/api/v1/dags/a/runs", json!({})),
        (Method::POST, "/api/v1/dags/a/runs/b/cancel", json!({})),
        (Method::PUT, "/api/v1/variables/a", json!({"value": "b"})),
        (Method::DELETE, "/api/v1/variables/a", json!({})),
        (
            Method::PUT,
            "/api/v1/connections/a",
            json!({"uri": "http://b"}),
        ),
        (Method::DELETE, "/api/v1/connections/a", json!({})),
        (Method::PUT, "/api/v1/pools/a", json!({"slots": 1})),
    ] {
        let reply = bot.json(method, path, body).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(reply.json()["error"]["code"], "forbidden");
    }
    let kim = app.browser("kim", Role::Viewer).await;
    let token = kim.get("/").await.form_token();
    for path in [
        "/dags/a/pause",
        "/dags/a/trigger",
        "/variables",
        "/connections",
        "/pools/a",
        "/accounts",
    ] {
        let reply = kim.form(path, &[("csrf", &token)]).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn a_form_without_its_pages_token_changes_nothing() {
    let app = TestApp::new().await;
    let kim = app.browser("kim", Role::Operator).await;
    let lee = app.browser("lee", Role::Operator).await;
    let of_another = lee.get("/").await.form_token();
    for token in ["", "garbage", &of_another] {
        let fields = [("csrf", token), ("name", "a"), ("value", "b")];
        let reply = kim.form("/variables", &fields).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
    }
    let own = kim.get("/").await.form_token();
    let fields = [("csrf", own.as_str()), ("name", "a"), ("value", "b")];
    let cross = kim.clone().with("sec-fetch-site", "cross-site");
    assert_eq!(
        cross.form("/variables", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        kim.form("/variables", &fields).await.status,
        StatusCode::SEE_OTHER
    );
    // A browser's login alone does not change anything through REST.
    let reply = kim
        .json(Method::PUT, "/api/v1/variables/c", json!({"value": "d"}))
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_setup_link_makes_one_admin_once() {
    let app = TestApp::new().await;
    assert!(app.anon().get("/login").await.text.contains("no-account"));
    let older = make_setup_path(&app.store).await.unwrap();
    let path = make_setup_path(&app.store).await.unwrap();
    assert_eq!(app.anon().get(&older).await.status, StatusCode::GONE);
    assert_eq!(app.anon().get("/setup").await.status, StatusCode::GONE);
    assert_eq!(app.anon().get(&path).await.status, StatusCode::OK);
    let key = path.split_once("key=").unwrap().1;
    let fields = |password| {
        [
            ("key", key),
            ("name", "kim"),
            ("password", password),
            ("password_again", password),
        ]
    };
    let weak = app.anon().form("/setup", &fields("password1234")).await;
    assert_eq!(weak.status, StatusCode::BAD_REQUEST);
    assert!(weak.text.contains("first that are tried"), "{}", weak.text);
    let made = app.anon().form("/setup", &fields(PASSWORD)).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    let kim = app.anon().with("cookie", &made.cookie());
    assert!(kim.get("/account").await.text.contains("admin"));
    let again = app.anon().form("/setup", &fields(PASSWORD)).await;
    assert_eq!(again.status, StatusCode::GONE);
}

#[tokio::test]
async fn an_expired_setup_link_makes_nobody() {
    let app = TestApp::new().await;
    let path = make_setup_path(&app.store).await.unwrap();
    app.sql("update setup_secret set expires_at = now() - interval '1 second'")
        .await;
    assert_eq!(app.anon().get(&path).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_browsers_from_harm() {
    let app = TestApp::with(
        &[],
        AppConfig {
            base_url: Some("https://dagctl.example".to_owned()),
            ..AppConfig::default()
        },
    )
    .await;
    let kim = app.browser("kim", Role::Admin).await;
    for path in paths() {
        for caller in [&app.anon(), &kim] {
            // Streams do not end by themselves.
            if path.ends_with("/live") {
                continue;
            }
            let reply = caller.get(&filled(path)).await;
            let policy = reply.header("content-security-policy");
            assert!(
                policy.contains("frame-ancestors 'none'") || policy.contains("sandbox"),
                "{path}"
            );
            assert!(!policy.contains("unsafe"), "{path}");
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
            assert!(!reply.header("cache-control").is_empty(), "{path}");
            assert!(
                !reply.header("strict-transport-security").is_empty(),
                "{path}"
            );
            assert!(!reply.header("x-request-id").is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn behind_https_the_cookie_is_bound_to_this_host() {
    let app = TestApp::with(
        &[],
        AppConfig {
            base_url: Some("https://dagctl.example".to_owned()),
            ..AppConfig::default()
        },
    )
    .await;
    auth::create_account(&app.store, "kim", Some(PASSWORD), Role::Viewer)
        .await
        .unwrap();
    let reply = app
        .anon()
        .form("/login", &[("name", "kim"), ("password", PASSWORD)])
        .await;
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-dagctl_session="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

#[tokio::test]
async fn a_request_above_the_limit_is_refused_before_it_is_read() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Operator).await;
    let body = format!("{{\"value\": \"{}\"}}", "x".repeat(1024 * 1024));
    let reply = bot
        .send(
            Method::PUT,
            "/api/v1/variables/a",
            Some("application/json"),
            body,
        )
        .await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.json()["error"]["code"], "too_large");
}
