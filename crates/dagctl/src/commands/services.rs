//! stub
use crate::config::Environment;
use crate::printer::Printer;
use crate::stop::Ended;
#[derive(Debug, clap::Args)]
pub(crate) struct SchedulerArgs {}
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {}
#[derive(Debug, clap::Args)]
pub(crate) struct WebArgs {}
pub(crate) async fn scheduler(
    _args: SchedulerArgs,
    _printer: Printer,
    _environment: Environment,
) -> Ended {
    Ok(())
}
pub(crate) async fn worker(
    _args: WorkerArgs,
    _printer: Printer,
    _environment: Environment,
) -> Ended {
    Ok(())
}
pub(crate) async fn web(_args: WebArgs, _printer: Printer, _environment: Environment) -> Ended {
    Ok(())
}
