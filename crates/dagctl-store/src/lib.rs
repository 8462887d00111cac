//! Our own Postgres: every statement on dagctl's tables is in this crate, because together they are the concurrency argument.
