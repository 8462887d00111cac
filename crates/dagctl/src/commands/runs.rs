//! `dagctl runs`: the runs of a DAG, their tasks and logs.

use dagctl_api::runs::{Cancelled, Run};
use dagctl_api::tasks::Task;
use reqwest::Method;

use crate::client::Client;
use crate::commands::{again, tasks};
use crate::config::{ClientConfig, Environment};
use crate::follow::{self, span};
use crate::printer::{Format, Printer, Tone};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Which runs are listed.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The DAG whose runs are listed
    dag_id: Option<String>,
    /// The same, as Airflow 2 has it
    #[arg(short = 'd', long = "dag-id", hide = true, conflicts_with = "dag_id")]
    dag: Option<String>,
    /// Only runs in this state: queued, running, success, failed
    #[arg(long)]
    state: Option<String>,
    /// How many runs at most, newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// How to write the list
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Which run is meant.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// The DAG of the run
    dag_id: String,
    /// The run's name; `latest` for the newest
    #[arg(default_value = "latest")]
    run_id: String,
    #[command(flatten)]
    client: ClientConfig,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the runs of a DAG, newest first
    List(ListArgs),
    /// Show a run and its tasks
    Show {
        #[command(flatten)]
        run: RunArgs,
        /// How to write the run
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Follow a run to its end; exits with 1 if it fails
    Follow {
        #[command(flatten)]
        run: RunArgs,
        /// How to write the result
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Ask a run to stop
    Cancel {
        #[command(flatten)]
        run: RunArgs,
    },
    /// Run what failed or was stopped again, and everything downstream of it
    Retry(again::RetryArgs),
    /// Print the logs of a run's tasks
    Logs {
        #[command(flatten)]
        run: RunArgs,
        /// Only this task's
        #[arg(long)]
        task: Option<String>,
    },
}

/// Carries out `dagctl runs …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    match args.command {
        Command::List(args) => list(args, printer, environment).await,
        Command::Show { run, output } => {
            let client = Client::find(&run.client, environment)?;
            show(&client, &run, output, printer).await
        }
        Command::Follow { run, output } => {
            let client = Client::find(&run.client, environment)?;
            let found: Run = client
                .get(&["dags", &run.dag_id, "runs", &run.run_id])
                .await?;
            follow::run(&client, found, output, printer).await
        }
        Command::Cancel { run } => {
            let client = Client::find(&run.client, environment)?;
            let path = ["dags", &run.dag_id, "runs", &run.run_id, "cancel"];
            let cancelled: Cancelled = client
                .send(Method::POST, &path, &serde_json::json!({}))
                .await?;
            printer.say(if cancelled.requested {
                "Asked it to stop: what runs is stopped, what waits will not start"
            } else {
                "Nothing to do: it has ended already, or is being stopped"
            });
            Ok(())
        }
        Command::Retry(args) => again::retry(args, printer, environment).await,
        Command::Logs { run, task } => {
            let client = Client::find(&run.client, environment)?;
            logs(&client, &run, task.as_deref(), printer).await
        }
    }
}

/// Lists the runs of a DAG.
pub(crate) async fn list(args: ListArgs, printer: Printer, environment: &Environment) -> Ended {
    let dag_id = args.dag_id.or(args.dag).ok_or_else(|| {
        Stop::broken("which DAG's runs? For example: dagctl runs list Build_Summary")
    })?;
    let client = Client::find(&args.client, environment)?;
    let mut query = vec![("limit", args.limit.clamp(1, 500).to_string())];
    if let Some(state) = args.state {
        query.push(("state", state));
    }
    let path = ["dags", &dag_id, "runs"];
    let runs: Vec<Run> = client.list(&path, &query, args.limit).await?;
    printer.rows(
        args.output,
        &runs,
        [
            "RUN",
            "STATE",
            "STARTED (UTC)",
            "TOOK",
            "LOGICAL DATE (UTC)",
            "BY",
        ],
        |it| {
            [
                it.run_id.clone(),
                it.state.name().to_owned(),
                it.started_at.as_deref().map(when).unwrap_or_default(),
                it.duration_ms.map(span).unwrap_or_default(),
                when(&it.logical_date),
                it.triggered_by.clone().unwrap_or_default(),
            ]
        },
    );
    if runs.is_empty() {
        printer.say(format_args!(
            "No such runs. Trigger one with: dagctl trigger {dag_id}"
        ));
    }
    Ok(())
}

async fn show(client: &Client, which: &RunArgs, output: Format, printer: Printer) -> Ended {
    let run: Run = client
        .get(&["dags", &which.dag_id, "runs", &which.run_id])
        .await?;
    match output {
        Format::Table => (),
        Format::Json | Format::Yaml => {
            printer.record(output, &run, &[]);
            return Ok(());
        }
    }
    let tone = match run.state {
        dagctl_api::state::RunState::Success => Tone::Good,
        dagctl_api::state::RunState::Failed => Tone::Bad,
        dagctl_api::state::RunState::Queued | dagctl_api::state::RunState::Running => Tone::Busy,
    };
    let params = (!run.params.is_empty()).then(|| {
        run.params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("\n")
    });
    printer.record(
        output,
        &run,
        &[
            ("run", Some(run.run_id.clone())),
            ("dag", Some(run.dag_id.clone())),
            ("state", Some(printer.paint(tone, run.state.name()))),
            ("type", Some(run.run_type.name().to_owned())),
            ("by", run.triggered_by.clone()),
            ("note", run.note.clone()),
            ("logical date", Some(when_utc(&run.logical_date))),
            ("started", run.started_at.as_deref().map(when_utc)),
            ("took", run.duration_ms.map(span)),
            ("commit", run.git_commit.clone()),
            ("stop asked by", run.cancel_requested_by.clone()),
            ("left alone", run.quarantined.clone()),
            ("params", params),
            ("page", Some(client.link(&run.path))),
        ],
    );
    printer.data("");
    let tasks = tasks_of(client, &run.dag_id, &run.run_id).await?;
    tasks::print_instances(&tasks, output, printer);
    Ok(())
}

/// The task instances of a run, upstream first.
pub(crate) async fn tasks_of(
    client: &Client,
    dag_id: &str,
    run_id: &str,
) -> Result<Vec<Task>, Stop> {
    let path = ["dags", dag_id, "runs", run_id, "tasks"];
    Ok(client.list(&path, &[], usize::MAX).await?)
}

async fn logs(client: &Client, which: &RunArgs, only: Option<&str>, printer: Printer) -> Ended {
    let tasks = tasks_of(client, &which.dag_id, &which.run_id).await?;
    for task in tasks
        .iter()
        .filter(|it| it.attempt > 0 && only.is_none_or(|only| it.task_id == only))
    {
        printer.say(printer.paint_aside(
            Tone::Strong,
            format_args!(
                "{}, attempt {}, {}",
                follow::name(task),
                task.attempt,
                task.state.name()
            ),
        ));
        let log = tasks::Log {
            dag_id: &which.dag_id,
            run_id: &which.run_id,
            task_id: &task.task_id,
            map_index: task.map_index,
            attempt: Some(task.attempt),
        };
        log.print(client, printer).await?;
    }
    Ok(())
}

/// A moment for people, in UTC to the second, below a header that says so.
pub(crate) fn when(text: &str) -> String {
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// The same where nothing else says that it is UTC.
pub(crate) fn when_utc(text: &str) -> String {
    format!("{} UTC", when(text))
}
