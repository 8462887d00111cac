//! `dagctl problems`: what the running dagctl found wrong with its DAG files.

use std::path::Path;

use dagctl_api::problems::Problem;

use crate::client::{Client, ClientError};
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

/// Shows what is wrong with the DAG files, as the running dagctl sees them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    // Other commands list by `list`.
    #[arg(hide = true, value_parser = ["list"])]
    list: Option<String>,
    /// How to write the problems
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Why there is no such DAG: its file may be there, and broken.
pub(crate) async fn explain(client: &Client, dag_id: &str, err: ClientError) -> Stop {
    let ClientError::Refused { status, .. } = &err else {
        return err.into();
    };
    if *status != reqwest::StatusCode::NOT_FOUND {
        return err.into();
    }
    // The first refusal says enough where the problems cannot be had.
    let problems: Vec<Problem> = client
        .list(&["problems"], &[], usize::MAX)
        .await
        .unwrap_or_default();
    let broken = problems.iter().find(|it| {
        let stem = Path::new(&it.file).file_stem();
        let is_meant = it.dag_id.as_deref() == Some(dag_id)
            || it.dag_id.is_none() && stem.is_some_and(|it| it == dag_id);
        it.severity == "error" && is_meant
    });
    match broken {
        Some(it) => Stop::refused(format_args!(
            "`{}` has an error, so there is no DAG `{dag_id}` yet: see `dagctl problems`",
            it.file
        )),
        None => err.into(),
    }
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
