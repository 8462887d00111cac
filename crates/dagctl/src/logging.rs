//! What dagctl says about itself while it runs: lines on stderr, for people or for programs.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{Environment, LogConfig, LogFormat};
use crate::stop::Stop;

/// Starts logging; `usual` is the filter where the user asks for none.
pub(crate) fn start(
    config: &LogConfig,
    usual: &str,
    environment: &Environment,
) -> Result<(), Stop> {
    let asked = config.log.clone().or_else(|| environment.rust_log());
    let directives = asked.as_deref().unwrap_or(usual);
    let filter = EnvFilter::builder().parse(directives).map_err(|err| {
        Stop::broken(format_args!(
            "`{directives}` is no log filter ({err}): expected a level such as `info`, or directives such as \
             `warn,dagctl_engine=debug`"
        ))
    })?;
    let is_terminal = io::stderr().is_terminal();
    let format = config.log_format.unwrap_or(if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal && !environment.refuses_colour());
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
