//! `dagctl approvals`, `dagctl approve` and `dagctl reject`: questions of tasks to people.

use dagctl_api::approvals::{Answer, AnswerWrite, Approval};
use reqwest::Method;

use crate::client::Client;
use crate::commands::runs::when;
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
    /// List the questions that wait for an answer, the oldest first
    List {
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
}

/// Which question is answered, and why so.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswerArgs {
    /// The DAG
    dag_id: String,
    /// The run's name; `latest` for the newest
    run_id: String,
    /// The task that asks
    task_id: String,
    /// Why, in a sentence; it is kept beside the answer
    #[arg(long)]
    reason: Option<String>,
    /// Which mapped instance
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    map_index: Option<i32>,
    #[command(flatten)]
    client: ClientConfig,
}

/// Carries out `dagctl approvals …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let Command::List { output } = args.command;
    let open: Vec<Approval> = client.list(&["approvals"], &[], usize::MAX).await?;
    printer.rows(
        output,
        &open,
        [
            "DAG",
            "RUN",
            "TASK",
            "SUBJECT",
            "SINCE (UTC)",
            "UNTIL (UTC)",
        ],
        |it| {
            [
                it.dag_id.clone(),
                it.run_id.clone(),
                match it.map_index {
                    -1 => it.task_id.clone(),
                    index => format!("{}[{index}]", it.task_id),
                },
                it.subject.clone(),
                when(&it.asked_at),
                it.deadline.as_deref().map(when).unwrap_or_default(),
            ]
        },
    );
    match open.first() {
        None => printer.say("No task waits for an answer"),
        Some(it) => printer.say(format_args!(
            "Answer with: dagctl approve {} {} {}, or dagctl reject",
            it.dag_id, it.run_id, it.task_id
        )),
    }
    Ok(())
}

/// Carries out `dagctl approve` and `dagctl reject`.
pub(crate) async fn answer(
    answer: Answer,
    args: AnswerArgs,
    printer: Printer,
    environment: &Environment,
) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let path = [
        "dags",
        &args.dag_id,
        "runs",
        &args.run_id,
        "tasks",
        &args.task_id,
        "approval",
    ];
    let write = AnswerWrite {
        answer,
        reason: args.reason,
        map_index: args.map_index,
    };
    let _: serde_json::Value = client.send(Method::POST, &path, &write).await?;
    printer.say(match answer {
        Answer::Approve => "Approved: what waits for it goes on",
        Answer::Reject => "Rejected: the tasks right after it are skipped",
    });
    Ok(())
}
