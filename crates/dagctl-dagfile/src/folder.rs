//! Walks the dags folder; only this file and what lies beside it reads the disk.

mod disk;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dagctl_core::dag::Dag;
use sha2::{Digest, Sha256};

use self::disk::{Content, Disk, Found};
use crate::diagnostic::{Code, Diagnostic};
use crate::ignore::IgnoredFile;
use crate::parse::{self, Shape, is_defaults};
use crate::sources::{Asked, Session, Sources, shown, sorted};
use crate::stack::with_room;

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
    /// Of other files that `for_each` matches only the path counts.
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
    disk: Disk,
    parses: HashMap<String, Cached>,
}

/// A reading of a file, good for as long as what it asked for stays the same.
#[derive(Debug, Clone)]
struct Cached {
    asked: Asked,
    /// The text behind each path that was asked for.
    texts: Vec<(String, Option<Arc<str>>)>,
    /// Which of those paths were hidden, and by what.
    hidden: Vec<IgnoredFile>,
    shape: Shape,
    loaded: LoadedDag,
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
            parses: HashMap::new(),
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
        let found = match self.disk.look(&self.dir, &self.shown) {
            Ok(it) => it,
            Err(diagnostic) => {
                return FolderLoad {
                    diagnostics: vec![*diagnostic],
                    ..FolderLoad::default()
                };
            }
        };
        let texts: BTreeMap<&str, Arc<str>> = found
            .files
            .iter()
            .map(|(path, content)| (path.as_str(), content.text()))
            .collect();
        let sources = Sources::new(
            texts.iter().map(|(path, text)| (*path, &**text)),
            &self.shown,
        )
        .hiding(&found.ignored);
        let mut old = std::mem::take(&mut self.parses);
        self.parses = with_room(|| {
            let candidates = found.files.iter().filter(|(path, _)| is_candidate(path));
            candidates
                .map(|(path, content)| {
                    let cached = match old.remove(path) {
                        Some(it) if it.holds(&sources, &texts) => it,
                        Some(_) | None => read(&sources, &texts, path, content),
                    };
                    (path.clone(), cached)
                })
                .collect()
        });
        self.assemble(found)
    }

    /// Sorts DAGs from config files, now that it is known who refers to whom.
    fn assemble(&self, found: Found) -> FolderLoad {
        let mut referred: BTreeSet<&str> = BTreeSet::new();
        for (path, it) in &self.parses {
            if it.shape == Shape::Dag {
                let others = it.asked.paths.iter().filter(|it| *it != path);
                referred.extend(others.map(String::as_str));
            }
        }
        let mut dags: Vec<LoadedDag> = self
            .parses
            .iter()
            .filter(|(path, it)| it.shape == Shape::Dag || !referred.contains(path.as_str()))
            .filter(|(path, it)| !(it.shape == Shape::Other && self.is_awaited(path)))
            .map(|(_, it)| it.loaded.clone())
            .collect();
        dags.sort_by(|a, b| a.file.cmp(&b.file));
        let mut diagnostics = found.diagnostics;
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
            ignored: found.ignored,
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

impl Cached {
    fn holds(&self, sources: &Sources<'_>, texts: &BTreeMap<&str, Arc<str>>) -> bool {
        let same_texts =
            self.texts
                .iter()
                .all(|(path, old)| match (old, texts.get(path.as_str())) {
                    (Some(old), Some(new)) => Arc::ptr_eq(old, new),
                    (None, None) => true,
                    (Some(_), None) | (None, Some(_)) => false,
                });
        same_texts
            && hidden(sources, &self.asked).eq(&self.hidden)
            && self.asked.globs.iter().all(|(glob, old)| {
                let new = texts.keys().filter(|path| glob.matches(path));
                new.eq(old.iter())
            })
    }
}

/// What is hidden of that which was asked for.
fn hidden<'s>(sources: &'s Sources<'_>, asked: &'s Asked) -> impl Iterator<Item = &'s IgnoredFile> {
    asked.paths.iter().filter_map(|it| sources.hidden(it))
}

/// A YAML file that may be a DAG.
fn is_candidate(path: &str) -> bool {
    let yaml = [".yaml", ".yml"].iter().any(|it| path.ends_with(it));
    let test = [".test.yaml", ".test.yml"]
        .iter()
        .any(|it| path.ends_with(it));
    yaml && !test && !is_defaults(path)
}

fn read(
    sources: &Sources<'_>,
    texts: &BTreeMap<&str, Arc<str>>,
    path: &str,
    content: &Content,
) -> Cached {
    let mut session = Session::new(sources);
    let file = session.open(path).expect("the file was found just now");
    let parsed = match content {
        Content::Text(_) | Content::Other(_) => parse::parse(session, file),
        Content::Unreadable(it) => parse::unreadable(session, file, &it.0),
    };
    let seen: Vec<(String, Option<Arc<str>>)> = parsed
        .asked
        .paths
        .iter()
        .map(|path| (path.clone(), texts.get(path.as_str()).cloned()))
        .collect();
    let files: BTreeMap<String, String> = seen
        .iter()
        .filter_map(|(path, text)| Some((path.clone(), text.as_ref()?.to_string())))
        .collect();
    let hash = hash(&files);
    Cached {
        hidden: hidden(sources, &parsed.asked).cloned().collect(),
        asked: parsed.asked,
        texts: seen,
        shape: parsed.shape,
        loaded: LoadedDag {
            dag: parsed.dag.map(Arc::new),
            dag_id: parsed.dag_id,
            file: path.to_owned(),
            hash,
            files: Arc::new(files),
            diagnostics: parsed.diagnostics,
            commit: None,
        },
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
fn duplicates(dags: &[LoadedDag], prefix: &str) -> Vec<Diagnostic> {
    let mut first: HashMap<&str, &LoadedDag> = HashMap::new();
    let mut problems = vec![];
    for it in dags.iter().filter(|it| it.dag.is_some()) {
        let Some(other) = first.get(it.dag_id.as_str()) else {
            first.insert(&it.dag_id, it);
            continue;
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
