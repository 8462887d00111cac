//! Walks the dags folder; only this file and what lies beside it reads the disk.

mod assets;
mod disk;
mod readers;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dagctl_core::asset::Asset;
use dagctl_core::dag::Dag;
use sha2::{Digest, Sha256};

use self::disk::{Content, Disk};
use self::readers::Readers;
use crate::diagnostic::{Code, Diagnostic};
use crate::ignore::IgnoredFile;
use crate::parse::{self, Awaited, Shape, is_defaults};
use crate::sources::{Asked, Session, Sources, shown, sorted};
use crate::stack::in_parallel;

/// Everything a look at the dags folder found.
#[derive(Debug, Clone, Default)]
pub struct FolderLoad {
    /// The DAG files in the order of their paths, good and bad ones.
    pub dags: Vec<Arc<LoadedDag>>,
    /// Every problem, those of `dags` included, by file and position.
    pub diagnostics: Vec<Diagnostic>,
    /// What `.dagignore` hides.
    pub ignored: Vec<IgnoredFile>,
}

/// One DAG file with all it pulls in.
#[derive(Debug, Clone)]
pub struct LoadedDag {
    /// Whether the file has no error that leaves no DAG.
    pub is_good: bool,
    /// The DAG of a good file, until [`Loader::forget_dags`].
    pub dag: Option<Arc<Dag>>,
    /// What it is called, as far as can be told.
    pub dag_id: String,
    /// Its file, relative to the dags folder, with `/`.
    pub file: String,
    /// SHA-256 in lower-case hex over the texts and paths of `files`.
    pub hash: String,
    /// The texts it is made of by path: itself, `_defaults.yaml`, config and SQL files.
    /// Of other files that `for_each` matches only the path counts.
    pub files: BTreeMap<String, String>,
    /// The problems of the DAG file and of what it pulls in.
    pub diagnostics: Vec<Diagnostic>,
    /// The Git commit, filled in by whoever knows it.
    pub commit: Option<String>,
    /// Tables that its schedule waits for.
    awaited: Vec<Awaited>,
    /// Tables that its tasks write, with the tasks' names.
    writes: Vec<(Asset, String)>,
}

/// Loads a dags folder again and again, and parses only what changed.
#[derive(Debug)]
pub struct Loader {
    dir: PathBuf,
    shown: String,
    disk: Disk,
    parses: BTreeMap<String, Cached>,
    readers: Readers,
}

/// A reading of a file, good for as long as what it asked for stays the same.
#[derive(Debug, Clone)]
struct Cached {
    asked: Asked,
    shape: Shape,
    loaded: Arc<LoadedDag>,
}

impl Loader {
    /// Takes the dags folder; files are shown below its last component, such as `dags/orders.yaml`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let shown = dir
            .file_name()
            .map_or_else(|| ".".to_owned(), |it| it.to_string_lossy().into_owned());
        Self {
            dir,
            shown,
            disk: Disk::default(),
            parses: BTreeMap::new(),
            readers: Readers::default(),
        }
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
        match self.disk.look(&self.dir, &self.shown) {
            Ok(changes) => self.read_again(&changes),
            Err(diagnostic) => FolderLoad {
                diagnostics: vec![*diagnostic],
                ..FolderLoad::default()
            },
        }
    }

    /// Looks at these files below the dags folder, and at nothing else where they alone can have changed.
    pub fn load_paths(&mut self, paths: &BTreeSet<PathBuf>) -> FolderLoad {
        match self.disk.look_at(&self.dir, &self.shown, paths) {
            Some(changes) => self.read_again(&changes),
            None => self.load(),
        }
    }

    /// Lets go of the parsed DAGs; they stay good, and `files` holds their texts.
    pub fn forget_dags(&mut self) {
        for it in self.parses.values_mut() {
            if it.loaded.dag.is_some() {
                Arc::make_mut(&mut it.loaded).dag = None;
            }
        }
    }

    fn read_again(&mut self, changes: &BTreeSet<String>) -> FolderLoad {
        let texts = self.disk.files();
        let texts = texts.map(|(path, content)| (path.as_str(), content.text()));
        let sources = Sources::new(texts, &self.shown).hiding(&self.disk.ignored);
        let outdated = self.readers.outdated(changes);
        for path in &outdated {
            if let Some(it) = self.parses.remove(path) {
                self.readers.remove(path, &it.asked);
            }
        }
        let stale: Vec<(&String, &Content)> = outdated
            .iter()
            .filter(|path| is_candidate(path))
            .filter_map(|path| self.disk.file(path))
            .collect();
        let read = in_parallel(&stale, |(path, content)| read(&sources, path, content));
        for ((path, _), it) in stale.into_iter().zip(read) {
            self.readers.add(path, &it.asked);
            self.parses.insert(path.clone(), it);
        }
        self.assemble()
    }

    /// Sorts DAGs from config files, now that it is known who refers to whom.
    fn assemble(&self) -> FolderLoad {
        let others = self.parses.iter().filter(|(_, it)| it.shape != Shape::Dag);
        let others: HashSet<&str> = others.map(|(path, _)| path.as_str()).collect();
        let mut referred: HashSet<&str> = HashSet::new();
        if !others.is_empty() {
            for it in self.parses.values().filter(|it| it.shape == Shape::Dag) {
                let asked = it.asked.paths.iter().map(String::as_str);
                referred.extend(asked.filter(|it| others.contains(it)));
            }
        }
        let mut dags: Vec<Arc<LoadedDag>> = self
            .parses
            .iter()
            .filter(|(path, it)| it.shape == Shape::Dag || !referred.contains(path.as_str()))
            .filter(|(path, it)| !(it.shape == Shape::Other && self.is_awaited(path)))
            .map(|(_, it)| it.loaded.clone())
            .collect();
        assets::check(&mut dags, &self.shown);
        let mut diagnostics = self.disk.diagnostics();
        diagnostics.extend(dags.iter().flat_map(|it| it.diagnostics.iter().cloned()));
        diagnostics.extend(duplicates(&dags, &self.shown));
        if dags.is_empty() && diagnostics.is_empty() {
            let message = format!("there is no DAG in `{}`", self.dir.display());
            let mut diagnostic = Diagnostic::new(Code::NoDags, self.shown.clone(), message);
            diagnostic.hint("put a file such as `hello.yaml` with `tasks:` there");
            diagnostics.push(diagnostic);
        }
        FolderLoad {
            dags,
            diagnostics: sorted(diagnostics),
            ignored: self.disk.ignored.values().cloned().collect(),
        }
    }

    /// Whether a DAG file that cannot be read at the moment mentions the file, which then is no mistake.
    fn is_awaited(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = format!("{}/", folder.rsplit('/').next().unwrap_or(folder));
        self.parses.values().any(|it| {
            it.shape == Shape::Unreadable
                && it.loaded.files.get(&it.loaded.file).is_some_and(|text| {
                    text.contains(name) || (folder.len() > 1 && text.contains(&folder))
                })
        })
    }
}

/// A YAML file that may be a DAG.
fn is_candidate(path: &str) -> bool {
    let yaml = [".yaml", ".yml"].iter().any(|it| path.ends_with(it));
    let test = [".test.yaml", ".test.yml"]
        .iter()
        .any(|it| path.ends_with(it));
    yaml && !test && !is_defaults(path)
}

fn read(sources: &Sources<'_>, path: &str, content: &Content) -> Cached {
    let mut session = Session::new(sources);
    let file = session.open(path).expect("the file was found just now");
    let parsed = match content {
        Content::Text(_) | Content::Other => parse::parse(session, file),
        Content::Unreadable(it) => parse::unreadable(session, file, it),
    };
    let files: BTreeMap<String, String> = parsed
        .asked
        .paths
        .iter()
        .filter_map(|path| Some((path.clone(), sources.find_text(path)?.to_owned())))
        .collect();
    let hash = hash(&files);
    let tasks = parsed.dag.iter().flat_map(|it| it.tasks());
    let writes = tasks
        .flat_map(|task| {
            let name = task.task_id.as_str();
            task.writes.iter().map(|it| (it.clone(), name.to_owned()))
        })
        .collect();
    Cached {
        asked: parsed.asked,
        shape: parsed.shape,
        loaded: Arc::new(LoadedDag {
            is_good: parsed.dag.is_some(),
            dag: parsed.dag.map(Arc::new),
            dag_id: parsed.dag_id,
            file: path.to_owned(),
            hash,
            files,
            diagnostics: parsed.diagnostics,
            commit: None,
            awaited: parsed.awaited,
            writes,
        }),
    }
}

/// Lengths stand before the texts, so that no two sets of files give one sequence of bytes.
fn hash(files: &BTreeMap<String, String>) -> String {
    let mut sha = Sha256::new();
    for part in files.iter().flat_map(|(path, text)| [path, text]) {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part.as_bytes());
    }
    sha.finalize()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect()
}

/// Complains about files that define a DAG which another file defines too.
fn duplicates(dags: &[Arc<LoadedDag>], prefix: &str) -> Vec<Diagnostic> {
    let mut first: HashMap<&str, &LoadedDag> = HashMap::with_capacity(dags.len());
    let mut problems = vec![];
    for it in dags.iter().filter(|it| it.is_good) {
        let other = match first.entry(&it.dag_id) {
            Entry::Vacant(place) => {
                place.insert(it);
                continue;
            }
            Entry::Occupied(other) => *other.get(),
        };
        let files = [&other.file, &it.file].map(|it| shown(prefix, it));
        let message = format!(
            "two files define the DAG `{}`: `{}` and `{}`",
            it.dag_id, files[0], files[1]
        );
        let text = it.files.get(&it.file).map_or("", String::as_str);
        let at = dag_id_line(text).unwrap_or(0..0);
        let mut problem =
            Diagnostic::new(Code::DuplicateDag, files[1].clone(), message).at(text, at);
        problem.hint("the one that was known first goes on; give the other a `dag_id` of its own");
        problems.push(problem);
    }
    problems
}

/// The bytes of the line that says `dag_id`.
fn dag_id_line(text: &str) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for line in text.split('\n') {
        if line.starts_with("dag_id:") {
            return Some(start..start + line.trim_end().len());
        }
        start += line.len() + 1;
    }
    None
}
