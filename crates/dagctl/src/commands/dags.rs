//! `dagctl dags`: what DAGs there are, and whether their schedules are on.

use dagctl_api::dags::{Dag, DagDetail, DagPatch};
use reqwest::Method;

use crate::client::Client;
use crate::commands::runs::{ListArgs, list as list_runs, when, when_utc};
use crate::commands::{next, problems, trigger, validate};
use crate::config::{ClientConfig, DagsConfig, Environment};
use crate::printer::{Format, Printer, Tone};
use crate::stop::Ended;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all DAGs with their last runs
    List {
        /// Only DAGs with this tag
        #[arg(long)]
        tag: Option<String>,
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Show one DAG: schedule, params, tasks
    #[command(alias = "details")]
    Show {
        dag_id: String,
        /// How to write the DAG
        #[arg(short, long, default_value = "table")]
        output: Format,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Switch a DAG's schedule off
    Pause {
        dag_id: String,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Switch a DAG's schedule on
    Unpause {
        dag_id: String,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Trigger a run
    Trigger(trigger::Args),
    /// Show when a DAG runs next, changes of the clocks included
    #[command(alias = "next-execution")]
    Next(next::Args),
    /// List the runs of a DAG (the same as `runs list`)
    ListRuns(ListArgs),
    /// Show which line of which .dagignore hides which file
    Ignored {
        #[command(flatten)]
        dags: DagsConfig,
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
}

/// Carries out `dagctl dags …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    match args.command {
        Command::List {
            tag,
            output,
            client,
        } => {
            let client = Client::find(&client, environment)?;
            list(&client, tag.as_deref(), output, printer).await
        }
        Command::Show {
            dag_id,
            output,
            client,
        } => {
            let client = Client::find(&client, environment)?;
            show(&client, &dag_id, output, printer).await
        }
        Command::Pause { dag_id, client } => {
            let client = Client::find(&client, environment)?;
            patch(&client, &dag_id, DagPatch { is_paused: true }).await?;
            printer.say(format_args!(
                "Paused {dag_id}: its schedule is off, it can still be triggered"
            ));
            Ok(())
        }
        Command::Unpause { dag_id, client } => {
            let client = Client::find(&client, environment)?;
            patch(&client, &dag_id, DagPatch { is_paused: false }).await?;
            printer.say(format_args!("Unpaused {dag_id}: its schedule is on"));
            Ok(())
        }
        Command::Trigger(args) => trigger::run(args, printer, environment).await,
        Command::Next(args) => next::run(args, printer, environment).await,
        Command::ListRuns(args) => list_runs(args, printer, environment).await,
        Command::Ignored { dags, output } => ignored(&dags, output, printer),
    }
}

async fn list(client: &Client, tag: Option<&str>, output: Format, printer: Printer) -> Ended {
    let mut dags: Vec<Dag> = client.list(&["dags"], &[], usize::MAX).await?;
    dags.retain(|it| tag.is_none_or(|tag| it.tags.iter().any(|own| own == tag)));
    printer.rows(
        output,
        &dags,
        [
            "DAG",
            "SCHEDULE",
            "LAST RUN (UTC)",
            "NEXT RUN (UTC)",
            "TASKS",
            "FILE",
        ],
        |it| {
            let last = match it.last_runs.first() {
                Some(run) => format!("{} {}", run.state.name(), when(&run.queued_at)),
                None => "never".to_owned(),
            };
            let next = match (it.is_paused, &it.next_due_at) {
                (true, _) => "paused".to_owned(),
                (false, Some(at)) => when(at),
                (false, None) => "-".to_owned(),
            };
            let file = match (&it.missing_since, it.problem_count) {
                (Some(_), _) => format!("{} (gone)", it.file),
                (None, 0) => it.file.clone(),
                (None, 1) => format!("{} (1 problem)", it.file),
                (None, problems) => format!("{} ({problems} problems)", it.file),
            };
            let schedule = it.schedule.clone().unwrap_or_else(|| "manual".to_owned());
            [
                it.dag_id.clone(),
                schedule,
                last,
                next,
                it.task_count.to_string(),
                file,
            ]
        },
    );
    if dags.is_empty() {
        printer.say("No DAGs yet: put a DAG file into the dags folder, and see `dagctl problems`");
    }
    Ok(())
}

async fn show(client: &Client, dag_id: &str, output: Format, printer: Printer) -> Ended {
    let detail: DagDetail = match client.get(&["dags", dag_id]).await {
        Ok(detail) => detail,
        Err(err) => return Err(problems::explain(client, dag_id, err).await),
    };
    let dag = &detail.dag;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let params = detail.params.iter().map(|it| {
        let types = if it.types.is_empty() {
            "any".to_owned()
        } else {
            it.types.join(" or ")
        };
        let default = match &it.default {
            Some(default) => format!(", default {default}"),
            None => String::new(),
        };
        format!("{}: {types}{default}", it.name)
    });
    let tasks = detail.tasks.iter().map(|it| {
        let after = match it.depends_on.as_slice() {
            [] => String::new(),
            upstream => format!(" after {}", upstream.join(", ")),
        };
        format!("{} ({}){after}", it.task_id, it.operator)
    });
    printer.record(
        output,
        &detail,
        &[
            ("dag", Some(printer.paint(Tone::Strong, &dag.dag_id))),
            ("description", dag.description.clone()),
            ("file", some(&dag.file)),
            ("commit", detail.git_commit.clone()),
            (
                "schedule",
                Some(match &dag.schedule {
                    Some(schedule) => schedule.clone(),
                    None => "only when triggered".to_owned(),
                }),
            ),
            (
                "paused",
                dag.is_paused
                    .then(|| dag.pause_reason.clone().unwrap_or_else(|| "yes".to_owned())),
            ),
            ("next run", dag.next_due_at.as_deref().map(when_utc)),
            ("owner", dag.owner.clone()),
            ("tags", some(&dag.tags.join(", "))),
            (
                "problems",
                (dag.problem_count > 0)
                    .then(|| format!("{}, see `dagctl problems`", dag.problem_count)),
            ),
            ("params", some(&params.collect::<Vec<_>>().join("\n"))),
            ("tasks", some(&tasks.collect::<Vec<_>>().join("\n"))),
            (
                "last runs",
                some(
                    &dag.last_runs
                        .iter()
                        .map(|it| format!("{} {}", it.run_id, it.state.name()))
                        .collect::<Vec<_>>()
                        .join("\n"),
                ),
            ),
        ],
    );
    Ok(())
}

async fn patch(client: &Client, dag_id: &str, patch: DagPatch) -> Ended {
    let _: serde_json::Value = client
        .send(Method::PATCH, &["dags", dag_id], &patch)
        .await?;
    Ok(())
}

fn ignored(dags: &DagsConfig, output: Format, printer: Printer) -> Ended {
    validate::existing_folder(&dags.dags_folder)?;
    let load = validate::loader(&dags.dags_folder).load();
    printer.rows(
        output,
        &load.ignored,
        ["FILE", "HIDDEN BY", "PATTERN"],
        |it| {
            [
                it.path.clone(),
                format!("{}:{}", it.ignore_file, it.line),
                it.pattern.clone(),
            ]
        },
    );
    if load.ignored.is_empty() {
        printer.say("No .dagignore hides anything");
    }
    Ok(())
}
