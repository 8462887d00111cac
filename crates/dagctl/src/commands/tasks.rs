//! `dagctl tasks`: the tasks of a DAG or of a run, and their logs.

use std::time::Duration;

use dagctl_api::dags::DagDetail;
use dagctl_api::state::TaskState;
use dagctl_api::tasks::{LogLine, LogStream, Task};

use crate::client::Client;
use crate::commands::again;
use crate::commands::runs::tasks_of;
use crate::config::{ClientConfig, Environment};
use crate::follow::{name, span};
use crate::printer::{Format, Printer, Tone};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run tasks of a run again, and have what followed from them decided anew
    Clear(again::ClearArgs),
    /// Say that a task of a run counts as success, failed or skipped
    Mark(again::MarkArgs),
    /// List the tasks of a DAG, or how they stand in one of its runs
    List {
        dag_id: String,
        /// A run's name, or `latest`
        run_id: Option<String>,
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Print a task's log
    Logs {
        dag_id: String,
        task_id: String,
        /// A run's name
        #[arg(long = "run", default_value = "latest", value_name = "RUN")]
        run_id: String,
        /// Which attempt [default: the last]
        #[arg(long, value_name = "N")]
        attempt: Option<i16>,
        /// Which instance of a mapped task
        #[arg(long, default_value_t = -1, value_name = "N", allow_negative_numbers = true)]
        map_index: i32,
        /// Go on until the task has settled
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        client: ClientConfig,
    },
}

/// Carries out `dagctl tasks …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    match args.command {
        Command::Clear(args) => again::clear(args, printer, environment).await,
        Command::Mark(args) => again::mark(args, printer, environment).await,
        Command::List {
            dag_id,
            run_id,
            output,
            client,
        } => {
            let client = Client::find(&client, environment)?;
            match run_id {
                Some(run_id) => {
                    let tasks = tasks_of(&client, &dag_id, &run_id).await?;
                    print_instances(&tasks, output, printer);
                }
                None => list(&client, &dag_id, output, printer).await?,
            }
            Ok(())
        }
        Command::Logs {
            dag_id,
            task_id,
            run_id,
            attempt,
            map_index,
            follow,
            client,
        } => {
            let client = Client::find(&client, environment)?;
            let log = Log {
                dag_id: &dag_id,
                run_id: &run_id,
                task_id: &task_id,
                map_index,
                attempt,
            };
            if follow {
                log.follow(&client, printer).await
            } else {
                log.print(&client, printer).await
            }
        }
    }
}

async fn list(client: &Client, dag_id: &str, output: Format, printer: Printer) -> Ended {
    let dag: DagDetail = client.get(&["dags", dag_id]).await?;
    printer.rows(
        output,
        &dag.tasks,
        ["TASK", "OPERATOR", "AFTER", "POOL"],
        |it| {
            [
                it.task_id.clone(),
                it.operator.clone(),
                it.depends_on.join(", "),
                it.pool.clone(),
            ]
        },
    );
    Ok(())
}

/// Lists task instances.
pub(crate) fn print_instances(tasks: &[Task], output: Format, printer: Printer) {
    printer.rows(
        output,
        tasks,
        ["TASK", "STATE", "ATTEMPT", "TOOK", "WHY"],
        |it| {
            // What follows a failed attempt may still remember that attempt's reason.
            let why = match it.state {
                TaskState::Success | TaskState::Running => "",
                TaskState::None
                | TaskState::Scheduled
                | TaskState::Queued
                | TaskState::UpForRetry
                | TaskState::UpForReschedule
                | TaskState::WaitingApproval
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Skipped => it.error.as_deref().or(it.reason.as_deref()).unwrap_or(""),
            };
            [
                name(it),
                it.state.name().to_owned(),
                it.attempt.to_string(),
                it.duration_ms.map(span).unwrap_or_default(),
                why.lines().next().unwrap_or_default().to_owned(),
            ]
        },
    );
}

/// The log of one attempt.
pub(crate) struct Log<'a> {
    /// Of which DAG.
    pub(crate) dag_id: &'a str,
    /// Of which run.
    pub(crate) run_id: &'a str,
    /// Of which task.
    pub(crate) task_id: &'a str,
    /// Of which mapped instance.
    pub(crate) map_index: i32,
    /// Which attempt; without it the last.
    pub(crate) attempt: Option<i16>,
}

impl Log<'_> {
    /// Prints what there is.
    pub(crate) async fn print(&self, client: &Client, printer: Printer) -> Ended {
        let mut last = None;
        while self.print_after(&mut last, client, printer).await? {}
        Ok(())
    }

    /// Prints what there is and what comes, until the task has settled.
    async fn follow(&self, client: &Client, printer: Printer) -> Ended {
        let mut last = None;
        loop {
            // Asked first: whatever was written before the task settled is then printed below.
            let settled = self.task(client).await?.state.is_final();
            while self.print_after(&mut last, client, printer).await? {}
            if settled {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn task(&self, client: &Client) -> Result<Task, Stop> {
        tasks_of(client, self.dag_id, self.run_id)
            .await?
            .into_iter()
            .find(|it| it.task_id == self.task_id && it.map_index == self.map_index)
            .ok_or_else(|| {
                Stop::refused(format_args!(
                    "run `{}` has no task `{}`: see `dagctl tasks list {}`",
                    self.run_id, self.task_id, self.dag_id
                ))
            })
    }

    /// Prints the lines after `last`, and says whether there were any.
    async fn print_after(
        &self,
        last: &mut Option<i64>,
        client: &Client,
        printer: Printer,
    ) -> Result<bool, Stop> {
        let path = [
            "dags",
            self.dag_id,
            "runs",
            self.run_id,
            "tasks",
            self.task_id,
            "logs",
        ];
        let mut query = vec![];
        if let Some(attempt) = self.attempt {
            query.push(("attempt", attempt.to_string()));
        }
        if let Some(last) = *last {
            query.push(("after_line", last.to_string()));
        }
        if self.map_index != -1 {
            query.push(("map_index", self.map_index.to_string()));
        }
        let answer = client.stream(&path, &query).await?;
        let text = answer
            .text()
            .await
            .map_err(|err| Stop::broken(format_args!("the log broke off: {err}")))?;
        let mut any = false;
        for line in text.lines().filter(|it| !it.trim().is_empty()) {
            let line: LogLine = serde_json::from_str(line)
                .map_err(|err| Stop::broken(format_args!("the log cannot be read: {err}")))?;
            any = true;
            *last = Some(line.line);
            let at = match line.at.parse::<jiff::Timestamp>() {
                Ok(at) => at.strftime("%H:%M:%S%.3f").to_string(),
                Err(_) => line.at.clone(),
            };
            let tone = match line.stream {
                LogStream::Task | LogStream::Stdout => None,
                LogStream::Stderr => Some(Tone::Busy),
            };
            let text = match tone {
                Some(tone) => printer.paint(tone, &line.text),
                None => line.text,
            };
            printer.data(format_args!("{} {text}", printer.paint(Tone::Quiet, at)));
        }
        Ok(any)
    }
}
