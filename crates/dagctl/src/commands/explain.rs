//! `dagctl explain`: why a DAG, a run or a task does not move.

use dagctl_api::explain::Explained;

use crate::client::Client;
use crate::commands::problems;
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer, Tone};
use crate::stop::Ended;

/// Says why something does not move, in one sentence each.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The DAG
    dag_id: String,
    /// One of its runs; `latest` is the newest
    run_id: Option<String>,
    /// One task of that run
    #[arg(requires = "run_id")]
    task_id: Option<String>,
    /// How to write it
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Carries out `dagctl explain`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let mut path = vec!["dags", args.dag_id.as_str()];
    if let Some(run_id) = &args.run_id {
        path.extend(["runs", run_id.as_str()]);
    }
    if let Some(task_id) = &args.task_id {
        path.extend(["tasks", task_id.as_str()]);
    }
    path.push("explain");
    let explained: Explained = match client.get(&path).await {
        Ok(it) => it,
        Err(err) => return Err(problems::explain(&client, &args.dag_id, err).await),
    };
    match args.output {
        Format::Table => {
            printer.data(line(printer, &explained));
            for part in &explained.parts {
                printer.data(format_args!("  {}", line(printer, part)));
            }
        }
        Format::Json | Format::Yaml => printer.record(args.output, &explained, &[]),
    }
    Ok(())
}

fn line(printer: Printer, it: &Explained) -> String {
    let name = printer.paint(Tone::Strong, &it.name);
    let state = it.state.as_ref().map(|state| format!(" ({state})"));
    let since = it.since.as_ref().map(|at| format!(", since {at}"));
    format!(
        "{name}{}: {}{}",
        state.unwrap_or_default(),
        it.sentence,
        since.unwrap_or_default()
    )
}
