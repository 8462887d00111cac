//! `dagctl simulate`: the coming runs of all DAGs on a virtual clock.

use std::path::{Path, PathBuf};

use dagctl_api::forecast::{SimulatedDag, SimulatedRun, Simulation};
use dagctl_core::duration;
use dagctl_core::timetable::Watermark;
use dagctl_server::forecast::{self, Shown, Stretch};
use jiff::{SignedDuration, Timestamp};

use crate::client::Client;
use crate::commands::next::{dags_of, now, unknown};
use crate::commands::runs::when;
use crate::config::{ClientConfig, Environment};
use crate::printer::{Format, Printer};
use crate::stop::{Ended, Stop};

/// Shows what will run when, what has to wait for a place, and what changes of the clocks do.
///
/// Runs take as long as those before took. Nothing is run, and nothing is stored.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these DAGs [default: all]
    dag_ids: Vec<String>,
    /// Where the virtual clock starts: 2026-01-31 or 2026-01-31T08:00:00Z [default: now]
    #[arg(long, value_name = "MOMENT")]
    from: Option<String>,
    /// Where it stops
    #[arg(long, value_name = "MOMENT", conflicts_with = "length")]
    to: Option<String>,
    /// How long it runs, such as 36h [default: 7d]
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<String>,
    /// Read the DAGs from this folder of DAG files, and ask no server
    #[arg(long, value_name = "DIR")]
    dags_folder: Option<PathBuf>,
    /// How to write the runs
    #[arg(short, long, default_value = "table")]
    output: Format,
    #[command(flatten)]
    client: ClientConfig,
}

/// Carries out `dagctl simulate`.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let stretch = stretch(&args)?;
    let simulation: Simulation = match &args.dags_folder {
        Some(folder) => offline(folder, &args, stretch)?,
        None => {
            let client = Client::find(&args.client, environment)?;
            let mut query = vec![("to", stretch.to.to_string())];
            if args.from.is_some() {
                query.push(("from", stretch.from.to_string()));
            }
            if !args.dag_ids.is_empty() {
                query.push(("dags", args.dag_ids.join(",")));
            }
            client.ask(&["simulate"], &query).await?
        }
    };
    match args.output {
        Format::Table => print(&simulation, printer),
        Format::Json | Format::Yaml => printer.record(args.output, &simulation, &[]),
    }
    Ok(())
}

fn stretch(args: &Args) -> Result<Stretch, Stop> {
    let now = now();
    let to = match &args.length {
        None => args.to.clone(),
        Some(text) => {
            let length = duration::parse(text)
                .map_err(|err| Stop::refused(format_args!("--for {text}: {err}")))?;
            let from = Stretch::read(args.from.as_deref(), None, now).map_err(Stop::refused)?;
            let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
            let to = from.from.checked_add(length);
            Some(to.unwrap_or(Timestamp::MAX).to_string())
        }
    };
    Stretch::read(args.from.as_deref(), to.as_deref(), now).map_err(Stop::refused)
}

fn offline(folder: &Path, args: &Args, stretch: Stretch) -> Result<Simulation, Stop> {
    let dags = dags_of(folder, &args.dag_ids)?;
    let names = || dags.iter().map(|it| it.spec.dag_id.as_str());
    if let Some(missing) = args
        .dag_ids
        .iter()
        .find(|asked| !names().any(|it| it == *asked))
    {
        return Err(unknown(missing, &dags, folder));
    }
    let shown = dags.iter().map(|dag| {
        let name = dag.spec.dag_id.as_str();
        let is_asked = args.dag_ids.is_empty() || args.dag_ids.iter().any(|it| it == name);
        Shown {
            simulated: Some(forecast::simulated(
                dag,
                Watermark::Standing(stretch.from),
                None,
            )),
            listed: is_asked.then(|| forecast::listed(dag, None)),
        }
    });
    Ok(forecast::simulation(shown.collect(), stretch))
}

fn print(simulation: &Simulation, printer: Printer) {
    printer.rows(
        Format::Table,
        &simulation.runs,
        [
            "START (UTC)",
            "END (UTC)",
            "DAG",
            "LOGICAL DATE (UTC)",
            "NOTE",
        ],
        |it| {
            let end = it.ended_at.as_deref().map_or("?".to_owned(), when);
            [
                when(&it.started_at),
                end,
                it.dag_id.clone(),
                when(&it.logical_date),
                note(it),
            ]
        },
    );
    let quiet = |it: &SimulatedDag| !simulation.runs.iter().any(|run| run.dag_id == it.dag_id);
    for it in simulation.dags.iter().filter(|it| quiet(it)) {
        let why = it.left_out.as_deref().unwrap_or(&it.schedule);
        printer.say(format_args!(
            "{} does not run in that time: {why}",
            it.dag_id
        ));
    }
    let unknown = simulation
        .dags
        .iter()
        .filter(|it| it.duration_ms.is_none() && !quiet(it));
    let unknown: Vec<&str> = unknown.map(|it| it.dag_id.as_str()).collect();
    if !unknown.is_empty() && !simulation.runs.is_empty() {
        printer.say(format_args!(
            "nobody knows yet how long these take, they count as if they took no time: {}",
            unknown.join(", ")
        ));
    }
    if let Some(busiest) = simulation.busiest.as_ref().filter(|it| it.runs > 1) {
        printer.say(format_args!(
            "most at once: {} runs at {} UTC",
            busiest.runs,
            when(&busiest.at)
        ));
    }
    if let Some(at) = &simulation.cut_at {
        printer.say(format_args!(
            "there is more from {} UTC on: name some DAGs, or a shorter time with --for",
            when(at)
        ));
    }
}

fn note(it: &SimulatedRun) -> String {
    let mut notes = vec![];
    if it.waits_ms > 0 {
        let waits = u64::try_from(it.waits_ms / 1000).unwrap_or_default();
        let waits = duration::human(std::time::Duration::from_secs(waits));
        notes.push(format!(
            "{waits} late, its DAG has no place below max_active_runs"
        ));
    }
    match it.beside {
        0 => (),
        1 => notes.push("beside another run of its DAG".to_owned()),
        many => notes.push(format!("beside {many} other runs of its DAG")),
    }
    if !it.news.is_empty() {
        notes.push(format!("news of {}", it.news.join(", ")));
    }
    notes.extend(it.clock.clone());
    notes.join("; ")
}
