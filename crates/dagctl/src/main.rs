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

use crate::cli::Cli;
use crate::config::Environment;
use crate::printer::Printer;
use crate::stop::BROKEN;

fn main() -> ExitCode {
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
