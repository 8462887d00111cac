//! `GET /notices` and `POST /notices/{notice_id}/send`.

use serde::{Deserialize, Serialize};

/// A message that has not arrived for certain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number.
    pub notice_id: i64,
    /// The DAG it is about; absent where that is gone.
    pub dag_id: Option<String>,
    /// The run it is about; absent where that is gone.
    pub run_id: Option<String>,
    /// `pending`, `unknown` (it may have arrived) or `given_up`.
    pub state: String,
    /// How often it was sent.
    pub sends: i16,
    /// When it is sent next.
    pub due_at: String,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: String,
}
