//! `GET /pools`, `PUT /pools/{name}` and `GET /workers`.

use serde::{Deserialize, Serialize};

/// A pool and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How many tasks run in it at once; absent: no limit.
    pub slots: Option<i32>,
    /// How many run now.
    pub running: i64,
    /// How many wait for a worker or a slot.
    pub queued: i64,
    /// A sentence about it.
    pub description: Option<String>,
}

/// What `PUT /pools/{name}` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolWrite {
    /// How many tasks run in it at once; absent or null: no limit.
    #[serde(default)]
    pub slots: Option<i32>,
    /// A sentence about it; absent: unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number, never used twice.
    pub worker_id: i32,
    /// The machine and process it runs in.
    pub name: String,
    /// The version of dagctl it runs.
    pub version: String,
    /// `alive`, `late`, `lost` or `stopped`.
    pub state: String,
    /// Attempts it takes at once.
    pub slots: i32,
    /// Attempts it has.
    pub running: i64,
    /// When it started.
    pub started_at: String,
    /// Until when its claims are its own.
    pub lease_until: String,
}
