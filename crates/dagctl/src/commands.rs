//! One file for each command.

pub(crate) mod again;
pub(crate) mod approvals;
pub(crate) mod assets;
pub(crate) mod backfill;
pub(crate) mod bench;
pub(crate) mod connections;
pub(crate) mod dags;
pub(crate) mod db;
pub(crate) mod explain;
pub(crate) mod next;
pub(crate) mod notices;
pub(crate) mod pools;
pub(crate) mod problems;
pub(crate) mod runs;
pub(crate) mod services;
pub(crate) mod simulate;
pub(crate) mod standalone;
pub(crate) mod tasks;
pub(crate) mod tokens;
pub(crate) mod trigger;
pub(crate) mod users;
pub(crate) mod validate;
pub(crate) mod variables;
