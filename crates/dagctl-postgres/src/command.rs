//! Builds and runs PostgreSQL's programs, away from our terminal and from the caller's `PG*` variables.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use crate::server_user::ServerUser;

/// Variables that change what PostgreSQL's programs do, and must not leak in from the caller.
const FOREIGN: [&str; 13] = [
    "PGDATA",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGDATABASE",
    "PGOPTIONS",
    "PGSERVICE",
    "PGSSLMODE",
    "PGTZ",
    "PGCLIENTENCODING",
    "PGAPPNAME",
];

/// A program that failed: what ran, and what it said.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The program did not start.
    #[error("could not run `{program}`")]
    Spawn {
        /// What was to run.
        program: String,
        /// Why it did not.
        source: std::io::Error,
    },
    /// The program ran and failed.
    #[error("`{program}` failed: {said}")]
    Failed {
        /// What ran.
        program: String,
        /// Its last words.
        said: String,
    },
}

/// Starts to describe a call of `program` that keeps our terminal and its keyboard.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where this crate starts processes"
)]
pub(crate) fn command_at_terminal(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Starts to describe a call of `program`, as `user`, away from our terminal.
pub(crate) fn command(program: impl AsRef<OsStr>, user: Option<&ServerUser>) -> Command {
    let mut command = command_at_terminal(program);
    // The caller's folder may be closed to the server's user. A group of its own keeps the terminal's
    // Ctrl-C away: the server must outlive the services that still write to it while they stop.
    command
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null());
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C");
    if let Some(switch) = user.and_then(ServerUser::switch) {
        // As root, this also drops root's supplementary groups.
        command.uid(switch.uid).gid(switch.gid);
        command.env_remove("HOME");
    }
    command
}

/// Runs to the end, and keeps what was said.
pub(crate) fn run(command: &mut Command) -> Result<String, CommandError> {
    let output = command
        .output()
        .map_err(|source| spawn_error(command, source))?;
    finish(command, output)
}

/// Runs to the end with `input` on its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String, CommandError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| spawn_error(command, source))?;
    let mut stdin = child.stdin.take().expect("stdin was asked to be a pipe");
    // A program that ended early says why in its own words, which `finish` reports.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child
        .wait_with_output()
        .map_err(|source| spawn_error(command, source))?;
    finish(command, output)
}

fn finish(command: &Command, output: Output) -> Result<String, CommandError> {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(out);
    }
    let err = String::from_utf8_lossy(&output.stderr);
    let said = format!("{}\n{}", err.trim(), out.trim());
    let said = match said.trim() {
        "" => output.status.to_string(),
        said => said.to_owned(),
    };
    Err(CommandError::Failed {
        program: name(command),
        said,
    })
}

fn spawn_error(command: &Command, source: std::io::Error) -> CommandError {
    CommandError::Spawn {
        program: name(command),
        source,
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
