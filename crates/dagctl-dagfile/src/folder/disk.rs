//! What lies on the disk: paths, texts, and what `.dagignore` hides.

use std::collections::{BTreeMap, HashMap, HashSet};
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

/// The texts of the last look, so that the next one need not read them again.
#[derive(Debug, Default)]
pub(super) struct Disk {
    cache: HashMap<String, Cached>,
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
    /// Neither YAML nor SQL; the text is empty and only the path counts.
    Other(Arc<str>),
    /// A YAML or SQL file that cannot be read; and an empty text.
    Unreadable(Arc<(Diagnostic, Arc<str>)>),
}

impl Content {
    pub(super) fn text(&self) -> Arc<str> {
        match self {
            Self::Text(it) | Self::Other(it) => it.clone(),
            Self::Unreadable(it) => it.1.clone(),
        }
    }
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By path relative to the dags folder.
    pub(super) files: BTreeMap<String, Content>,
    pub(super) ignored: Vec<IgnoredFile>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// A walk through the folder.
struct Walk<'d> {
    root: PathBuf,
    shown: &'d str,
    cache: &'d HashMap<String, Cached>,
    next: HashMap<String, Cached>,
    found: Found,
    /// Folders that were entered, so that a link to a folder above ends.
    entered: HashSet<PathBuf>,
    is_full: bool,
}

impl Disk {
    /// Looks at the folder.
    pub(super) fn look(&mut self, dir: &Path, shown: &str) -> Result<Found, Box<Diagnostic>> {
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
        let mut walk = Walk {
            root: root.clone(),
            shown,
            cache: &self.cache,
            next: HashMap::new(),
            found: Found::default(),
            entered: HashSet::new(),
            is_full: false,
        };
        // The `.dagignore` beside the dags folder sees paths that start with the folder's name.
        let mut ignores = vec![];
        if let (Some(parent), Some(name)) = (root.parent(), root.file_name()) {
            let prefix = format!("{}/", name.to_string_lossy());
            ignores.extend(walk.ignore_of(parent, ignore::FILE_NAME, prefix));
        }
        walk.folder(&root, "", &ignores);
        let Walk {
            next, mut found, ..
        } = walk;
        // Said here as well as of a DAG, because a config file is none.
        for content in found.files.values() {
            if let Content::Unreadable(it) = content {
                found.diagnostics.push(it.0.clone());
            }
        }
        self.cache = next;
        Ok(found)
    }
}

/// A `.dagignore` and what stands before a path of its folder: `dags/` above the dags folder, and nothing below.
#[derive(Clone)]
struct Scoped {
    ignore: Arc<Ignore>,
    above: String,
    folder: String,
}

impl Walk<'_> {
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
        let is_link = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_symlink());
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
        let metadata = match fs::metadata(&real) {
            Ok(it) => it,
            // It went away since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.refuse(relative, &format!("could not look at it: {error}")),
        };
        if metadata.is_dir() {
            return self.folder(&real, relative, ignores);
        }
        if let Some(ignored) = hidden(relative, ignores) {
            self.found.ignored.push(ignored);
            return;
        }
        if self.found.files.len() == MAX_FILES {
            if !std::mem::replace(&mut self.is_full, true) {
                let message = format!("more than {MAX_FILES} files in the dags folder");
                let diagnostic = Diagnostic::new(Code::TooMany, self.shown, message);
                self.found.diagnostics.push(diagnostic);
            }
            return;
        }
        let content = self.content(&real, relative, &metadata);
        self.found.files.insert(relative.to_owned(), content);
    }

    fn content(&mut self, path: &Path, relative: &str, metadata: &Metadata) -> Content {
        let stamp = Stamp::of(metadata);
        let old = self.cache.get(relative);
        if let Some(old) = old.filter(|it| it.is_settled && it.stamp == stamp) {
            self.next.insert(relative.to_owned(), old.clone());
            return old.content.clone();
        }
        let is_text = [".yaml", ".yml", ".sql"]
            .iter()
            .any(|it| relative.ends_with(it));
        let content = match (is_text, read(path, metadata)) {
            (false, _) => Content::Other("".into()),
            (true, Ok(text)) => Content::Text(text.into()),
            (true, Err(problem)) => {
                let message = format!("could not read the file: {}", problem.message);
                let mut diagnostic =
                    Diagnostic::new(problem.code, shown(self.shown, relative), message);
                if let Some(hint) = problem.hint {
                    diagnostic.hint(hint);
                }
                Content::Unreadable(Arc::new((diagnostic, "".into())))
            }
        };
        // The same text keeps its address, which is what readings are compared by.
        let content = match (old.map(|it| &it.content), content) {
            (Some(Content::Text(old)), Content::Text(new)) if **old == *new => {
                Content::Text(old.clone())
            }
            (Some(old @ Content::Other(_)), Content::Other(_)) => old.clone(),
            (Some(Content::Unreadable(old)), Content::Unreadable(new)) if old.0 == new.0 => {
                Content::Unreadable(old.clone())
            }
            (Some(_) | None, new) => new,
        };
        let age = metadata
            .modified()
            .ok()
            .and_then(|it| SystemTime::now().duration_since(it).ok());
        let cached = Cached {
            stamp,
            is_settled: age.is_some_and(|it| it > TICK),
            content: content.clone(),
        };
        self.next.insert(relative.to_owned(), cached);
        content
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
                self.found.diagnostics.push(diagnostic);
                return None;
            }
        };
        let (ignore, problems) = Ignore::parse(shown, &text);
        self.found.diagnostics.extend(problems);
        Some(Scoped {
            ignore: Arc::new(ignore),
            above,
            folder: String::new(),
        })
    }

    fn refuse(&mut self, relative: &str, why: &str) {
        let file = shown(self.shown, relative);
        let message = format!("`{file}` is left out: {why}");
        self.found
            .diagnostics
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
    let mut bytes = vec![];
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
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
