//! What `schedule:` says.

use std::time::Duration;

/// When a DAG runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// `null`: only when triggered.
    Manual,
    /// `@once`: when first seen.
    Once,
    /// `@continuous`: again as soon as the run before has ended.
    Continuous,
    /// One or more cron expressions; due when any of them is.
    Cron(Vec<CronExpression>),
    /// `{every: 15m}`: counted from `start_date`, else from 1970-01-01T00:00Z.
    Every(Duration),
}

/// A cron expression that can be due.
#[derive(Debug, Clone, PartialEq)]
pub struct CronExpression {
    text: String,
    cron: croner::Cron,
}
