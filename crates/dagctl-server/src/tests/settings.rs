//! Variables and connections: everything about them but their secrets.

use axum::http::{Method, StatusCode};
use dagctl_store::accounts::Role;
use serde_json::json;

use super::harness::TestApp;
use crate::AppConfig;

const CANARY: &str = "c4nary-4f1e9d";

#[tokio::test]
async fn a_variable_of_the_environment_is_listed_with_what_it_shadows() {
    let app = TestApp::with(
        &[
            ("DAGCTL_VAR_DATA_DIR", "/data"),
            ("AIRFLOW_VAR_DATA_DIR", "/old"),
        ],
        AppConfig::default(),
    )
    .await;
    let bot = app.program("bot", Role::Operator).await;
    let saved = bot
        .json(
            Method::PUT,
            "/api/v1/variables/data_dir",
            json!({"value": "/database"}),
        )
        .await;
    assert_eq!(
        saved.json()["warnings"][0],
        "saved, but DAGCTL_VAR_DATA_DIR is set and comes first"
    );
    for name in ["data_dir", "DATA_DIR", "Data_Dir"] {
        let it = bot.get(&format!("/api/v1/variables/{name}")).await.json();
        assert_eq!(it["value"], "/data", "{name}");
        assert_eq!(it["source"], "environment");
        assert_eq!(it["shadows"], json!(["airflow_environment", "database"]));
    }
    assert_eq!(
        bot.get("/api/v1/variables")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_saved_variable_is_read_back_and_deleted() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Operator).await;
    let path = "/api/v1/variables/greeting";
    let missing = bot.get(path).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(
        missing.json()["error"]["hint"],
        "`dagctl variables set greeting VALUE` sets it"
    );
    for value in ["hello", "안녕"] {
        let write = json!({"value": value, "description": "what to say"});
        assert_eq!(
            bot.json(Method::PUT, path, write).await.status,
            StatusCode::OK
        );
        assert_eq!(bot.get(path).await.json()["value"], value);
    }
    assert_eq!(
        bot.json(Method::DELETE, path, json!({})).await.status,
        StatusCode::OK
    );
    assert_eq!(bot.get(path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        bot.json(Method::DELETE, path, json!({})).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn secrets_never_come_back_out() {
    let env_uri = format!("postgres://me:{CANARY}@host/db");
    let app = TestApp::with(
        &[
            ("DAGCTL_VAR_API_TOKEN", CANARY),
            ("AIRFLOW_CONN_DW", &env_uri),
        ],
        AppConfig::default(),
    )
    .await;
    let bot = app.program("bot", Role::Admin).await;
    let put = |path: &'static str, body| bot.json(Method::PUT, path, body);
    let variables = [
        put("/api/v1/variables/slack_url", json!({"value": CANARY})).await,
        put("/api/v1/variables/plain", json!({"value": CANARY, "is_secret": true})).await,
        put("/api/v1/connections/saved", json!({"uri": format!("http://u:{CANARY}@h?token={CANARY}")})).await,
        put(
            "/api/v1/connections/parts",
            json!({"conn_type": "postgres", "host": "h", "password": CANARY, "extra": {"private_key": CANARY}}),
        )
        .await,
        put("/api/v1/connections/bad", json!({"uri": format!("no uri {CANARY}")})).await,
    ];
    for reply in &variables {
        assert!(!reply.text.contains(CANARY), "{}", reply.text);
    }
    let kim = app.browser("kim", Role::Admin).await;
    for path in [
        "/api/v1/variables",
        "/api/v1/variables/slack_url",
        "/api/v1/connections",
        "/api/v1/connections/parts",
        "/variables",
        "/variables?edit=plain",
        "/variables?edit=API_TOKEN",
        "/connections",
        "/connections?edit=parts",
        "/connections?edit=saved",
    ] {
        let reply = match path.starts_with("/api") {
            true => bot.get(path).await,
            false => kim.get(path).await,
        };
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert!(!reply.text.contains(CANARY), "{path}: {}", reply.text);
    }
    let dump: String = sqlx::query_scalar(
        "select string_agg(t::text, '') from (
             select v::text as t from variable v union all select c::text from connection c
             union all select a::text from audit a
         ) x",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert!(!dump.contains(CANARY), "{dump}");
}

#[tokio::test]
async fn a_kept_password_does_not_follow_to_another_host() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Operator).await;
    let path = "/api/v1/connections/dw";
    let first =
        json!({"conn_type": "postgres", "host": "dw.example", "login": "me", "password": CANARY});
    assert_eq!(
        bot.json(Method::PUT, path, first).await.status,
        StatusCode::OK
    );
    let renamed = json!({"conn_type": "postgres", "host": "dw.example", "login": "you"});
    assert_eq!(
        bot.json(Method::PUT, path, renamed).await.status,
        StatusCode::OK
    );
    let it = bot.get(path).await.json();
    assert_eq!(
        (it["login"].as_str(), it["has_password"].as_bool()),
        (Some("you"), Some(true))
    );
    let moved = json!({"conn_type": "postgres", "host": "evil.example", "login": "you"});
    let reply = bot.json(Method::PUT, path, moved).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(
        reply.text.contains("type the password again"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_secret_stays_one_until_its_value_is_given_anew() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Operator).await;
    let path = "/api/v1/variables/plain";
    let secret = json!({"value": CANARY, "is_secret": true});
    assert_eq!(
        bot.json(Method::PUT, path, secret).await.status,
        StatusCode::OK
    );
    let reply = bot
        .json(Method::PUT, path, json!({"is_secret": false}))
        .await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(bot.get(path).await.json()["value"], json!(null));
}

#[tokio::test]
async fn unknown_fields_are_refused() {
    let app = TestApp::new().await;
    let bot = app.program("bot", Role::Operator).await;
    for (method, path, body) in [
        (
            Method::PUT,
            "/api/v1/variables/a",
            json!({"value": "b", "secret": true}),
        ),
        (
            Method::PUT,
            "/api/v1/connections/a",
            json!({"uri": "http://b", "id": 1}),
        ),
        (Method::POST, "/api/v1/dags/a/runs", json!({"conf": {}})),
        (
            Method::PATCH,
            "/api/v1/dags/a",
            json!({"is_paused": true, "file": "x"}),
        ),
        (
            Method::PUT,
            "/api/v1/pools/a",
            json!({"slots": 1, "name": "b"}),
        ),
    ] {
        let reply = bot.json(method, path, body).await;
        assert!(reply.status.is_client_error(), "{path}: {}", reply.text);
        assert!(
            reply.text.contains("unknown field"),
            "{path}: {}",
            reply.text
        );
    }
}
