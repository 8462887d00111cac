//! Attempts against real processes and real HTTP.

mod attempts {
    mod http;
    mod script;
    mod shell;
    mod slack;
    mod supervision;
    mod support;
}
