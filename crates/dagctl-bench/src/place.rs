//! A throwaway folder that looks like a whole machine to the dagctl in it.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

/// A home, a data folder and a dags folder; all goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, OsString)>,
}

impl Place {
    /// Makes the folder below `parent`.
    pub(crate) fn new(
        parent: &Path,
        number: usize,
        environment: Vec<(String, OsString)>,
    ) -> anyhow::Result<Self> {
        // As root, the private Postgres runs as another user, who must be able to reach its folder.
        let folder = tempfile::Builder::new()
            .prefix(&format!("dagctl-bench-{number}-"))
            .permissions(Permissions::from_mode(0o711))
            .tempdir_in(parent)
            .with_context(|| format!("could not make a folder in `{}`", parent.display()))?;
        for name in ["home", "dags"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self {
            folder,
            environment,
        })
    }

    /// The dags folder.
    pub(crate) fn dags(&self) -> PathBuf {
        self.folder.path().join("dags")
    }

    /// The data folder, which the standalone makes.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes `NAME.yaml` into the dags folder, in one step as an editor or Git does.
    pub(crate) fn write_dag(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (new, path) = (
            self.folder.path().join("dag.new"),
            self.dags().join(format!("{name}.yaml")),
        );
        std::fs::write(&new, text)?;
        std::fs::rename(&new, &path)
            .with_context(|| format!("could not write `{}`", path.display()))
    }

    /// A command of dagctl in this place, which sees nothing of the user's own dagctl.
    pub(crate) fn command(&self, program: &Path, args: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", self.folder.path().join("home"))
            .env("DAGCTL_HOME", self.data())
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Stops a Postgres that a killed standalone has left in here.
    pub(crate) fn stop_postgres(&self) {
        let pid = std::fs::read_to_string(self.data().join("cluster/postmaster.pid"))
            .ok()
            .and_then(|it| it.lines().next()?.trim().parse::<i32>().ok())
            .and_then(rustix::process::Pid::from_raw);
        let Some(pid) = pid else { return };
        // An immediate shutdown: nobody needs this data again.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        for _ in 0..500 {
            if rustix::process::test_kill_process(pid).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop_postgres();
    }
}
