//! `operator: file_sensor`: is there a file of that name, or one that fits the pattern?

use std::path::{Path, PathBuf};

use dagctl_core::operator::FileSensor;
use dagctl_core::outcome::{Failure, FailureKind};
use serde_json::{Map, Value};

use crate::sql::rendered;
use crate::{Attempt, Log};

/// Looks once; `None`: there is none. A folder counts once there is a file in it, however deep, as in Airflow.
pub(crate) async fn poke(
    attempt: &Attempt,
    spec: &FileSensor,
    log: &Log,
) -> Result<Option<Map<String, Value>>, Failure> {
    let path = rendered(&spec.filepath, &attempt.context, "filepath")?;
    let pattern = match Path::new(&path).is_absolute() {
        true => path.clone(),
        false => {
            // Whoever is told of the file works in another folder.
            let dag_dir = std::path::absolute(&attempt.dag_dir).map_err(|err| {
                Failure::new(FailureKind::Internal, format!("the DAG's folder: {err}"))
            })?;
            format!(
                "{}/{path}",
                glob::Pattern::escape(&dag_dir.to_string_lossy())
            )
        }
    };
    let found = tokio::task::spawn_blocking(move || first(&pattern));
    let found = found.await.map_err(|panic| {
        Failure::new(FailureKind::Internal, format!("looking for files: {panic}"))
    })??;
    match found {
        Some(file) => {
            let file = file.to_string_lossy().into_owned();
            log.line(format!("found {file}")).await;
            Ok(Some(Map::from_iter([("file".to_owned(), file.into())])))
        }
        None => {
            log.line(format!("no file is `{path}`")).await;
            Ok(None)
        }
    }
}

fn first(pattern: &str) -> Result<Option<PathBuf>, Failure> {
    let paths = glob::glob(pattern).map_err(|err| {
        let message = format!("`filepath: {pattern}` is no pattern: {err}");
        Failure::new(FailureKind::Definition, message)
    })?;
    for path in paths {
        // Said as it is: a folder that nobody may read looks empty for ever.
        let path = path.map_err(|err| unreadable(err.path(), err.error()))?;
        if holds_a_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn holds_a_file(path: &Path) -> Result<bool, Failure> {
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        match path.metadata() {
            Ok(it) if !it.is_dir() => return Ok(true),
            Ok(_) => (),
            // It was there a moment ago, or is a link to nowhere.
            Err(_) => continue,
        }
        let entries = path.read_dir().map_err(|err| unreadable(&path, &err))?;
        for entry in entries {
            let entry = entry.map_err(|err| unreadable(&path, &err))?;
            let kind = entry.file_type().map_err(|err| unreadable(&path, &err))?;
            if kind.is_dir() {
                open.push(entry.path());
            } else {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn unreadable(path: &Path, err: &std::io::Error) -> Failure {
    let message = format!("cannot look into {}: {err}", path.display());
    Failure::new(FailureKind::Definition, message)
}
