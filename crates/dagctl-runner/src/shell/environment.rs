//! The environment of a task's process, built from nothing: what dagctl itself was started with stays here.

use std::path::Path;

use dagctl_core::outcome::{Failure, FailureKind};
use dagctl_core::template::{self, Quoting};

use super::processes::MARKER;
use crate::Attempt;

/// Where programs are looked for; `env: {PATH: …}` changes it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin";

/// What a process gets besides the task's own `env`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    /// The file for outputs.
    pub(super) outputs: &'a Path,
    /// The mark of the attempt's processes.
    pub(super) marker: &'a str,
}

/// The whole environment. The task's `env` may change all but the names that start with `DAGCTL_`.
pub(super) fn environment(
    attempt: &Attempt,
    env: &[(String, String)],
    given: Given<'_>,
) -> Result<Vec<(String, String)>, Failure> {
    let run_dir = attempt.run_dir.to_string_lossy();
    let mut all = Environment::default();
    all.set("PATH", PATH);
    all.set("HOME", &run_dir);
    all.set("LANG", "C.UTF-8");
    all.set("TZ", "UTC");
    // Otherwise Python keeps its output back while it runs, and the log stands still.
    all.set("PYTHONUNBUFFERED", "1");
    for (name, source) in env {
        check_name(name)?;
        let value = template::render(source, &attempt.context, Quoting::Plain)
            .map_err(|err| definition(format!("cannot render `env: {name}`: {err}")))?;
        if value.contains('\0') {
            return Err(definition(format!(
                "`env: {name}` holds a NUL, which no process can take"
            )));
        }
        all.set(name, &value);
    }
    for (name, source) in [
        ("DAGCTL_DATA_INTERVAL_START", "{{ data_interval_start }}"),
        ("DAGCTL_DATA_INTERVAL_END", "{{ data_interval_end }}"),
        ("DAGCTL_DS", "{{ ds }}"),
    ] {
        let value = template::render(source, &attempt.context, Quoting::Plain)
            .map_err(|err| definition(format!("cannot render {source}: {err}")))?;
        all.set(name, &value);
    }
    all.set("DAGCTL_DAG_ID", attempt.dag_id.as_ref());
    all.set("DAGCTL_TASK_ID", attempt.task_id.as_ref());
    all.set("DAGCTL_RUN_ID", &attempt.run_id);
    all.set("DAGCTL_TRY_NUMBER", &attempt.attempt.to_string());
    all.set("DAGCTL_IDEMPOTENCY_KEY", &attempt.idempotency_key);
    all.set("DAGCTL_RUN_DIR", &run_dir);
    all.set("DAGCTL_OUTPUTS", &given.outputs.to_string_lossy());
    all.set(MARKER, given.marker);
    Ok(all.0)
}

fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(definition(format!(
            "`env:` has a name that cannot be one: `{}`",
            name.escape_default()
        )));
    }
    if name.starts_with("DAGCTL_") {
        return Err(definition(format!(
            "`env: {name}` cannot be set: names that start with `DAGCTL_` are dagctl's own"
        )));
    }
    Ok(())
}

fn definition(message: String) -> Failure {
    Failure::new(FailureKind::Definition, message)
}

/// Names and values, each name once.
#[derive(Debug, Default)]
struct Environment(Vec<(String, String)>);

impl Environment {
    fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }
}
