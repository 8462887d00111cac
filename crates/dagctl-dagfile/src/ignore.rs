//! `.dagignore`: regular expressions that hide files.

use serde::Serialize;

/// A file that a line of some `.dagignore` hides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IgnoredFile {
    /// The file, relative to the dags folder.
    pub path: String,
    /// The `.dagignore` that hides it, as it is shown.
    pub ignore_file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// The pattern on that line.
    pub pattern: String,
}
