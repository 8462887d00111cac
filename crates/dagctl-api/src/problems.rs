//! `GET /problems`.

use serde::{Deserialize, Serialize};

/// Something wrong with a file, as the last look at the dags folder found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, relative to the dags folder.
    pub file: String,
    /// The line, from 1.
    pub line: i32,
    /// The column, from 1.
    pub column: i32,
    /// `error` or `warning`.
    pub severity: String,
    /// Its stable code.
    pub code: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The whole message with the line, a caret and a hint.
    pub rendered: String,
    /// The DAG whose last good version goes on.
    pub dag_id: Option<String>,
    /// When it was first seen.
    pub first_seen_at: String,
}
