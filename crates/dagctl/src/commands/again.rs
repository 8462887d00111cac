//! `dagctl runs retry`, `dagctl tasks clear` and `dagctl tasks mark`: a run, or tasks of it, go again.

use std::io::{self, IsTerminal as _};

use dagctl_api::again::{Again, ClearRequest, MarkRequest, MarkedState, RetryRequest};
use dagctl_api::state::RunState;
use reqwest::Method;
use serde::Serialize;

use crate::client::Client;
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

/// Runs what failed in a run again.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    /// The DAG of the run
    dag_id: String,
    /// The run's name; `latest` for the newest
    #[arg(default_value = "latest")]
    run_id: String,
    #[command(flatten)]
    how: HowArgs,
}

/// Runs tasks of a run again.
#[derive(Debug, clap::Args)]
pub(crate) struct ClearArgs {
    /// The DAG of the run
    dag_id: String,
    /// The run's name; `latest` for the newest
    run_id: String,
    /// The tasks that run again
    #[arg(required = true, value_name = "TASK")]
    tasks: Vec<String>,
    /// And everything upstream of them
    #[arg(short, long)]
    upstream: bool,
    /// And everything downstream of them
    #[arg(short, long)]
    downstream: bool,
    /// Of all these, only what failed
    #[arg(short = 'f', long)]
    only_failed: bool,
    #[command(flatten)]
    how: HowArgs,
}

/// How a run goes again.
#[derive(Debug, clap::Args)]
struct HowArgs {
    /// Move the run to the newest version of its DAG first; shows the difference and asks
    #[arg(long)]
    latest: bool,
    /// With --latest: do not ask
    #[arg(short, long, requires = "latest")]
    yes: bool,
    /// Only say what would run again
    #[arg(long)]
    dry_run: bool,
    /// How to write the result
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Says how a task of a run counts.
#[derive(Debug, clap::Args)]
pub(crate) struct MarkArgs {
    /// The DAG of the run
    dag_id: String,
    /// The run's name; `latest` for the newest
    run_id: String,
    /// The task
    task_id: String,
    /// How it counts from now on
    state: State,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// How to write the result
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum State {
    Success,
    Failed,
    Skipped,
}

/// Carries out `dagctl runs retry`.
pub(crate) async fn retry(args: RetryArgs, printer: Printer, environment: &Environment) -> Ended {
    let latest = args.how.latest;
    let request = |dry_run| RetryRequest { latest, dry_run };
    let which = (args.dag_id.as_str(), args.run_id.as_str());
    go_again(&args.how, which, "retry", request, printer, environment).await
}

/// Carries out `dagctl tasks clear`.
pub(crate) async fn clear(args: ClearArgs, printer: Printer, environment: &Environment) -> Ended {
    let request = |dry_run| ClearRequest {
        tasks: args.tasks.clone(),
        upstream: args.upstream,
        downstream: args.downstream,
        only_failed: args.only_failed,
        latest: args.how.latest,
        dry_run,
    };
    let which = (args.dag_id.as_str(), args.run_id.as_str());
    go_again(&args.how, which, "clear", request, printer, environment).await
}

/// Sends a request of which `true` makes a trial; one that changes the run's version is tried first, and shown.
async fn go_again<R: Serialize + Sync>(
    how: &HowArgs,
    (dag_id, run_id): (&str, &str),
    verb: &str,
    request: impl Fn(bool) -> R,
    printer: Printer,
    environment: &Environment,
) -> Ended {
    let client = Client::find(&how.client, environment)?;
    let path = ["dags", dag_id, "runs", run_id, verb];
    if how.latest && !how.dry_run {
        let shown: Again = client.send(Method::POST, &path, &request(true)).await?;
        confirm(&shown, how.yes, printer)?;
    }
    let again: Again = client
        .send(Method::POST, &path, &request(how.dry_run))
        .await?;
    print(&again, how.output, printer, dag_id, run_id);
    Ok(())
}

/// Carries out `dagctl tasks mark`.
pub(crate) async fn mark(args: MarkArgs, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let (state, word) = match args.state {
        State::Success => (MarkedState::Success, "success"),
        State::Failed => (MarkedState::Failed, "failed"),
        State::Skipped => (MarkedState::Skipped, "skipped"),
    };
    let request = MarkRequest {
        state,
        dry_run: args.dry_run,
    };
    let path = [
        "dags",
        &args.dag_id,
        "runs",
        &args.run_id,
        "tasks",
        &args.task_id,
        "mark",
    ];
    let again: Again = client.send(Method::POST, &path, &request).await?;
    if matches!(args.output, Format::Table) {
        let verb = if again.dry_run {
            "Would mark"
        } else {
            "Marked"
        };
        printer.data(format_args!("{verb} {} as {word}", args.task_id));
    }
    print(&again, args.output, printer, &args.dag_id, &args.run_id);
    Ok(())
}

/// Shows what the newest version has otherwise, and asks whether the run shall move to it.
fn confirm(shown: &Again, yes: bool, printer: Printer) -> Ended {
    say_difference(shown, printer);
    if shown.difference.is_none() || yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Stop::refused(
            "nobody is there to ask: repeat it with --yes to move the run to the newest version",
        ));
    }
    let is_sure = dialoguer::Confirm::new()
        .with_prompt("Move the run to the newest version?")
        .default(false)
        .interact()
        .map_err(|err| Stop::broken(format_args!("the answer could not be read: {err}")))?;
    match is_sure {
        true => Ok(()),
        false => Err(Stop::refused("nothing was changed")),
    }
}

fn say_difference(again: &Again, printer: Printer) {
    let Some(difference) = &again.difference else {
        return;
    };
    let lists = [
        ("Added", &difference.added),
        (
            "Removed, with what the run knows of it",
            &difference.removed,
        ),
        ("Changed", &difference.changed),
    ];
    for (what, tasks) in lists.iter().filter(|(_, tasks)| !tasks.is_empty()) {
        printer.say(format_args!("{what}: {}", tasks.join(", ")));
    }
    if lists.iter().all(|(_, tasks)| tasks.is_empty()) {
        printer.say("The newest version has the same tasks");
    }
}

fn print(again: &Again, output: Format, printer: Printer, dag_id: &str, run_id: &str) {
    match output {
        Format::Table => (),
        Format::Json | Format::Yaml => return printer.record(output, again, &[]),
    }
    let (again_verb, anew_verb) = match again.dry_run {
        true => ("Would run again", "Would be decided anew"),
        false => ("Runs again", "Decided anew"),
    };
    if again.dry_run {
        say_difference(again, printer);
    }
    for task in &again.cleared {
        printer.data(format_args!("{again_verb}: {task}"));
    }
    for task in &again.reconsidered {
        printer.data(format_args!("{anew_verb}: {task}"));
    }
    if !again.published.is_empty() {
        printer.say(format_args!(
            "What {} published stays until it publishes again",
            again.published.join(", ")
        ));
    }
    if again.dry_run {
        printer.say("Nothing was changed: leave out --dry-run to do it");
    } else {
        let waits = match again.state {
            RunState::Queued => "; it waits for a place below max_active_runs",
            RunState::Running | RunState::Success | RunState::Failed => "",
        };
        printer.say(format_args!(
            "Follow it with: dagctl runs follow {dag_id} {run_id}{waits}"
        ));
    }
}
