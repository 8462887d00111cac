//! The operators that work on a user's database, against a real one.

mod build_table;
mod fences;
mod load_file;
mod readers;
mod sql;
mod support;
