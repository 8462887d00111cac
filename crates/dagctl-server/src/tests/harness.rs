//! A server on a database of its own, and somebody who speaks to it.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use dagctl_engine::{Engine, EngineConfig};
use dagctl_store::Store;
use dagctl_store::accounts::Role;
use dagctl_store::database::MIGRATIONS;
use dagctl_testkit::TestDatabase;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{App, AppConfig, auth, router};

pub(super) const PASSWORD: &str = "correct horse battery";

/// A server, and the database that goes with it.
pub(super) struct TestApp {
    pub(super) database: TestDatabase,
    pub(super) store: Store,
    router: Router,
}

/// What the server answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

/// Somebody who speaks to the server.
#[derive(Clone)]
pub(super) struct Somebody<'a> {
    app: &'a TestApp,
    headers: Vec<(&'static str, String)>,
}

impl TestApp {
    pub(super) async fn new() -> Self {
        Self::with(&[], AppConfig::default()).await
    }

    pub(super) async fn with(environment: &[(&str, &str)], config: AppConfig) -> Self {
        let database = TestDatabase::migrated(&MIGRATIONS).await;
        let store = Store::from_pool(database.pool.clone());
        let mut engine = EngineConfig::new("dags".into(), "runs".into(), [7; 32]);
        engine.environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let engine = Engine::new(store.clone(), store.clone(), engine);
        Self {
            router: router(App::new(engine, config)),
            database,
            store,
        }
    }

    pub(super) fn anon(&self) -> Somebody<'_> {
        Somebody {
            app: self,
            headers: vec![],
        }
    }

    /// A program with a token of a new account.
    pub(super) async fn program(&self, name: &str, role: Role) -> Somebody<'_> {
        let account = auth::create_account(&self.store, name, None, role)
            .await
            .unwrap();
        let token = auth::create_token(&self.store, account.account_id, "test", None)
            .await
            .unwrap();
        self.anon()
            .with("authorization", &format!("Bearer {token}"))
    }

    /// A browser that logged in to a new account through the form.
    pub(super) async fn browser(&self, name: &str, role: Role) -> Somebody<'_> {
        auth::create_account(&self.store, name, Some(PASSWORD), role)
            .await
            .unwrap();
        let reply = self
            .anon()
            .form("/login", &[("name", name), ("password", PASSWORD)])
            .await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.text);
        self.anon().with("cookie", &reply.cookie())
    }

    /// Rows for tests that need a past.
    pub(super) async fn sql(&self, statements: &'static str) {
        sqlx::raw_sql(statements)
            .execute(&self.database.pool)
            .await
            .unwrap();
    }
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// The cookie as a browser sends it back.
    pub(super) fn cookie(&self) -> String {
        let cookie = self.header("set-cookie");
        cookie.split(';').next().unwrap_or_default().to_owned()
    }

    /// The token that the page's forms carry.
    pub(super) fn form_token(&self) -> String {
        let (_, rest) = self
            .text
            .split_once(r#"name="csrf" value=""#)
            .unwrap_or_else(|| panic!("no form: {}", self.text));
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Somebody<'_> {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(it, _)| *it != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: Option<&str>,
        body: String,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.app.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 4 << 20).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, String::new()).await
    }

    pub(super) async fn json(&self, method: Method, path: &str, body: Value) -> Reply {
        self.send(method, path, Some("application/json"), body.to_string())
            .await
    }

    pub(super) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = Some("application/x-www-form-urlencoded");
        self.send(Method::POST, path, kind, body).await
    }
}
