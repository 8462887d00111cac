//! What dagctl promises of runs, proved against a real database, real processes and real HTTP.

#![expect(clippy::unwrap_used, reason = "a test's own trouble is a panic")]

mod again;
mod approvals;
mod assets;
mod backfill;
mod callbacks;
mod cancel;
mod database;
mod drain;
mod fences;
mod limits;
mod mail;
mod mapping;
mod notices;
mod outputs;
mod quarantine;
mod retries;
mod rules;
mod run_limits;
mod schedule;
mod syncer;
mod takeover;
mod task_limits;
mod trigger;
mod waiting;
mod wake;

mod slack;
mod support;
