//! `dagctl backfill`: runs of the past, shown first and then filled bit by bit.

use dagctl_api::backfills::{
    Backfill, BackfillChanged, BackfillDetail, BackfillPlan, BackfillRequest, DateAction,
};
use reqwest::Method;

use crate::client::Client;
use crate::commands::runs::{when, when_utc};
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// Which dates are filled, and how.
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The DAG whose dates are filled
    #[arg(required_unless_present = "plan")]
    dag_id: Option<String>,
    /// The first day, such as 2026-01-01
    #[arg(long, value_name = "DATE", required_unless_present = "plan")]
    from_date: Option<String>,
    /// The last day
    #[arg(long, value_name = "DATE", required_unless_present = "plan")]
    to_date: Option<String>,
    /// What happens to dates that have a run: none (left out), failed (run again), all (run again)
    #[arg(
        long,
        alias = "reprocess-behavior",
        value_name = "WHICH",
        default_value = "none",
        value_parser = ["none", "failed", "all"]
    )]
    reprocess: String,
    /// Runs of it under way at once, below the DAG's own limit
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..))]
    max_active_runs: i32,
    /// The newest first
    #[arg(long, alias = "run-backwards")]
    reverse: bool,
    /// Only say what would be made, and give the token for it
    #[arg(long)]
    dry_run: bool,
    /// Make exactly what a dry run showed, or refuse
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["dag_id", "from_date", "to_date", "dry_run"])]
    plan: Option<String>,
    /// How to write the result
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Which backfill is meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// The backfill's number
    backfill_id: i32,
    #[command(flatten)]
    client: ClientConfig,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fill a range of dates; with --dry-run only say what that would make
    Create(CreateArgs),
    /// List backfills, newest first
    List {
        /// Only this DAG's
        dag_id: Option<String>,
        /// How to write the list
        #[arg(short, long, default_value = "table")]
        output: Format,
        #[command(flatten)]
        client: ClientConfig,
    },
    /// Show a backfill and its dates
    Show {
        #[command(flatten)]
        which: Which,
        /// How to write it
        #[arg(short, long, default_value = "table")]
        output: Format,
    },
    /// Take up no date until it is resumed; runs under way go on
    Pause(Which),
    /// Resume a backfill
    #[command(alias = "resume")]
    Unpause(Which),
    /// End a backfill; runs under way go on, those in the queue do not start
    Cancel(Which),
}

/// Carries out `dagctl backfill …`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    match args.command {
        Command::Create(args) => create(args, printer, environment).await,
        Command::List {
            dag_id,
            output,
            client,
        } => {
            let client = Client::find(&client, environment)?;
            list(&client, dag_id.as_deref(), output, printer).await
        }
        Command::Show { which, output } => {
            let client = Client::find(&which.client, environment)?;
            show(&client, which.backfill_id, output, printer).await
        }
        Command::Pause(which) => change(which, "pause", "Paused", printer, environment).await,
        Command::Unpause(which) => change(which, "unpause", "Resumed", printer, environment).await,
        Command::Cancel(which) => change(which, "cancel", "Cancelled", printer, environment).await,
    }
}

async fn create(args: CreateArgs, printer: Printer, environment: &Environment) -> Ended {
    let client = Client::find(&args.client, environment)?;
    let is_planned = args.plan.is_some();
    let request = BackfillRequest {
        dag_id: args.dag_id,
        from_date: args.from_date,
        to_date: args.to_date,
        reprocess: (!is_planned).then_some(args.reprocess),
        max_active_runs: (!is_planned).then_some(args.max_active_runs),
        reverse: args.reverse,
        dry_run: args.dry_run,
        token: args.plan,
    };
    let plan: BackfillPlan = client.send(Method::POST, &["backfills"], &request).await?;
    if !matches!(args.output, Format::Table) {
        printer.record(args.output, &plan, &[]);
        return Ok(());
    }
    let count = |action| plan.dates.iter().filter(|it| it.action == action).count();
    let counts = format!(
        "{} new, {} again, {} left as they are",
        count(DateAction::Create),
        count(DateAction::Again),
        count(DateAction::Skip)
    );
    if let Some(made) = &plan.backfill {
        printer.data(format_args!(
            "Backfill {} of {}: {counts}",
            made.backfill_id, made.dag_id
        ));
        printer.say(format_args!(
            "See how far it is with: dagctl backfill show {}",
            made.backfill_id
        ));
        return Ok(());
    }
    printer.rows(
        args.output,
        &plan.dates,
        ["LOGICAL DATE (UTC)", "INTERVAL ENDS (UTC)", "WHAT", "WHY"],
        |it| {
            let why = match (&it.run_id, it.state) {
                (Some(run), Some(state)) => format!("{run} is {}", state.name()),
                _ => String::new(),
            };
            [
                when(&it.logical_date),
                when(&it.data_interval_end),
                it.action.name().to_owned(),
                why,
            ]
        },
    );
    printer.data(format_args!("plan {}", plan.token));
    printer.say(format_args!(
        "{counts}. Nothing was made. To make exactly this: dagctl backfill create --plan {}",
        plan.token
    ));
    Ok(())
}

async fn list(client: &Client, dag_id: Option<&str>, output: Format, printer: Printer) -> Ended {
    let all: Vec<Backfill> = client.get(&["backfills"]).await?;
    let shown: Vec<Backfill> = all
        .into_iter()
        .filter(|it| dag_id.is_none_or(|dag_id| it.dag_id == dag_id))
        .collect();
    printer.rows(
        output,
        &shown,
        [
            "BACKFILL",
            "DAG",
            "STATE",
            "FROM (UTC)",
            "TO (UTC)",
            "PROGRESS",
            "BY",
        ],
        |it| {
            [
                it.backfill_id.to_string(),
                it.dag_id.clone(),
                it.state.clone(),
                when(&it.from_date),
                when(&it.to_date),
                progress(it),
                it.created_by.clone(),
            ]
        },
    );
    if shown.is_empty() {
        printer.say(
            "No backfills. Make one with: dagctl backfill create DAG --from-date 2026-01-01 --to-date 2026-01-31",
        );
    }
    Ok(())
}

async fn show(client: &Client, backfill_id: i32, output: Format, printer: Printer) -> Ended {
    let number = backfill_id.to_string();
    let detail: BackfillDetail = client.get(&["backfills", &number]).await?;
    if !matches!(output, Format::Table) {
        printer.record(output, &detail, &[]);
        return Ok(());
    }
    let it = &detail.backfill;
    printer.record(
        output,
        &detail,
        &[
            ("backfill", Some(number)),
            ("dag", Some(it.dag_id.clone())),
            ("state", Some(it.state.clone())),
            ("from", Some(when_utc(&it.from_date))),
            ("to", Some(when_utc(&it.to_date))),
            ("reprocess", Some(it.reprocess.clone())),
            ("at once", Some(it.max_active_runs.to_string())),
            ("progress", Some(progress(it))),
            ("by", Some(it.created_by.clone())),
            ("ended", it.ended_at.as_deref().map(when_utc)),
        ],
    );
    printer.data("");
    printer.rows(
        output,
        &detail.dates,
        ["LOGICAL DATE (UTC)", "STATE", "RUN"],
        |it| {
            let state = match (it.skipped, it.state) {
                (true, _) => "left as it is".to_owned(),
                (false, Some(state)) if it.run_id.is_some() => state.name().to_owned(),
                (false, _) => "waiting".to_owned(),
            };
            [
                when(&it.logical_date),
                state,
                it.run_id.clone().unwrap_or_default(),
            ]
        },
    );
    Ok(())
}

async fn change(
    which: Which,
    verb: &str,
    done: &str,
    printer: Printer,
    environment: &Environment,
) -> Ended {
    let client = Client::find(&which.client, environment)?;
    let number = which.backfill_id.to_string();
    let changed: BackfillChanged = client
        .send(
            Method::POST,
            &["backfills", &number, verb],
            &serde_json::json!({}),
        )
        .await?;
    if !changed.changed {
        return Err(Stop::refused(format_args!(
            "backfill {number} is {} already",
            changed.backfill.state
        )));
    }
    printer.say(format_args!("{done} backfill {number}"));
    Ok(())
}

fn progress(it: &Backfill) -> String {
    let progress = it.progress;
    let parts = [
        (progress.success, "success"),
        (progress.failed, "failed"),
        (progress.running, "running"),
        (progress.queued, "queued"),
        (progress.waiting, "waiting"),
        (progress.skipped, "left"),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    told.join(", ")
}
