//! What the REST interface under `/api/v1` takes and answers: plain data, known to the server and to its clients.
//!
//! Times are RFC 3339 in UTC. A dag run's key is a text, because it is above what a JSON number holds exactly.

pub mod again;
pub mod approvals;
pub mod assets;
pub mod backfills;
pub mod dags;
pub mod error;
pub mod explain;
pub mod forecast;
pub mod notices;
pub mod pools;
pub mod problems;
pub mod runs;
pub mod service;
pub mod settings;
pub mod state;
pub mod tasks;

use serde::{Deserialize, Serialize};

/// Where every path of this interface begins.
pub const PREFIX: &str = "/api/v1";

/// The header that makes a repeated trigger give the first one's run.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Some rows of a list, and where the next ones begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The value of `after` that gives the next rows; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<String>,
}

/// Which rows of a list: the query of every `GET` that answers with a [`Page`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// How many rows at most; 50 where it is not set, 500 at most.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<u32>,
}
