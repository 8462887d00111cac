//! Walks the dags folder; the only file that reads the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dagctl_core::dag::Dag;

use crate::diagnostic::Diagnostic;
use crate::ignore::IgnoredFile;

/// Everything a look at the dags folder found.
#[derive(Debug, Clone, Default)]
pub struct FolderLoad {
    /// The DAG files in the order of their paths, good and bad ones.
    pub dags: Vec<LoadedDag>,
    /// Every problem, those of `dags` included, by file and position.
    pub diagnostics: Vec<Diagnostic>,
    /// What `.dagignore` hides.
    pub ignored: Vec<IgnoredFile>,
}

/// One DAG file with all it pulls in.
#[derive(Debug, Clone)]
pub struct LoadedDag {
    /// The DAG; none where the file has an error that leaves no DAG.
    pub dag: Option<Arc<Dag>>,
    /// What it is called, as far as can be told.
    pub dag_id: String,
    /// Its file, relative to the dags folder, with `/`.
    pub file: String,
    /// SHA-256 in lower-case hex over the texts and paths of `files`.
    pub hash: String,
    /// The texts it is made of by path: itself, `_defaults.yaml`, config and SQL files.
    pub files: Arc<BTreeMap<String, String>>,
    /// The problems of the DAG file and of what it pulls in.
    pub diagnostics: Vec<Diagnostic>,
    /// The Git commit, filled in by whoever knows it.
    pub commit: Option<String>,
}

/// Loads a dags folder again and again, and parses only what changed.
#[derive(Debug)]
pub struct Loader {
    dir: PathBuf,
    shown: String,
}

impl Loader {
    /// Takes the dags folder; files are shown below its last component, such as `dags/orders.yaml`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let shown = dir
            .file_name()
            .map_or_else(|| ".".to_owned(), |it| it.to_string_lossy().into_owned());
        Self { dir, shown }
    }

    /// Shows files below `prefix` instead.
    #[must_use]
    pub fn shown_as(mut self, prefix: impl Into<String>) -> Self {
        self.shown = prefix.into();
        self
    }

    /// The dags folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Looks at the folder. Files that did not change since the last look cost one `stat` each.
    pub fn load(&mut self) -> FolderLoad {
        let _ = &self.shown;
        unimplemented!()
    }
}
