//! `dagctl dags next`: the coming runs of a DAG.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dagctl_api::forecast::{NextRun, NextRuns};
use dagctl_core::dag::Dag;
use dagctl_core::nearest::nearest;
use dagctl_core::timetable::Watermark;
use dagctl_server::forecast;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::client::Client;
use crate::commands::{problems, validate};
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The DAG
    dag_id: String,
    /// How many runs
    #[arg(short = 'n', long, default_value_t = 5, value_name = "N")]
    count: usize,
    /// Read the DAG from this folder of DAG files, and ask no server
    #[arg(long, value_name = "DIR")]
    dags_folder: Option<PathBuf>,
    /// How to write the runs
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Carries out `dagctl dags next`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let next = match &args.dags_folder {
        Some(folder) => {
            let dags = dags_of(folder, std::slice::from_ref(&args.dag_id))?;
            let now = now();
            let dag = dags
                .iter()
                .find(|it| it.spec.dag_id.as_str() == args.dag_id);
            let dag = dag.ok_or_else(|| unknown(&args.dag_id, &dags, folder))?;
            forecast::next_runs(dag, &Watermark::Standing(now), now, args.count)
        }
        None => {
            let client = Client::find(&args.client, environment)?;
            let query = [("count", args.count.to_string())];
            match client.ask(&["dags", &args.dag_id, "next"], &query).await {
                Ok(next) => next,
                Err(err) => return Err(problems::explain(&client, &args.dag_id, err).await),
            }
        }
    };
    match args.output {
        Format::Table => print(&next, printer),
        Format::Json | Format::Yaml => printer.record(args.output, &next, &[]),
    }
    Ok(())
}

/// The good DAGs of a folder; one that is asked for and broken is a complaint.
pub(crate) fn dags_of(folder: &Path, asked: &[String]) -> Result<Vec<Arc<Dag>>, Stop> {
    validate::existing_folder(folder)?;
    let load = validate::loader(folder).load();
    let broken = load
        .dags
        .iter()
        .find(|it| !it.is_good && asked.contains(&it.dag_id));
    if let Some(broken) = broken {
        return Err(Stop::refused(format_args!(
            "`{}` has errors, see `dagctl validate {}`",
            broken.file,
            folder.join(&broken.file).display()
        )));
    }
    Ok(load.dags.iter().filter_map(|it| it.dag.clone()).collect())
}

/// Says that a folder has no such DAG.
pub(crate) fn unknown(dag_id: &str, dags: &[Arc<Dag>], folder: &Path) -> Stop {
    let names = dags.iter().map(|it| it.spec.dag_id.as_str());
    let near = match nearest(dag_id, names) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    Stop::refused(format_args!(
        "no DAG in `{}` is called `{dag_id}`{near}",
        folder.display()
    ))
}

/// This machine's clock.
pub(crate) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "without a server, this machine says what is to come"
    )]
    Timestamp::now()
}

fn print(next: &NextRuns, printer: Printer) {
    if next.is_paused {
        printer.say(format_args!(
            "{0} is paused: nothing of this happens before `dagctl dags unpause {0}`",
            next.dag_id
        ));
    }
    if let Some(instead) = &next.instead {
        printer.data(format_args!("{} runs {instead}", next.dag_id));
    }
    for it in &next.news {
        printer.data(format_args!(
            "it has news of {}: {} of {}/{} wrote it at {}",
            it.asset,
            it.task_id,
            it.dag_id,
            it.run_id,
            shown(&it.at, &TimeZone::UTC)
        ));
    }
    let zone = TimeZone::get(&next.timezone).unwrap_or(TimeZone::UTC);
    let interval = |it: &NextRun| {
        let ends = [&it.data_interval_start, &it.data_interval_end];
        ends.map(|it| shown(it, &TimeZone::UTC)).join(" - ")
    };
    let clock = |it: &NextRun| it.clock.clone().unwrap_or_default();
    if next.timezone == "UTC" {
        printer.rows(
            Format::Table,
            &next.runs,
            ["RUN AFTER (UTC)", "DATA INTERVAL (UTC)", ""],
            |it| [shown(&it.run_after, &zone), interval(it), clock(it)],
        );
        return;
    }
    let local = format!("RUN AFTER ({})", next.timezone);
    printer.rows(
        Format::Table,
        &next.runs,
        [&local, "RUN AFTER (UTC)", "DATA INTERVAL (UTC)", ""],
        |it| {
            [
                shown(&it.run_after, &zone),
                shown(&it.run_after, &TimeZone::UTC),
                interval(it),
                clock(it),
            ]
        },
    );
}

/// A moment on a zone's clock, with seconds where there are any, and the offset where it is not UTC.
fn shown(text: &str, zone: &TimeZone) -> String {
    let Ok(at) = text.parse::<Timestamp>() else {
        return text.to_owned();
    };
    let at = at.to_zoned(zone.clone());
    let clock = match at.second() {
        0 => "%a %Y-%m-%d %H:%M",
        _ => "%a %Y-%m-%d %H:%M:%S",
    };
    match zone.iana_name() {
        Some("UTC") | None => at.strftime(clock.trim_start_matches("%a ")).to_string(),
        Some(_) => at.strftime(&format!("{clock} %:z")).to_string(),
    }
}
