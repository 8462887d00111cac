//! `dagctl problems`: what the running dagctl found wrong with its DAG files.

use dagctl_api::problems::Problem;

use crate::client::Client;
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::Ended;

/// Shows what is wrong with the DAG files, as the running dagctl sees them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to write the problems
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Carries out `dagctl problems`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let problems: Vec<Problem> = client.list(&["problems"], &[], usize::MAX).await?;
    match args.output {
        Format::Table => {
            for problem in &problems {
                printer.data(problem.rendered.trim_end());
                printer.data("");
            }
            if problems.is_empty() {
                printer.say("No problems");
            }
        }
        Format::Json | Format::Yaml => printer.rows(args.output, &problems, [], |_| []),
    }
    Ok(())
}
