//! Our own Postgres: every statement on dagctl's tables is in this crate, because together they are the
//! concurrency argument. It decides nothing: rows in, rows out, each write guarded by the state it expects.

pub mod accounts;
pub mod again;
pub mod assets;
pub mod attempts;
pub mod audit;
pub mod backfills;
pub mod connections;
pub mod dags;
pub mod database;
pub mod due;
pub mod limits;
pub mod logs;
pub mod notices;
pub mod plans;
pub mod pools;
pub mod runs;
pub mod variables;
pub mod vault;
pub mod views;
pub mod waiting;
pub mod workers;

mod week;

pub use database::{Store, StoreError, StoreOptions};
