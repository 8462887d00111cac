//! The command line of dagctl: reads the configuration, and wires the services together.

mod cli;
mod client;
mod commands;
mod config;
mod daemon;
mod database;
mod events;
mod follow;
mod local;
mod logging;
mod printer;
mod private_postgres;
mod secret_key;
mod signals;
mod stop;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use dagctl_runner::shell;

use crate::cli::Cli;
use crate::config::Environment;
use crate::printer::Printer;
use crate::stop::BROKEN;

/// Makes this program the guardian of a worker's processes. Not a command of the command line: nobody types it.
const GUARD: &str = "guard-processes";

fn main() -> ExitCode {
    // Before anything else: a guardian is there for as long as its worker, and should weigh little.
    if std::env::args_os().nth(1).is_some_and(|it| it == GUARD) {
        shell::guard();
        return ExitCode::SUCCESS;
    }
    shell::set_guardian(GUARD);
    let environment = Environment::read();
    let printer = Printer::new(&environment);
    // Wrong usage ends here, with exit code 2.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(err) => usage::exit(err, printer),
    };
    // Every TLS connection of this process uses this provider. A second call would fail; there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut runtime = match cli.only_asks() {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => {
            printer.error(format_args!("could not start: {err}"));
            return ExitCode::from(BROKEN);
        }
    };
    match runtime.block_on(cli.run(printer, environment)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if let Some(message) = &stop.message {
                printer.error(message);
            }
            ExitCode::from(stop.code)
        }
    }
}
