//! The sweeper: removes the private folders of runs that ended a while ago from this worker's disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use dagctl_core::ids::DagRunId;
use tracing::info;

use crate::Engine;
use crate::reconcile::Service;

/// How long a run's folder is kept after the run was made, for whoever wants to see what a task left there.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Removes the folders of old runs.
pub struct Sweeper {
    engine: Engine,
}

impl Sweeper {
    /// A sweeper for the engine's runs folder.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Service for Sweeper {
    fn name(&self) -> &'static str {
        "sweeper"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        let now = self.engine.store().now().await?;
        let before = now.as_millisecond() - i64::try_from(KEEP.as_millis())?;
        let folder = self.engine.config().runs_folder.clone();
        let old = tokio::task::spawn_blocking(move || old_runs(&folder, before)).await??;
        for (run, path) in old {
            // A run that nobody knows any more counts as ended.
            let state = self.engine.store().run_state(run).await?;
            if state.is_none_or(|it| it.is_final()) {
                tokio::fs::remove_dir_all(&path)
                    .await
                    .with_context(|| format!("could not remove {}", path.display()))?;
                info!(run.id = %run, "Removed the folder of run {run}");
            }
        }
        Ok(None)
    }
}

/// Folders that are named exactly as a run made before that moment, in milliseconds since 1970. Everything else in the
/// folder is somebody else's.
fn old_runs(folder: &Path, before: i64) -> anyhow::Result<Vec<(DagRunId, PathBuf)>> {
    let mut old = vec![];
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(old),
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", folder.display()));
        }
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|it| it.parse::<i64>().ok());
        let Some(number) = number.filter(|it| name.to_str() == Some(it.to_string().as_str()))
        else {
            continue;
        };
        // A link is not followed: its target may be anywhere.
        if entry.file_type()?.is_dir() && number > 0 && number >> 20 < before {
            old.push((DagRunId(number), entry.path()));
        }
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_named_as_old_runs_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let (old, young) = (1_000_i64 << 20, 3_000_i64 << 20);
        for name in [
            old.to_string(),
            young.to_string(),
            format!("0{old}"),
            "notes".into(),
            "-5".into(),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/", folder.path().join((old + 1).to_string())).unwrap();
        let swept = old_runs(folder.path(), 2_000).unwrap();
        assert_eq!(
            swept,
            [(DagRunId(old), folder.path().join(old.to_string()))]
        );
        assert_eq!(old_runs(&folder.path().join("none"), 2_000).unwrap(), []);
    }
}
