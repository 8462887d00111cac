//! What pages and REST show: reads that change nothing, one statement a list.

pub mod approvals;
pub mod assets;
pub mod dags;
pub mod explain;
pub mod logs;
pub mod runs;
pub mod service;
pub mod tasks;

use crate::StoreError;

/// Reads a state's letter.
pub(crate) fn letter<T>(
    table: &'static str,
    letter: i8,
    read: impl Fn(char) -> Option<T>,
) -> Result<T, StoreError> {
    let letter = char::from(letter.cast_unsigned());
    read(letter).ok_or_else(|| StoreError::Unreadable {
        table,
        what: format!("state `{letter}`"),
    })
}
