//! `dagctl notices`: messages that have not arrived for certain.

use dagctl_api::notices::Notice;
use reqwest::Method;

use crate::client::Client;
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::Ended;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    client: ClientConfig,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the messages that have not arrived for certain, newest first
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Send a message again that was given up, or of which nobody knows whether it arrived
    Send {
        /// Its number
        notice_id: i64,
    },
}

/// Carries out `dagctl notices …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    match args.command {
        Command::List { output } => {
            let notices: Vec<Notice> = client.list(&["notices"], &[], usize::MAX).await?;
            printer.rows(
                output,
                &notices,
                ["ID", "STATE", "ABOUT", "SENDS", "SINCE", "LAST ERROR"],
                |it| {
                    let about = [it.dag_id.clone(), it.run_id.clone()];
                    [
                        it.notice_id.to_string(),
                        it.state.clone(),
                        about.into_iter().flatten().collect::<Vec<_>>().join(" "),
                        it.sends.to_string(),
                        it.created_at.clone(),
                        it.last_error.clone().unwrap_or_default(),
                    ]
                },
            );
            if notices.is_empty() && output == Format::Table {
                printer.say("Every message has arrived");
            }
        }
        Command::Send { notice_id } => {
            let number = notice_id.to_string();
            let path = ["notices", &number, "send"];
            let _: serde_json::Value = client.send(Method::POST, &path, &()).await?;
            printer.say(format_args!("Message {notice_id} is sent again"));
        }
    }
    Ok(())
}
