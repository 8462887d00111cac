//! The operators that work on a user's database, against a real one.

#![expect(clippy::unwrap_used, reason = "a test's own trouble is a panic")]

mod build_table;
mod fences;
mod load_file;
mod readers;
mod sql;
mod support;
