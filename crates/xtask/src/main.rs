//! What one types to work on dagctl: `cargo xtask test`, `cargo xtask prepare`, `cargo xtask dev-db`.
//!
//! It knows PostgreSQL's programs and cargo, and no part of dagctl but the private server.

mod development;
mod migrations;
mod queries;
mod steps;
mod suite;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks around the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every check and every test, browser tests included. CI runs exactly this.
    Test,
    /// Describes the store's checked queries again, so that builds need no database.
    Prepare {
        /// Changes nothing, and fails if something would change.
        #[arg(long)]
        check: bool,
    },
    /// Starts a private PostgreSQL with fresh tables, and points `.env` at it.
    DevDb {
        /// Stops it instead.
        #[arg(long)]
        stop: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Test => suite::run(),
        Task::Prepare { check: false } => queries::prepare(),
        Task::Prepare { check: true } => queries::check(),
        Task::DevDb { stop: false } => development::start(),
        Task::DevDb { stop: true } => development::stop(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            steps::say(&format!("error: {err:#}"));
            ExitCode::FAILURE
        }
    }
}
