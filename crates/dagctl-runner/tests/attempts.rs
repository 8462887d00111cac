//! Attempts against real processes and real HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempts {
    mod http;
    mod script;
    mod shell;
    mod slack;
    mod supervision;
    mod support;
}
