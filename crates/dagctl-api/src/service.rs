//! `GET /health`, `GET /ready` and `GET /version`.

use serde::{Deserialize, Serialize};

/// What `GET /health` answers, to everybody: the process is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
}

/// What `GET /ready` answers: 200 where work can be done, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether the database answers.
    pub database: bool,
    /// How many workers are alive.
    pub workers: i64,
}

/// What `GET /version` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The version of dagctl that answers.
    pub version: String,
}
