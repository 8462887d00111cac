//! Every check and every test, in the order in which a mistake shows soonest.

use anyhow::ensure;
use dagctl_postgres::{Durability, Options, PrivatePostgres};

use crate::queries::{self, open_to_the_server};
use crate::steps::{Steps, cargo, say};
use crate::tools;

/// Test processes find their server here (`dagctl-testkit`).
const SERVER_VARIABLE: &str = "DAGCTL_TEST_POSTGRES";

/// Runs it all. The last words are the test runner's summary.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut steps = Steps::default();
    steps.run("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    let programs = steps.time("tools", || {
        tools::browser()?;
        tools::postgres()
    })?;
    steps.run(
        "clippy",
        &mut cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny=warnings",
        ]),
    )?;
    steps.time("queries", queries::check)?;
    steps.run(
        "documentation",
        cargo(&["doc", "--locked", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "--deny=warnings"),
    )?;
    if tools::exists("cargo-deny") {
        // The advisories are those that were fetched last: CI has no way to the database.
        steps.run(
            "deny",
            &mut cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]),
        )?;
    } else {
        say("== deny: skipped, `cargo deny` is not installed (cargo install cargo-deny)");
    }
    steps.run(
        "build of the tests",
        &mut cargo(&["test", "--locked", "--workspace", "--no-run"]),
    )?;
    steps.run(
        "examples in the documentation",
        &mut cargo(&["test", "--locked", "--workspace", "--doc"]),
    )?;

    let folder = tempfile::Builder::new()
        .prefix("dagctl-suite-")
        .permissions(open_to_the_server())
        .tempdir()?;
    let server = steps.time("server for the tests", || {
        Ok(PrivatePostgres::start(Options {
            durability: Durability::TestsOnly,
            max_connections: 400,
            ..Options::new(folder.path().join("server"), programs)
        })?)
    })?;
    steps.say_times();
    let mut tests = if tools::exists("cargo-nextest") {
        cargo(&[
            "nextest",
            "run",
            "--locked",
            "--workspace",
            "--no-fail-fast",
        ])
    } else {
        cargo(&[
            "test",
            "--locked",
            "--workspace",
            "--all-targets",
            "--no-fail-fast",
        ])
    };
    tests.env(SERVER_VARIABLE, server.connection_url("postgres"));
    say("== tests");
    let passed = tests.status()?.success();
    server.stop()?;
    ensure!(passed, "some tests failed");
    Ok(())
}
