//! dagctl's REST interface over connections that stay open.

use anyhow::{Context, bail};
use dagctl_api::PREFIX;
use dagctl_api::runs::{Run, TriggerRequest, Triggered};
use reqwest::{Method, RequestBuilder};

/// A client with a token. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    http: reqwest::Client,
    /// The server's address, without a slash at its end.
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Rest {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().tcp_nodelay(true).build()?,
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// A request to a path of the REST interface, such as `/dags`, with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{PREFIX}{path}", self.url))
            .bearer_auth(&self.token)
    }

    /// A request to any path of the server, such as a page's, with the token.
    pub(crate) fn page(&self, path: &str) -> RequestBuilder {
        self.http
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.token)
    }

    /// Sends a request, and reads its answer to the last byte.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Vec<u8>> {
        let answer = request.send().await.context("no answer from dagctl")?;
        let (status, path) = (answer.status(), answer.url().path().to_owned());
        let body = answer.bytes().await?;
        if !status.is_success() {
            bail!(
                "{path} answers {status}: {}",
                String::from_utf8_lossy(&body)
            );
        }
        Ok(body.into())
    }

    /// Triggers a run.
    pub(crate) async fn trigger(&self, dag_id: &str) -> anyhow::Result<Run> {
        let request = self
            .request(Method::POST, &format!("/dags/{dag_id}/runs"))
            .json(&TriggerRequest::default());
        let triggered: Triggered = serde_json::from_slice(&self.send(request).await?)?;
        Ok(triggered.run)
    }

    /// Lets nothing of a pool start, or everything again.
    pub(crate) async fn set_pool(&self, pool: &str, slots: Option<i32>) -> anyhow::Result<()> {
        let write = dagctl_api::pools::PoolWrite {
            slots,
            description: None,
        };
        let request = self
            .request(Method::PUT, &format!("/pools/{pool}"))
            .json(&write);
        self.send(request).await.map(drop)
    }
}
