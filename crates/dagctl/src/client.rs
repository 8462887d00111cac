//! Speaks to a running dagctl over REST.

use std::time::Duration;

use dagctl_api::error::{ErrorBody, ErrorDetail};
use dagctl_api::{IDEMPOTENCY_KEY, PREFIX, Page};
use dagctl_core::connection::Secret;
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::config::{ClientConfig, Environment};
use crate::local::LocalAccess;
use crate::stop::Stop;

/// A dagctl to speak to, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
}

/// Why a request gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody answers there.
    #[error(
        "no dagctl answers at {url} ({reason}): start one with `dagctl standalone`, or say which with --data-dir \
         (DAGCTL_HOME) for a standalone of this machine, or with --url (DAGCTL_URL) and --token (DAGCTL_TOKEN)"
    )]
    Unreachable {
        /// Where it was looked for.
        url: Url,
        /// What happened instead.
        reason: String,
    },
    /// The answer is a refusal.
    #[error("{}", refusal(.detail))]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says.
        detail: ErrorDetail,
    },
    /// Somebody answers who is not dagctl, or speaks another version.
    #[error(
        "the answer of {url} is not dagctl's: {reason}; does another program listen there, or an older dagctl?"
    )]
    Foreign {
        /// Who answered.
        url: Url,
        /// What is odd about it.
        reason: String,
    },
}

impl From<ClientError> for Stop {
    fn from(err: ClientError) -> Self {
        match &err {
            ClientError::Refused { status, .. } if status.is_client_error() => Stop::refused(err),
            ClientError::Refused { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Foreign { .. } => Stop::broken(err),
        }
    }
}

impl Client {
    /// Finds the dagctl that the user means: by flag or variable, else the standalone of this user.
    pub(crate) fn find(config: &ClientConfig, environment: &Environment) -> Result<Self, Stop> {
        let local = LocalAccess::find(environment);
        let url = match (&config.url, &local) {
            (Some(url), _) => url.clone(),
            (None, Some(local)) => local.url.clone(),
            (None, None) => "http://127.0.0.1:8080".to_owned(),
        };
        let base = Url::parse(&url)
            .ok()
            .filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host())
            .ok_or_else(|| {
                Stop::broken(format_args!(
                    "`{url}` is not the address of a dagctl: expected one such as http://127.0.0.1:8080"
                ))
            })?;
        // The local token is for the local address: another server must not get to see it.
        let local_token = local
            .filter(|it| it.url.trim_end_matches('/') == url.trim_end_matches('/'))
            .map(|it| Secret::new(it.token));
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            // A token would not travel along to another address, so following never leads anywhere.
            .redirect(Policy::none())
            .user_agent(concat!("dagctl/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // Reading the system's certificates takes longer than a request, and nothing here will need them.
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            http: http
                .build()
                .map_err(|err| Stop::broken(format_args!("could not set up HTTP: {err}")))?,
            base,
            token: config.token.clone().or(local_token),
        })
    }

    /// The server's address with a path below it, for people.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// Reads one thing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, ClientError> {
        self.answer(self.request(Method::GET, path, &[])).await
    }

    /// Reads one thing as a query asks for it.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        self.answer(self.request(Method::GET, path, query)).await
    }

    /// Reads a list to its end, or to `most` rows.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        most: usize,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = vec![];
        let mut after: Option<String> = None;
        while items.len() < most {
            let mut query = query.to_vec();
            if let Some(after) = after.take() {
                query.push(("after", after));
            }
            let request = self.request(Method::GET, path, &query);
            let answer: Value = self.answer(request).await?;
            let mut page: Page<T> = match answer {
                Value::Array(_) => Page {
                    items: self.read(answer)?,
                    next: None,
                },
                Value::Object(_) => self.read(answer)?,
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                    return Err(self.foreign("a list was expected"));
                }
            };
            items.append(&mut page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        items.truncate(most);
        Ok(items)
    }

    /// Changes something, and reads what comes of it.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.answer(self.request(method, path, &[]).json(body))
            .await
    }

    /// Changes something once, however often the request is repeated with the same key.
    pub(crate) async fn send_once<T: DeserializeOwned>(
        &self,
        path: &[&str],
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self
            .request(Method::POST, path, &[])
            .header(IDEMPOTENCY_KEY, key)
            .json(body);
        self.answer(request).await
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<(), ClientError> {
        self.reply(self.request(Method::DELETE, path, &[]))
            .await
            .map(drop)
    }

    /// Opens an answer that is read piece by piece.
    pub(crate) async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Response, ClientError> {
        self.reply(self.request(Method::GET, path, query)).await
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(PREFIX.split('/').filter(|it| !it.is_empty()))
                .extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let reply = self.reply(request).await?;
        let bytes = reply.bytes().await.map_err(|err| self.unreachable(&err))?;
        serde_json::from_slice(&bytes).map_err(|err| self.foreign(&err.to_string()))
    }

    async fn reply(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let reply = request.send().await.map_err(|err| self.unreachable(&err))?;
        let status = reply.status();
        if status.is_success() {
            return Ok(reply);
        }
        let elsewhere = reply.headers().get(header::LOCATION);
        if let Some(Ok(url)) = elsewhere.map(header::HeaderValue::to_str) {
            return Err(self.foreign(&format!(
                "it sends everybody on to {url}, so say that address with --url or DAGCTL_URL"
            )));
        }
        let text = reply.text().await.unwrap_or_default();
        match serde_json::from_str::<ErrorBody>(&text) {
            Ok(body) => Err(ClientError::Refused {
                status,
                detail: self.with_hint(status, body.error),
            }),
            Err(_) => Err(self.foreign(&format!("status {status} without an explanation"))),
        }
    }

    /// Tells a command line's user what a browser's user would not have to know.
    fn with_hint(&self, status: StatusCode, mut detail: ErrorDetail) -> ErrorDetail {
        if status == StatusCode::UNAUTHORIZED {
            detail.hint = Some(match self.token {
                Some(_) => "the token is not valid there any more: make another with `dagctl tokens create`, and \
                     hand it over as --token or DAGCTL_TOKEN"
                    .to_owned(),
                None => format!(
                    "an address alone is not enough, {} wants a token too: make one there with `dagctl tokens create`, and \
                     hand it over as --token or DAGCTL_TOKEN",
                    self.base
                ),
            });
        }
        detail
    }

    fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, ClientError> {
        serde_json::from_value(value).map_err(|err| self.foreign(&err.to_string()))
    }

    fn foreign(&self, reason: &str) -> ClientError {
        ClientError::Foreign {
            url: self.base.clone(),
            reason: reason.to_owned(),
        }
    }

    fn unreachable(&self, err: &reqwest::Error) -> ClientError {
        let mut cause: &dyn std::error::Error = err;
        while let Some(source) = cause.source() {
            cause = source;
        }
        ClientError::Unreachable {
            url: self.base.clone(),
            reason: cause.to_string(),
        }
    }
}

fn refusal(detail: &ErrorDetail) -> String {
    match &detail.hint {
        Some(hint) => format!("{}\nhint: {hint}", detail.message),
        None => detail.message.clone(),
    }
}
