//! What tests need around them: a private PostgreSQL with a database for each test, and a warehouse.
//!
//! For dev-dependencies only. It knows dagctl-postgres and no other dagctl crate: tables come in as a
//! migrator or a closure.

mod database;
mod own_server;
mod shared_server;
pub mod warehouse;

pub use database::TestDatabase;
pub use own_server::OwnServer;
