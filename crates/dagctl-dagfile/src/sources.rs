//! The texts a DAG is made of, places in them, and what is wrong there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use crate::diagnostic::{Code, Diagnostic};
use crate::glob::Glob;
use crate::ignore::IgnoredFile;
use crate::lint::Job;
use crate::sql_read::SqlRead;
use crate::text::Text;
use crate::yaml::{self, Node};
use dagctl_core::asset::Asset;
use dagctl_core::nearest::nearest;

/// Every file of the dags folder in memory, by path relative to it. Files that are neither YAML nor SQL have no text.
pub(crate) struct Sources<'a> {
    files: Vec<(&'a str, &'a str)>,
    hidden: Option<&'a BTreeMap<String, IgnoredFile>>,
    shown: String,
}

/// A file of [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(u32);

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) file: FileId,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Place {
    pub(crate) fn new(file: FileId, range: Range<usize>) -> Self {
        let narrow = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        Self {
            file,
            start: narrow(range.start),
            end: narrow(range.end),
        }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> Sources<'a> {
    /// Takes paths in order with their texts; diagnostics show them with `shown` before them.
    pub(crate) fn new(files: impl IntoIterator<Item = (&'a str, &'a str)>, shown: &str) -> Self {
        Self {
            files: files.into_iter().collect(),
            hidden: None,
            shown: shown.to_owned(),
        }
    }

    /// Adds what a `.dagignore` hides, so that nobody looks for it in vain.
    #[must_use]
    pub(crate) fn hiding(self, hidden: &'a BTreeMap<String, IgnoredFile>) -> Self {
        Self {
            hidden: Some(hidden),
            ..self
        }
    }

    /// The line that hides a path.
    pub(crate) fn hidden(&self, path: &str) -> Option<&'a IgnoredFile> {
        self.hidden?.get(path)
    }

    fn find(&self, path: &str) -> Option<FileId> {
        let at = self
            .files
            .binary_search_by(|(it, _)| (*it).cmp(path))
            .ok()?;
        u32::try_from(at).ok().map(FileId)
    }

    pub(crate) fn find_text(&self, path: &str) -> Option<&'a str> {
        self.find(path).map(|it| self.text(it))
    }

    pub(crate) fn path(&self, file: FileId) -> &'a str {
        self.files[file.0 as usize].0
    }

    pub(crate) fn text(&self, file: FileId) -> &'a str {
        self.files[file.0 as usize].1
    }

    /// The path that is fewest typos away.
    pub(crate) fn nearest(&self, path: &str) -> Option<&'a str> {
        nearest(path, self.files.iter().map(|(path, _)| *path))
    }

    pub(crate) fn shown(&self, path: &str) -> String {
        shown(&self.shown, path)
    }
}

/// A path as people see it.
pub(crate) fn shown(prefix: &str, path: &str) -> String {
    if prefix.is_empty() {
        path.to_owned()
    } else {
        format!("{}/{path}", prefix.trim_end_matches('/'))
    }
}

/// One reading of a DAG: what it asked for, and what is wrong.
pub(crate) struct Session<'a> {
    pub(crate) sources: &'a Sources<'a>,
    found: Vec<Diagnostic>,
    /// Where in `found` a problem stands. Every member of an expansion has the same ones.
    known: HashMap<(Code, Place, String), usize>,
    /// Files that have been read, since an expansion may name one thousands of times.
    trees: HashMap<FileId, Option<Rc<Node>>>,
    /// What the SQL parser said of texts, which are both checked and asked for what they write.
    sql: HashMap<String, Rc<SqlRead>>,
    asked: BTreeSet<String>,
    globs: Vec<Glob>,
    /// Texts that are looked at once the graph is known.
    pub(crate) jobs: Vec<Job>,
    /// Tables that the schedule waits for, and where it says so.
    pub(crate) awaited: Vec<(Asset, Place)>,
    /// The task whose fields are being read, by its place among the DAG's tasks.
    pub(crate) task: Option<usize>,
    /// The notifiers that have a name here, the nearest definition first.
    pub(crate) notifiers: Vec<(String, Node)>,
    /// What branches follow, by their place among the DAG's tasks and the option's number; looked up once all names are
    /// known.
    pub(crate) follows: Vec<(usize, usize, Text)>,
}

/// What a reading depended on, so that it can be reused while none of it changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Paths that were looked up, there or not.
    pub(crate) paths: BTreeSet<String>,
    /// Patterns of paths.
    pub(crate) globs: Vec<Glob>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(sources: &'a Sources<'a>) -> Self {
        Self {
            sources,
            found: vec![],
            known: HashMap::new(),
            trees: HashMap::new(),
            sql: HashMap::new(),
            asked: BTreeSet::new(),
            globs: vec![],
            jobs: vec![],
            awaited: vec![],
            task: None,
            notifiers: vec![],
            follows: vec![],
        }
    }

    /// Looks a file up, and remembers that it was asked for.
    pub(crate) fn open(&mut self, path: &str) -> Option<FileId> {
        self.asked.insert(path.to_owned());
        self.sources.find(path)
    }

    /// The files that a pattern matches, sorted.
    pub(crate) fn glob(&mut self, glob: Glob) -> Vec<String> {
        let paths: Vec<String> = self
            .sources
            .files
            .iter()
            .filter(|(path, _)| glob.matches(path))
            .map(|(path, _)| (*path).to_owned())
            .collect();
        self.asked.extend(paths.iter().cloned());
        self.globs.push(glob);
        paths
    }

    /// Notes a problem; the caller may add to it.
    pub(crate) fn report(
        &mut self,
        code: Code,
        place: Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let message = message.into();
        let key = (code, place, message.clone());
        let at = *self.known.entry(key).or_insert_with(|| {
            let file = self.sources.shown(self.sources.path(place.file));
            let text = self.sources.text(place.file);
            let diagnostic = Diagnostic::new(code, file, message).at(text, place.range());
            self.found.push(diagnostic);
            self.found.len() - 1
        });
        &mut self.found[at]
    }

    /// A file as a tree; `None` after a complaint.
    pub(crate) fn tree(&mut self, file: FileId) -> Option<Rc<Node>> {
        if let Some(known) = self.trees.get(&file) {
            return known.clone();
        }
        let tree = yaml::read(self, file).map(Rc::new);
        self.trees.insert(file, tree.clone());
        tree
    }

    /// What the parser says of SQL without `{%`.
    pub(crate) fn read_sql(&mut self, text: &str) -> Rc<SqlRead> {
        if let Some(known) = self.sql.get(text) {
            return known.clone();
        }
        let read = Rc::new(SqlRead::new(text));
        self.sql.insert(text.to_owned(), read.clone());
        read
    }

    /// Line and column of a place, for a note that points elsewhere.
    pub(crate) fn position(&self, place: Place) -> String {
        let text = self.sources.text(place.file);
        let file = self.sources.shown(self.sources.path(place.file));
        let diagnostic = Diagnostic::new(Code::Syntax, file, "").at(text, place.range());
        match diagnostic.span {
            Some(span) => format!("{}:{}:{}", diagnostic.file, span.line, span.column),
            None => diagnostic.file,
        }
    }

    /// Whether what was found leaves no DAG.
    pub(crate) fn is_fatal(&self) -> bool {
        self.found.iter().any(|it| it.code.is_fatal())
    }

    /// The problems by file and position, each once, and what the reading depended on.
    pub(crate) fn finish(self) -> (Vec<Diagnostic>, Asked) {
        let asked = Asked {
            paths: self.asked,
            globs: self.globs,
        };
        (sorted(self.found), asked)
    }
}

/// Sorts problems by file and position, and drops those said twice, such as in every member of an expansion.
pub(crate) fn sorted(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    found.retain(|it| seen.insert((it.file.clone(), it.span, it.code, it.message.clone())));
    found.sort_by(|a, b| {
        let key = |it: &Diagnostic| (it.file.clone(), it.span.map(|it| (it.start, it.end)));
        key(a).cmp(&key(b))
    });
    found
}
