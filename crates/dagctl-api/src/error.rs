//! What a refused or failed request answers with.

use serde::{Deserialize, Serialize};

/// The body of every answer that is not 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for a program and for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A stable word: `unauthenticated`, `forbidden`, `not_found`, `unknown_dag`, `bad_params`, `bad_request`,
    /// `conflict`, `too_many_logins`, `too_large`, `unavailable`, `internal`.
    pub code: String,
    /// One sentence; several lines where there are several problems.
    pub message: String,
    /// What to do next, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// What to look for in the server's log.
    pub request_id: String,
}
