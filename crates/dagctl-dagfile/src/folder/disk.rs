//! What lies on the disk: paths, texts, and what `.dagignore` hides.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::diagnostic::{Code, Diagnostic};
use crate::ignore::{self, Ignore, IgnoredFile};
use crate::sources::shown;
use crate::yaml::MAX_FILE_BYTES;

/// More files are no dags folder.
const MAX_FILES: usize = 50_000;
/// A file that changed less than this before it was read may change again without its time stamp showing it.
const TICK: Duration = Duration::from_secs(2);

/// What the last look found, so that the next one reads only what changed.
#[derive(Debug, Default)]
pub(super) struct Disk {
    files: BTreeMap<String, Cached>,
    /// What `.dagignore` hides, by path.
    pub(super) ignored: BTreeMap<String, IgnoredFile>,
    /// What was wrong with folders, links and `.dagignore` files.
    refused: Vec<Diagnostic>,
    folders: HashMap<String, Vec<Scoped>>,
    root: PathBuf,
    /// Whether a path alone says where its file is, and its folder what is hidden there.
    is_plain: bool,
}

#[derive(Debug, Clone)]
struct Cached {
    stamp: Stamp,
    /// Whether the stamp will change with the next write.
    is_settled: bool,
    content: Content,
}

/// What tells two states of a file apart without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a file holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(Arc<str>),
    /// Neither YAML nor SQL; only the path counts.
    Other,
    /// A YAML or SQL file that cannot be read.
    Unreadable(Arc<Diagnostic>),
}

impl Content {
    /// Whether both are one reading: the same text keeps its address.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Arc::ptr_eq(a, b),
            (Self::Other, Self::Other) => true,
            (Self::Unreadable(a), Self::Unreadable(b)) => Arc::ptr_eq(a, b),
            (Self::Text(_) | Self::Other | Self::Unreadable(_), _) => false,
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(it) => it,
            Self::Other | Self::Unreadable(_) => "",
        }
    }
}

/// A walk through the folder, or through some of its files.
struct Walk<'d> {
    root: PathBuf,
    shown: &'d str,
    old: &'d BTreeMap<String, Cached>,
    files: BTreeMap<String, Cached>,
    ignored: BTreeMap<String, IgnoredFile>,
    refused: Vec<Diagnostic>,
    folders: HashMap<String, Vec<Scoped>>,
    /// Folders that were entered, so that a link to a folder above ends.
    entered: HashSet<PathBuf>,
    is_full: bool,
    has_links: bool,
}

impl Disk {
    /// The files by path relative to the dags folder.
    pub(super) fn files(&self) -> impl Iterator<Item = (&String, &Content)> {
        self.files.iter().map(|(path, it)| (path, &it.content))
    }

    /// The file of a path relative to the dags folder, if it is there.
    pub(super) fn file(&self, path: &str) -> Option<(&String, &Content)> {
        let (path, it) = self.files.get_key_value(path)?;
        Some((path, &it.content))
    }

    /// What is wrong with folders and files, whatever they mean.
    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut diagnostics = self.refused.clone();
        // Said here as well as of a DAG, because a config file is none.
        for file in self.files.values() {
            if let Content::Unreadable(it) = &file.content {
                diagnostics.push(Diagnostic::clone(it));
            }
        }
        diagnostics
    }

    /// Looks at the whole folder. Says which paths mean something else than at the look before.
    pub(super) fn look(
        &mut self,
        dir: &Path,
        shown: &str,
    ) -> Result<BTreeSet<String>, Box<Diagnostic>> {
        let root = fs::canonicalize(dir)
            .and_then(|it| fs::read_dir(&it).map(|_| it))
            .map_err(|error| {
                let message = format!(
                    "could not read the dags folder `{}`: {error}",
                    dir.display()
                );
                let mut diagnostic = Diagnostic::new(Code::Unreadable, shown, message);
                diagnostic.hint("make the folder, or say where it is with `--dags-folder`");
                Box::new(diagnostic)
            })?;
        let mut walk = Walk::new(root.clone(), shown, &self.files);
        // The `.dagignore` beside the dags folder sees paths that start with the folder's name.
        let mut ignores = vec![];
        if let (Some(parent), Some(name)) = (root.parent(), root.file_name()) {
            let prefix = format!("{}/", name.to_string_lossy());
            ignores.extend(walk.ignore_of(parent, ignore::FILE_NAME, prefix));
        }
        walk.folder(&root, "", &ignores);
        let next = Self {
            is_plain: !walk.has_links && !walk.is_full,
            files: walk.files,
            ignored: walk.ignored,
            refused: walk.refused,
            folders: walk.folders,
            root,
        };
        let old = std::mem::replace(self, next);
        let mut changes = differences(&old.files, &self.files, |a, b| a.content.same(&b.content));
        changes.extend(differences(&old.ignored, &self.ignored, PartialEq::eq));
        Ok(changes)
    }

    /// Looks at some paths, which may be gone or new. `None`: only the whole folder can tell.
    pub(super) fn look_at(
        &mut self,
        dir: &Path,
        shown: &str,
        paths: &BTreeSet<PathBuf>,
    ) -> Option<BTreeSet<String>> {
        let is_same_root = fs::canonicalize(dir).is_ok_and(|it| it == self.root);
        if !self.is_plain || !is_same_root {
            return None;
        }
        let mut walk = Walk::new(self.root.clone(), shown, &self.files);
        let mut asked = vec![];
        for path in paths {
            let below = path
                .strip_prefix(dir)
                .or_else(|_| path.strip_prefix(&self.root));
            let relative = below.ok()?.to_str()?;
            let (folder, name) = relative.rsplit_once('/').unwrap_or(("", relative));
            if name == ignore::FILE_NAME {
                return None;
            }
            if relative.split('/').any(|it| it.starts_with('.')) {
                continue;
            }
            let ignores = self.folders.get(folder)?;
            let path = self.root.join(relative);
            match fs::symlink_metadata(&path) {
                Ok(it) if it.is_file() => walk.entry(&path, relative, ignores),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.folders.contains_key(relative) {
                        return None;
                    }
                }
                Ok(_) | Err(_) => return None,
            }
            asked.push(relative.to_owned());
        }
        let is_full = self.files.len() + walk.files.len() > MAX_FILES;
        if is_full || !walk.refused.is_empty() {
            return None;
        }
        let (mut files, mut ignored) = (walk.files, walk.ignored);
        let mut changes = BTreeSet::new();
        for path in asked {
            let (new, old) = (files.remove(&path), self.files.get(&path));
            let is_same = match (&new, old) {
                (Some(new), Some(old)) => new.content.same(&old.content),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            let hidden = ignored.remove(&path);
            if !is_same || hidden.as_ref() != self.ignored.get(&path) {
                changes.insert(path.clone());
            }
            put(&mut self.files, &path, new);
            put(&mut self.ignored, &path, hidden);
        }
        Some(changes)
    }
}

fn put<T>(map: &mut BTreeMap<String, T>, path: &str, value: Option<T>) {
    match value {
        Some(it) => map.insert(path.to_owned(), it),
        None => map.remove(path),
    };
}

/// The keys that have another value in `new` than in `old`, or in only one of them.
fn differences<T>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    is_same: impl Fn(&T, &T) -> bool,
) -> BTreeSet<String> {
    let gone = old.keys().filter(|it| !new.contains_key(*it));
    let other = new
        .iter()
        .filter(|(path, it)| !old.get(*path).is_some_and(|old| is_same(old, it)))
        .map(|(path, _)| path);
    gone.chain(other).cloned().collect()
}

/// A `.dagignore` and what stands before a path of its folder: `dags/` above the dags folder, and nothing below.
#[derive(Debug, Clone)]
struct Scoped {
    ignore: Arc<Ignore>,
    above: String,
    folder: String,
}

impl<'d> Walk<'d> {
    fn new(root: PathBuf, shown: &'d str, old: &'d BTreeMap<String, Cached>) -> Self {
        Self {
            root,
            shown,
            old,
            files: BTreeMap::new(),
            ignored: BTreeMap::new(),
            refused: vec![],
            folders: HashMap::new(),
            entered: HashSet::new(),
            is_full: false,
            has_links: false,
        }
    }

    fn folder(&mut self, dir: &Path, relative: &str, above: &[Scoped]) {
        if !self.entered.insert(dir.to_owned()) {
            return;
        }
        let mut ignores = above.to_vec();
        let name = join(relative, ignore::FILE_NAME);
        let shown = shown(self.shown, &name);
        ignores.extend(self.ignore_of(dir, &shown, String::new()).map(|it| Scoped {
            folder: relative.to_owned(),
            ..it
        }));
        let entries = match fs::read_dir(dir) {
            Ok(it) => it,
            Err(error) => return self.refuse(relative, &format!("could not read it: {error}")),
        };
        let mut names: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|it| it.file_name())
            .collect();
        names.sort();
        self.folders.insert(relative.to_owned(), ignores.clone());
        for name in names {
            let Some(name) = name.to_str() else {
                let lossy = name.to_string_lossy();
                self.refuse(&join(relative, &lossy), "its name is not UTF-8");
                continue;
            };
            if !name.starts_with('.') {
                self.entry(&dir.join(name), &join(relative, name), &ignores);
            }
        }
    }

    fn entry(&mut self, path: &Path, relative: &str, ignores: &[Scoped]) {
        let own = fs::symlink_metadata(path);
        let is_link = own.as_ref().is_ok_and(|it| it.file_type().is_symlink());
        self.has_links |= is_link;
        let real = if is_link {
            match fs::canonicalize(path) {
                Ok(it) if it.starts_with(&self.root) => it,
                Ok(_) => {
                    if hidden(relative, ignores).is_none() {
                        self.refuse(relative, "it is a link that leaves the dags folder");
                    }
                    return;
                }
                Err(error) => {
                    return self.refuse(relative, &format!("could not follow it: {error}"));
                }
            }
        } else {
            path.to_owned()
        };
        let metadata = match if is_link { fs::metadata(&real) } else { own } {
            Ok(it) => it,
            // It went away since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.refuse(relative, &format!("could not look at it: {error}")),
        };
        if metadata.is_dir() {
            return self.folder(&real, relative, ignores);
        }
        if let Some(ignored) = hidden(relative, ignores) {
            self.ignored.insert(relative.to_owned(), ignored);
            return;
        }
        if self.files.len() == MAX_FILES {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("more than {MAX_FILES} files in the dags folder");
                let diagnostic = Diagnostic::new(Code::TooMany, self.shown, message);
                self.refused.push(diagnostic);
            }
            return;
        }
        let cached = self.content(&real, relative, &metadata);
        self.files.insert(relative.to_owned(), cached);
    }

    fn content(&self, path: &Path, relative: &str, metadata: &Metadata) -> Cached {
        let stamp = Stamp::of(metadata);
        let old = self.old.get(relative);
        if let Some(old) = old.filter(|it| it.is_settled && it.stamp == stamp) {
            return old.clone();
        }
        let is_text = [".yaml", ".yml", ".sql"]
            .iter()
            .any(|it| relative.ends_with(it));
        let content = match (is_text, read(path, metadata)) {
            (false, _) => Content::Other,
            (true, Ok(text)) => Content::Text(text.into()),
            (true, Err(problem)) => {
                let message = format!("could not read the file: {}", problem.message);
                let mut diagnostic =
                    Diagnostic::new(problem.code, shown(self.shown, relative), message);
                if let Some(hint) = problem.hint {
                    diagnostic.hint(hint);
                }
                Content::Unreadable(Arc::new(diagnostic))
            }
        };
        // The same text keeps its address, which is what readings are compared by.
        let content = match (old.map(|it| &it.content), content) {
            (Some(Content::Text(old)), Content::Text(new)) if **old == *new => {
                Content::Text(old.clone())
            }
            (Some(Content::Unreadable(old)), Content::Unreadable(new)) if **old == *new => {
                Content::Unreadable(old.clone())
            }
            (Some(_) | None, new) => new,
        };
        let age = metadata
            .modified()
            .ok()
            .and_then(|it| SystemTime::now().duration_since(it).ok());
        Cached {
            stamp,
            is_settled: age.is_some_and(|it| it > TICK),
            content,
        }
    }

    /// The `.dagignore` of a folder, if it has one.
    fn ignore_of(&mut self, dir: &Path, shown: &str, above: String) -> Option<Scoped> {
        let path = dir.join(ignore::FILE_NAME);
        let metadata = fs::metadata(&path).ok()?;
        let text = match read(&path, &metadata) {
            Ok(it) => it,
            Err(problem) => {
                let message = format!("could not read the file: {}", problem.message);
                let diagnostic = Diagnostic::new(problem.code, shown, message);
                self.refused.push(diagnostic);
                return None;
            }
        };
        let (ignore, problems) = Ignore::parse(shown, &text);
        self.refused.extend(problems);
        Some(Scoped {
            ignore: Arc::new(ignore),
            above,
            folder: String::new(),
        })
    }

    fn refuse(&mut self, relative: &str, why: &str) {
        let file = shown(self.shown, relative);
        let message = format!("`{file}` is left out: {why}");
        self.refused
            .push(Diagnostic::new(Code::Unreadable, file, message));
    }
}

/// The line that hides a path; the outermost `.dagignore` is asked first.
fn hidden(relative: &str, ignores: &[Scoped]) -> Option<IgnoredFile> {
    ignores.iter().find_map(|it| {
        let below = relative
            .strip_prefix(&it.folder)
            .unwrap_or(relative)
            .trim_start_matches('/');
        let (line, pattern) = it.ignore.hides(&format!("{}{below}", it.above))?;
        Some(IgnoredFile {
            path: relative.to_owned(),
            ignore_file: it.ignore.file.clone(),
            line,
            pattern: pattern.to_owned(),
        })
    })
}

struct ReadProblem {
    code: Code,
    message: String,
    hint: Option<&'static str>,
}

fn read(path: &Path, metadata: &Metadata) -> Result<String, ReadProblem> {
    let problem = |code, message: String, hint| ReadProblem {
        code,
        message,
        hint,
    };
    // A pipe would wait for a writer.
    if !metadata.is_file() {
        return Err(problem(Code::Unreadable, "it is not a file".into(), None));
    }
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    // One byte more, so that the end is seen without another try for room.
    let size = usize::try_from(metadata.len().min(limit)).unwrap_or_default();
    let mut bytes = Vec::with_capacity(size + 1);
    fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(Code::Unreadable, error.to_string(), None))?;
    if bytes.len() > MAX_FILE_BYTES {
        let message = "it is larger than 1 MiB, the limit".to_owned();
        return Err(problem(Code::TooLarge, message, None));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("it is not UTF-8 from byte {at} on");
        problem(Code::Unreadable, message, Some("save it as UTF-8"))
    })
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}
