//! `dagctl assets`: tables that DAGs write, and that others run on news of.

use dagctl_api::assets::{Asset, AssetDetail};

use crate::client::Client;
use crate::commands::runs::{when, when_utc};
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer, Tone};
use crate::stop::Ended;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the tables, with who writes them and which DAGs run on news of them
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Show one table and when it was written
    Show {
        /// The table, as schema.table
        name: String,
        /// How to write the table
        #[arg(short, long, default_value = "table")]
        output: Format,
        #[command(flatten)]
        client: ClientConfig,
    },
}

/// Carries out `dagctl assets …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    match args.command {
        Command::List { output, client } => {
            let client = Client::find(&client, environment)?;
            let assets: Vec<Asset> = client.list(&["assets"], &[], usize::MAX).await?;
            printer.rows(
                output,
                &assets,
                [
                    "TABLE",
                    "WRITTEN BY",
                    "DAGS THAT WAIT FOR IT",
                    "LAST WRITTEN (UTC)",
                ],
                |it| {
                    let last = it.last_event_at.as_deref().map_or("never".to_owned(), when);
                    [
                        it.name.clone(),
                        it.writers.join(", "),
                        it.schedules.join(", "),
                        last,
                    ]
                },
            );
            if assets.is_empty() {
                printer.say(
                    "No DAG writes a table that dagctl knows of: build_table, load_file and SQL are seen to, other \
                     tasks say it with `writes`",
                );
            }
            Ok(())
        }
        Command::Show {
            name,
            output,
            client,
        } => {
            let client = Client::find(&client, environment)?;
            let detail: AssetDetail = client.get(&["assets", &name]).await?;
            show(&detail, output, printer);
            Ok(())
        }
    }
}

fn show(detail: &AssetDetail, output: Format, printer: Printer) {
    let asset = &detail.asset;
    let some = |list: &[String]| (!list.is_empty()).then(|| list.join("\n"));
    let events: Vec<String> = detail
        .events
        .iter()
        .map(|it| {
            let runs = match it.runs.is_empty() {
                true => String::new(),
                false => format!(", for which {} ran", it.runs.join(" and ")),
            };
            format!(
                "{} by {} of {}/{}{runs}",
                when_utc(&it.at),
                it.task_id,
                it.dag_id,
                it.run_id
            )
        })
        .collect();
    printer.record(
        output,
        detail,
        &[
            ("table", Some(printer.paint(Tone::Strong, &asset.name))),
            ("connections", some(&asset.conn_ids)),
            ("written by", some(&asset.writers)),
            ("read by", some(&asset.readers)),
            ("DAGs that wait for it", some(&asset.schedules)),
            ("written", some(&events)),
        ],
    );
}
