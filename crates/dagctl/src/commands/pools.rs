//! `dagctl pools`: how many tasks may share something at once.

use dagctl_api::pools::{Pool, PoolWrite};
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
    /// List all pools and what is in them
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Set how many tasks run in a pool at once
    Set {
        name: String,
        /// How many; `none` for no limit
        slots: String,
        /// A sentence about it
        description: Option<String>,
    },
}

/// Carries out `dagctl pools …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    match args.command {
        Command::List { output } => {
            let pools: Vec<Pool> = client.list(&["pools"], &[], usize::MAX).await?;
            printer.rows(
                output,
                &pools,
                ["POOL", "SLOTS", "RUNNING", "QUEUED"],
                |it| {
                    let slots = it.slots.map_or("no limit".to_owned(), |it| it.to_string());
                    [
                        it.name.clone(),
                        slots,
                        it.running.to_string(),
                        it.queued.to_string(),
                    ]
                },
            );
        }
        Command::Set {
            name,
            slots,
            description,
        } => {
            let write = PoolWrite {
                slots: slots_of(&slots)?,
                description,
            };
            let _: serde_json::Value = client.send(Method::PUT, &["pools", &name], &write).await?;
            printer.say(format_args!("Set {name} to {slots} slots"));
        }
    }
    Ok(())
}

fn slots_of(text: &str) -> Result<Option<i32>, Stop> {
    match text {
        "none" => Ok(None),
        number => match number.parse() {
            Ok(slots) if slots >= 0 => Ok(Some(slots)),
            Ok(_) | Err(_) => Err(Stop::broken(format_args!(
                "`{text}` is not a number of slots: expected 0 or more, or `none` for no limit"
            ))),
        },
    }
}
