//! `dagctl variables`: what tasks read as `var.value.NAME`.

use dagctl_api::settings::{Saved, Source, Variable, VariableWrite};
use reqwest::Method;

use crate::client::Client;
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    client: ClientConfig,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a variable's value
    Get {
        name: String,
        /// How to write the variable
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Set a variable in the database
    Set {
        name: String,
        /// Its value; `-` reads it from stdin
        value: String,
        /// Show its value to nobody from now on
        #[arg(long)]
        secret: bool,
        /// A sentence about it
        #[arg(long)]
        description: Option<String>,
    },
    /// List all variables, where they come from, and what shadows what
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Delete a variable from the database
    Delete { name: String },
}

/// Carries out `dagctl variables …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    match args.command {
        Command::Get { name, output } => {
            let variable: Variable = client.get(&["variables", &name]).await?;
            match (output, &variable.value) {
                (Format::Json | Format::Yaml, _) => printer.record(output, &variable, &[]),
                (Format::Table, Some(value)) => printer.data(value),
                (Format::Table, None) => {
                    return Err(Stop::refused(format_args!(
                        "`{name}` is secret: its value is given to tasks and shown to nobody"
                    )));
                }
            }
        }
        Command::Set {
            name,
            value,
            secret,
            description,
        } => {
            let write = VariableWrite {
                value: Some(or_stdin(value)?),
                is_secret: secret.then_some(true),
                description,
            };
            let saved: Saved = client
                .send(Method::PUT, &["variables", &name], &write)
                .await?;
            printer.say(format_args!("Set {name}"));
            warn(&saved, printer);
        }
        Command::List { output } => list(&client, output, printer).await?,
        Command::Delete { name } => {
            client.delete(&["variables", &name]).await?;
            printer.say(format_args!("Deleted {name} from the database"));
        }
    }
    Ok(())
}

async fn list(client: &Client, output: Format, printer: Printer) -> Ended {
    let variables: Vec<Variable> = client.list(&["variables"], &[], usize::MAX).await?;
    printer.rows(
        output,
        &variables,
        ["VARIABLE", "VALUE", "FROM", "SHADOWS"],
        |it| {
            [
                it.name.clone(),
                it.value.clone().unwrap_or_else(|| "***".to_owned()),
                it.source.label().to_owned(),
                labels(&it.shadows),
            ]
        },
    );
    if variables.is_empty() {
        printer.say("No variables. Set one with: dagctl variables set NAME VALUE");
    }
    Ok(())
}

/// The names of several sources.
pub(crate) fn labels(sources: &[Source]) -> String {
    sources
        .iter()
        .map(|it| it.label())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Says what there is to know about what was saved.
pub(crate) fn warn(saved: &Saved, printer: Printer) {
    for warning in &saved.warnings {
        printer.say(format_args!("note: {warning}"));
    }
}

/// The value itself, or stdin where it is `-`: other users can see arguments.
pub(crate) fn or_stdin(value: String) -> Result<String, Stop> {
    if value != "-" {
        return Ok(value);
    }
    let text = std::io::read_to_string(std::io::stdin())
        .map_err(|err| Stop::broken(format_args!("could not read stdin: {err}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
