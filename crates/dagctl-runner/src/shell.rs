//! `operator: shell`: runs a process, and nothing of it outlives the attempt.

mod environment;
mod guardian;
mod leftovers;
mod outputs;
mod process;
mod processes;
mod program;
mod script;
mod spawn;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use dagctl_core::operator::{Shell, ShellCommand};
use dagctl_core::outcome::{Failure, FailureKind, Outcome};
use dagctl_core::template::{self, Quoting};
use serde_json::{Map, Value};

use self::environment::Given;
use self::process::{Ended, LastOutput};
use crate::{Attempt, Log, run_folder};

pub use self::guardian::{guard, set_guardian};
pub use self::leftovers::end_orphans;
pub use self::process::GRACE;

/// Runs the task's process. Dropped before its end, it ends the process and all that came of it.
pub(crate) async fn run(attempt: &Attempt, spec: &Shell, log: &Log) -> Outcome {
    let ended = match prepare(attempt, spec) {
        Ok(plan) => execute(attempt, plan, log).await,
        Err(failure) => Err(failure),
    };
    let (title, ended) = match ended {
        Ok(ended) => ended,
        Err(failure) => return failure.into(),
    };
    match ended.status.code() {
        Some(code) if spec.skip_on_exit_code.contains(&code) => Outcome::Skipped {
            reason: format!("{title} ended with exit code {code}, which `skip_on_exit_code` names"),
        },
        Some(0) => match outputs(attempt, spec) {
            Ok(outputs) => Outcome::Success { outputs },
            Err(failure) => failure.into(),
        },
        Some(_) | None => failure(&title, ended.status, &ended.last_output).into(),
    }
}

/// All that is known before the process starts.
struct Plan {
    /// How the process is called in messages.
    title: String,
    /// What the log says at its start.
    announcement: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    cwd: PathBuf,
    marker: String,
}

fn prepare(attempt: &Attempt, spec: &Shell) -> Result<Plan, Failure> {
    let folder = own_folder(attempt);
    run_folder::create(&folder).map_err(|err| {
        definition(format!(
            "cannot make the folder {}: {err}",
            folder.display()
        ))
    })?;
    let outputs = outputs_file(attempt);
    if outputs.exists() {
        fs::remove_file(&outputs)
            .map_err(|err| definition(format!("cannot remove {}: {err}", outputs.display())))?;
    }
    let cwd = cwd(attempt, spec)?;
    let marker = leftovers::new_marker();
    let given = Given {
        outputs: &outputs,
        marker: &marker,
    };
    let mut environment = environment::environment(attempt, &spec.env, given)?;
    let (announcement, line) = match &spec.command {
        ShellCommand::Argv(argv) => {
            let line = argv
                .iter()
                .map(|source| render(attempt, source, "command"))
                .collect::<Result<Vec<_>, _>>()?;
            (format!("running `{}`", line.join(" ")), line)
        }
        ShellCommand::Script { interpreter, text } => {
            let script = script::render(interpreter, text, &attempt.context)?;
            let file = write_script(attempt, &script)?;
            if script::Language::of(interpreter) == script::Language::Python {
                // Python looks for modules beside the script, which is in the run's folder.
                add_missing(&mut environment, "PYTHONPATH", &cwd);
            }
            let mut line: Vec<_> = interpreter.split_whitespace().map(str::to_owned).collect();
            line.push(file.to_string_lossy().into_owned());
            let count = text.lines().count();
            (
                format!("running a script of {count} lines with `{interpreter}`"),
                line,
            )
        }
    };
    let Some((name, arguments)) = line.split_first() else {
        return Err(definition("`command` is empty: name a program".to_owned()));
    };
    let path = value_of(&environment, "PATH").unwrap_or_default();
    let program = program::find(name, path, &cwd).map_err(definition)?;
    Ok(Plan {
        title: format!("`{name}`"),
        announcement: format!("{announcement} in {}", cwd.display()),
        program,
        arguments: arguments.to_vec(),
        environment,
        cwd,
        marker,
    })
}

async fn execute(attempt: &Attempt, plan: Plan, log: &Log) -> Result<(String, Ended), Failure> {
    let Plan {
        title,
        announcement,
        program,
        arguments,
        environment,
        cwd,
        marker,
    } = plan;
    log.line(announcement).await;
    let started = spawn::spawn(spawn::Start {
        program: &program,
        arguments: &arguments,
        environment: &environment,
        cwd: &cwd,
    })
    .await;
    let child = started.map_err(|err| definition(format!("cannot start {title}: {err}")))?;
    let ended = process::follow(child, &marker, log, &attempt.clean_up)
        .await
        .map_err(|err| {
            let message = format!("lost sight of {title}: {err}");
            Failure::new(FailureKind::Internal, message)
        })?;
    Ok((title, ended))
}

fn outputs(attempt: &Attempt, spec: &Shell) -> Result<Map<String, Value>, Failure> {
    let mut outputs = outputs::read(&outputs_file(attempt))?;
    for (name, source) in &spec.outputs {
        let source = Value::String(source.clone());
        let value = template::render_value(&source, &attempt.context)
            .map_err(|err| definition(format!("cannot render `outputs: {name}`: {err}")))?;
        outputs.insert(name.clone(), value);
    }
    Ok(outputs)
}

fn failure(title: &str, status: ExitStatus, last: &LastOutput) -> Failure {
    let (kind, mut message) = match (status.code(), status.signal()) {
        (Some(code), _) => (
            FailureKind::Exit(code),
            format!("{title} ended with exit code {code}"),
        ),
        (None, Some(signal)) => {
            let name = match signal {
                6 => " (SIGABRT)",
                9 => " (SIGKILL, as the system does when memory runs out)",
                11 => " (SIGSEGV)",
                15 => " (SIGTERM)",
                _ => "",
            };
            (
                FailureKind::Signal(signal),
                format!("{title} was killed by signal {signal}{name}"),
            )
        }
        (None, None) => (
            FailureKind::Internal,
            format!("{title} ended in a way that nobody knows: {status}"),
        ),
    };
    let (stream, lines) = match last.stderr.is_empty() {
        true => ("stdout", &last.stdout),
        false => ("stderr", &last.stderr),
    };
    if !lines.is_empty() {
        message += &format!("; the end of its {stream}:\n{}", lines.join("\n"));
    }
    Failure::new(kind, message)
}

fn cwd(attempt: &Attempt, spec: &Shell) -> Result<PathBuf, Failure> {
    let cwd = match &spec.cwd {
        // Joined so that a relative one counts from the DAG file's folder.
        Some(source) => attempt.dag_dir.join(render(attempt, source, "cwd")?),
        None => attempt.dag_dir.clone(),
    };
    if !cwd.is_dir() {
        return Err(definition(format!(
            "`cwd` is {}, which is not a folder on this worker",
            cwd.display()
        )));
    }
    // The process sees it as `$PWD`, and a program's relative path counts from it.
    cwd.canonicalize()
        .map_err(|err| definition(format!("cannot enter {}: {err}", cwd.display())))
}

fn render(attempt: &Attempt, source: &str, field: &str) -> Result<String, Failure> {
    let text = template::render(source, &attempt.context, Quoting::Plain)
        .map_err(|err| definition(format!("cannot render `{field}`: {err}")))?;
    if text.contains('\0') {
        return Err(definition(format!(
            "`{field}` holds a NUL, which no process can take"
        )));
    }
    Ok(text)
}

/// Where dagctl's own files of the run are.
fn own_folder(attempt: &Attempt) -> PathBuf {
    attempt.run_dir.join(".dagctl")
}

/// What only this attempt's files are called. No task's name has an `@` in it.
fn own_name(attempt: &Attempt) -> String {
    let (task, number) = (&attempt.task_id, attempt.attempt);
    match attempt.context.facts().map_index {
        -1 => format!("{task}.{number}"),
        instance => format!("{task}@{instance}.{number}"),
    }
}

fn outputs_file(attempt: &Attempt) -> PathBuf {
    let name = format!("{}.outputs.json", own_name(attempt));
    own_folder(attempt).join(name)
}

/// Writes the script to a file: as an argument it would be in every user's `ps`, and 128 KiB at most.
fn write_script(attempt: &Attempt, text: &str) -> Result<PathBuf, Failure> {
    let name = format!("{}.script", own_name(attempt));
    let file = own_folder(attempt).join(name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut it| it.write_all(text.as_bytes()));
    written.map_err(|err| definition(format!("cannot write {}: {err}", file.display())))?;
    Ok(file)
}

fn value_of<'a>(environment: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    environment
        .iter()
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.as_str())
}

fn add_missing(environment: &mut Vec<(String, String)>, name: &str, value: &Path) {
    if value_of(environment, name).is_none() {
        environment.push((name.to_owned(), value.to_string_lossy().into_owned()));
    }
}

fn definition(message: String) -> Failure {
    Failure::new(FailureKind::Definition, message)
}
