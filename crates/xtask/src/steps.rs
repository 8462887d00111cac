//! Runs one command after the other, and says how long each took.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Writes a line for the person who typed the command.
pub(crate) fn say(line: &str) {
    // Nothing better can be done when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate is two folders below the root")
        .to_owned()
}

/// Describes a call of `program` in the root of the checkout.
pub(crate) fn command(program: &str) -> Command {
    #[expect(
        clippy::disallowed_methods,
        reason = "running other programs is all that xtask does"
    )]
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Describes a call of cargo that builds from the committed descriptions of queries.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = command("cargo");
    // A developer's DATABASE_URL is another database than the one that the commit was checked against.
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env("SQLX_OFFLINE", "true");
    command
}

/// What has been run so far, for the table of times.
#[derive(Default)]
pub(crate) struct Steps {
    times: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs `command` with its words on our terminal.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.time(name, || {
            let status = command
                .status()
                .with_context(|| format!("could not run `{}`", words(command)))?;
            if !status.success() {
                bail!("step `{name}` failed: `{}` ({status})", words(command));
            }
            Ok(())
        })
    }

    /// Runs `work` as a step.
    pub(crate) fn time<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        say(&format!("== {name}"));
        let begun = Instant::now();
        let done = work();
        self.times.push((name.to_owned(), begun.elapsed()));
        done
    }

    /// Says what took how long.
    pub(crate) fn say_times(&self) {
        say("== times so far");
        for (name, time) in &self.times {
            say(&format!("{:>8.1} s  {name}", time.as_secs_f64()));
        }
        let all: Duration = self.times.iter().map(|(_, time)| time).sum();
        say(&format!("{:>8.1} s  together", all.as_secs_f64()));
    }
}

fn words(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
