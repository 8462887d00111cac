//! stub
use crate::config::Environment;
use crate::printer::Printer;
use crate::stop::Ended;
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) async fn run(_args: Args, _printer: Printer, _environment: &Environment) -> Ended {
    Ok(())
}
