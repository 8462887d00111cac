//! `dagctl validate`: every problem of the DAG files, without a database.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dagctl_dagfile::{Color, Diagnostic, FolderLoad, Loader};
use serde::Serialize;

use crate::config::DagsConfig;
use crate::printer::{Format, Printer, Tone};
use crate::stop::{Ended, REFUSED, Stop};

/// Checks DAG files without running anything.
///
/// Prints every problem with its line; exits with 1 if there is an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A folder of DAG files, or one of its files [default: the dags folder]
    path: Option<PathBuf>,
    #[command(flatten)]
    dags: DagsConfig,
    /// How to write the result
    #[arg(short, long, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
struct Report<'a> {
    dags: Vec<FoundDag<'a>>,
    diagnostics: Vec<&'a Diagnostic>,
    errors: usize,
    warnings: usize,
}

#[derive(Serialize)]
struct FoundDag<'a> {
    dag_id: &'a str,
    file: &'a str,
    tasks: usize,
}

/// Checks, prints, and ends with what `validate` promises.
pub(crate) fn run(args: &Args, printer: Printer) -> Ended {
    let path = args.path.as_deref().unwrap_or(&args.dags.dags_folder);
    let (folder, file) = folder_and_file(path, &args.dags.dags_folder)?;
    let load = loader(&folder).load();
    let files = file.as_deref().map(|it| files_of(&load, it));
    if let (Some(file), Some(None)) = (&file, &files) {
        return Err(Stop::refused(not_a_dag(&load, file)));
    }
    let report = report(&load, files.flatten().as_ref());
    match args.output {
        Format::Table => print(&report, path, printer),
        Format::Json | Format::Yaml => printer.record(args.output, &report, &[]),
    }
    if report.errors > 0 {
        return Err(Stop::silent(REFUSED));
    }
    Ok(())
}

/// Looks at a folder of DAG files; paths are shown as the user wrote the folder.
pub(crate) fn loader(folder: &Path) -> Loader {
    let shown = folder.to_string_lossy();
    let shown = shown.strip_prefix("./").unwrap_or(&shown);
    Loader::new(folder).shown_as(shown.trim_end_matches('/'))
}

/// Makes sure that there is a folder to look at.
pub(crate) fn existing_folder(folder: &Path) -> Result<(), Stop> {
    if folder.is_dir() {
        return Ok(());
    }
    let what = if folder.exists() {
        "is no folder"
    } else {
        "does not exist"
    };
    Err(Stop::broken(format_args!(
        "the dags folder `{}` {what}: make it and put a DAG file into it, or say where it is with --dags-folder \
         (DAGCTL_DAGS_FOLDER)",
        folder.display()
    )))
}

fn folder_and_file(path: &Path, dags_folder: &Path) -> Result<(PathBuf, Option<String>), Stop> {
    if path.is_dir() {
        return Ok((path.to_owned(), None));
    }
    if !path.exists() {
        return match path == dags_folder {
            true => existing_folder(path).map(|()| (path.to_owned(), None)),
            false => Err(Stop::broken(format_args!(
                "there is no `{}`",
                path.display()
            ))),
        };
    }
    let canonical = |path: &Path| {
        path.canonicalize()
            .map_err(|err| Stop::broken(format_args!("could not find `{}`: {err}", path.display())))
    };
    let file = canonical(path)?;
    let below = canonical(dags_folder)
        .ok()
        .and_then(|it| file.strip_prefix(it).ok().map(Path::to_owned));
    if let Some(below) = below {
        return Ok((
            dags_folder.to_owned(),
            Some(below.to_string_lossy().into_owned()),
        ));
    }
    let parent = path
        .parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = file
        .file_name()
        .map(|it| it.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok((parent.to_owned(), Some(name)))
}

/// The file and all it pulls in, or nothing where no DAG file knows it.
fn files_of(load: &FolderLoad, file: &str) -> Option<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for dag in &load.dags {
        if dag.file == file {
            files.extend(dag.files.keys().cloned());
            files.insert(dag.file.clone());
        } else if dag.files.contains_key(file) {
            files.insert(file.to_owned());
        }
    }
    let known = load
        .diagnostics
        .iter()
        .any(|it| is_shown_as(&it.file, file));
    if files.is_empty() && known {
        files.insert(file.to_owned());
    }
    (!files.is_empty()).then_some(files)
}

/// Whether a diagnostic's file, which is shown below its folder, is `file`.
fn is_shown_as(shown: &str, file: &str) -> bool {
    shown
        .strip_suffix(file)
        .is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn not_a_dag(load: &FolderLoad, file: &str) -> String {
    match load
        .ignored
        .iter()
        .find(|it| file == it.path || file.starts_with(&format!("{}/", it.path)))
    {
        Some(hidden) => format!(
            "`{file}` is hidden by `{}`, line {} of {}",
            hidden.pattern, hidden.line, hidden.ignore_file
        ),
        None => format!(
            "`{file}` is no DAG file, and no DAG refers to it: DAG files end in .yaml or .yml"
        ),
    }
}

fn report<'a>(load: &'a FolderLoad, only: Option<&BTreeSet<String>>) -> Report<'a> {
    let diagnostics: Vec<_> = load
        .diagnostics
        .iter()
        .filter(|it| only.is_none_or(|files| files.iter().any(|file| is_shown_as(&it.file, file))))
        .collect();
    let errors = diagnostics.iter().filter(|it| it.is_error()).count();
    Report {
        dags: load
            .dags
            .iter()
            .filter(|it| only.is_none_or(|files| files.contains(&it.file)))
            .filter_map(|it| {
                Some(FoundDag {
                    dag_id: &it.dag_id,
                    file: &it.file,
                    tasks: it.dag.as_ref()?.tasks().len(),
                })
            })
            .collect(),
        errors,
        warnings: diagnostics.len() - errors,
        diagnostics,
    }
}

fn print(report: &Report<'_>, path: &Path, printer: Printer) {
    let color = if printer.colours_data() {
        Color::Always
    } else {
        Color::Never
    };
    for diagnostic in &report.diagnostics {
        printer.data(diagnostic.render(color));
        printer.data("");
    }
    let tone = match (report.errors, report.warnings) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Busy,
        (_, _) => Tone::Bad,
    };
    printer.say(printer.paint_aside(tone, summary(report, path)));
}

fn summary(report: &Report<'_>, path: &Path) -> String {
    let found = match report.dags.len() {
        0 => format!("no valid DAG in `{}`", path.display()),
        1 => format!("1 valid DAG in `{}`", path.display()),
        many => format!("{many} valid DAGs in `{}`", path.display()),
    };
    match counts(report.errors, report.warnings) {
        None => format!("{found}, no problems"),
        Some(counts) => format!("{found}, {counts}"),
    }
}

/// `2 errors and 1 warning`, or nothing where there is neither.
pub(crate) fn counts(errors: usize, warnings: usize) -> Option<String> {
    let count = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    match (count(errors, "error"), count(warnings, "warning")) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one),
        (Some(errors), Some(warnings)) => Some(format!("{errors} and {warnings}")),
    }
}
