//! `dagctl bench`: how close this machine's dagctl comes to the limit of its Postgres.

use std::path::PathBuf;

use anyhow::Context;
use dagctl_bench::{Report, Settings, Workload};
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::printer::{Format, Printer, Tone};
use crate::signals;
use crate::stop::{Ended, INTERRUPTED, Stop};

/// Measures how close dagctl comes to the limit of its Postgres.
///
/// Starts a private Postgres and a whole dagctl in a throwaway folder, runs workloads through the ordinary front door,
/// and measures the same work done by plain SQL directly before and after. All of them take less than ten minutes;
/// nothing is left behind, also on Ctrl-C.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which to run, by key, number or name, such as `W1 chain` [default: all]
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// Say which workloads there are, and measure nothing
    #[arg(short, long)]
    list: bool,
    /// Small sizes: shows that all works, not how fast it is
    #[arg(short, long)]
    quick: bool,
    /// Run each so many times; the medians count
    #[arg(short, long, alias = "runs", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
    /// Write the report as JSON into a file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the throwaway folder goes; its disk is what is measured [default: the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How to write the report
    #[arg(short, long, default_value = "table")]
    output: Format,
}

/// Measures, and prints the table.
pub(crate) async fn run(args: Args, printer: Printer, environment: &Environment) -> Ended {
    let workloads = chosen(&args.workloads)?;
    if args.list {
        printer.rows(args.output, &workloads, ["KEY", "NAME", "MEASURES"], |it| {
            [it.key, it.name, it.about].map(str::to_owned)
        });
        return Ok(());
    }
    // Found out now, not after ten minutes.
    let mut file = args.json.as_deref().map(create).transpose()?;
    let folder = match args.dir {
        Some(folder) => std::path::absolute(&folder)
            .with_context(|| format!("no folder `{}`", folder.display()))?,
        None => std::env::temp_dir(),
    };
    if cfg!(debug_assertions) {
        printer.say(
            "This is a debug build: its figures mean little. Try `cargo run --release -- bench`",
        );
    }
    let settings = Settings {
        program: std::env::current_exe().context("could not find this executable")?,
        environment: environment.for_a_fresh_dagctl(),
        folder,
        quick: args.quick,
        repeat: args.repeat.into(),
    };
    let (interrupted, hurry) = (CancellationToken::new(), CancellationToken::new());
    signals::watch(interrupted.clone(), hurry)?;
    let say = |line: &str| printer.say(line);
    let report = tokio::select! {
        report = dagctl_bench::run(settings, &workloads, &say) => report?,
        // What was started is stopped where the bench is dropped.
        () = interrupted.cancelled() => {
            printer.say("Stopped: nothing is left behind");
            return Err(Stop::silent(INTERRUPTED));
        }
    };
    print(&report, args.output, printer);
    if let Some(file) = &mut file {
        serde_json::to_writer_pretty(file, &report).context("could not write the JSON")?;
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Workload>, Stop> {
    if names.is_empty() {
        return Ok(dagctl_bench::all().to_vec());
    }
    names
        .iter()
        .flat_map(|it| it.split(','))
        .map(|it| dagctl_bench::find(it.trim()).map_err(Stop::broken))
        .collect()
}

fn create(path: &std::path::Path) -> anyhow::Result<std::fs::File> {
    std::fs::File::create(path).with_context(|| format!("could not write `{}`", path.display()))
}

fn print(report: &Report, format: Format, printer: Printer) {
    if format != Format::Table {
        printer.record(format, report, &[]);
        return;
    }
    let machine = &report.machine;
    printer.say(format_args!(
        "\ndagctl {} on {} cores ({}), PostgreSQL {}{}",
        report.version,
        machine.cores,
        machine.processor,
        machine.postgres,
        match report.repeat {
            1 => String::new(),
            many => format!(", medians of {many}"),
        }
    ));
    printer.rows(
        format,
        &report.rows,
        ["", "WORKLOAD", "FIGURE", "FLOOR", "RATIO", "TARGET", "MET"],
        |it| {
            let floor = it.floor.map(number).unwrap_or_default();
            let ratio = it.ratio.map(|it| format!("{it:.2} ×")).unwrap_or_default();
            let met = match it.met {
                Some(true) => printer.paint(Tone::Good, "yes"),
                Some(false) => printer.paint(Tone::Bad, "no"),
                None => String::new(),
            };
            [
                it.workload.clone(),
                it.what.clone(),
                format!("{} {}", number(it.figure), it.unit),
                floor,
                ratio,
                it.target.clone().unwrap_or_default(),
                met,
            ]
        },
    );
}

/// Three digits that mean something, and commas between thousands.
fn number(figure: f64) -> String {
    let decimals = match figure.abs() {
        it if it >= 100.0 => 0,
        it if it >= 10.0 => 1,
        it if it >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{figure:.decimals$}");
    if decimals > 0 {
        return text;
    }
    let digits = text.len();
    text.chars()
        .enumerate()
        .flat_map(|(at, digit)| {
            let is_thousand = at > 0 && digit.is_ascii_digit() && (digits - at) % 3 == 0;
            is_thousand.then_some(',').into_iter().chain([digit])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_three_digits_that_mean_something() {
        let written = [0.123_4, 3.456, 45.67, 678.9, 12_345.6, 1_234_567.0].map(number);
        assert_eq!(
            written,
            ["0.123", "3.46", "45.7", "679", "12,346", "1,234,567"]
        );
    }

    #[test]
    fn workloads_may_be_named_one_by_one_or_with_commas() {
        let names = ["W1,fan-out".to_owned(), "1".to_owned()];
        assert_eq!(chosen(&names).unwrap().len(), 3);
        assert!(chosen(&["nothing".to_owned()]).is_err());
    }
}
