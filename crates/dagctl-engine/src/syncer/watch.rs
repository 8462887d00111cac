//! Watches the dags folder: which files a writer is done with, and which may still be half written.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use crate::commit;

/// How long a file that was written to, but not closed, is left alone; and how far apart looks are in a burst.
const SETTLE: Duration = Duration::from_millis(50);
/// How often it is made sure that the folder that is watched is still the dags folder.
const SAME_FOLDER: Duration = Duration::from_secs(5);
/// A lock of Git's that is older was left by a process that died.
const CHECKOUT: Duration = Duration::from_secs(10);

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole folder.
    All,
    /// These files.
    Paths(BTreeSet<PathBuf>),
}

/// Gathers what changed in the dags folder. Where the system cannot watch, the syncer's period is all there is.
#[derive(Debug, Clone, Default)]
pub struct FolderWatch {
    changes: Arc<Mutex<Changes>>,
    raw: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Changes {
    is_watching: bool,
    all: bool,
    done: BTreeSet<PathBuf>,
    /// Files that somebody may be writing, and since when they are quiet.
    open: BTreeMap<PathBuf, Instant>,
}

impl FolderWatch {
    /// What changed since the last call.
    pub(crate) fn take(&self) -> Scope {
        let mut changes = self.changes();
        let done = std::mem::take(&mut changes.done);
        if std::mem::take(&mut changes.all) {
            Scope::All
        } else {
            Scope::Paths(done)
        }
    }

    /// Whether changes are told.
    pub(crate) fn is_watching(&self) -> bool {
        self.changes().is_watching
    }

    /// Wakes `wake` at each change: at once where the writer is done, and shortly after for the rest of a burst.
    pub(crate) async fn watch(&self, folder: &Path, wake: &Notify) {
        let mut is_first = true;
        loop {
            let watched = identity(folder);
            let watcher = self.begin(folder);
            {
                let mut changes = self.changes();
                changes.is_watching = watcher.is_some();
                changes.all = true;
            }
            // The first look comes by itself.
            if !std::mem::take(&mut is_first) {
                wake.notify_one();
            }
            while watched == identity(folder) {
                let quiet = self.next_quiet();
                let due = quiet.unwrap_or_else(|| Instant::now() + SAME_FOLDER);
                tokio::select! {
                    () = self.raw.notified() => (),
                    () = sleep_until(due) => (),
                }
                if self.settle() {
                    if let Some(git) = commit::git_folder(folder) {
                        until_checked_out(&git).await;
                    }
                    wake.notify_one();
                    sleep(SETTLE).await;
                }
            }
        }
    }

    fn begin(&self, folder: &Path) -> Option<notify::RecommendedWatcher> {
        let (own, root) = (self.clone(), folder.to_owned());
        let hear = move |event| own.hear(&root, event);
        let watcher = notify::recommended_watcher(hear).and_then(|mut it| {
            it.watch(folder, RecursiveMode::Recursive)?;
            let beside = folder.parent().map(|it| it.join(".dagignore"));
            if let Some(beside) = beside.filter(|it| it.exists()) {
                it.watch(&beside, RecursiveMode::NonRecursive)?;
            }
            Ok(it)
        });
        watcher
            .inspect_err(|error| {
                warn!(
                    "Cannot watch {}, it is read every few seconds instead: {error}",
                    folder.display()
                );
            })
            .ok()
    }

    fn hear(&self, root: &Path, event: notify::Result<Event>) {
        let mut changes = self.changes();
        match event {
            Ok(mut event) => {
                event
                    .paths
                    .retain(|it| !is_hidden(it.strip_prefix(root).unwrap_or(it)));
                changes.hear(event);
            }
            Err(_) => changes.all = true,
        }
        drop(changes);
        self.raw.notify_one();
    }

    fn next_quiet(&self) -> Option<Instant> {
        self.changes().open.values().map(|it| *it + SETTLE).min()
    }

    /// Takes files that have been quiet for long enough as done. Says whether there is something to look at.
    fn settle(&self) -> bool {
        let mut changes = self.changes();
        let now = Instant::now();
        let quiet: Vec<PathBuf> = changes
            .open
            .iter()
            .filter(|(_, since)| **since + SETTLE <= now)
            .map(|(path, _)| path.clone())
            .collect();
        for path in quiet {
            changes.open.remove(&path);
            changes.done.insert(path);
        }
        changes.all || !changes.done.is_empty()
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn hear(&mut self, event: Event) {
        if event.need_rescan() {
            self.all = true;
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Remove(_) => {
                for path in event.paths {
                    // A folder was renamed: nothing tells of what is in it.
                    self.all |= path.is_dir();
                    self.open.remove(&path);
                    self.done.insert(path);
                }
            }
            EventKind::Access(_) => (),
            EventKind::Create(CreateKind::Folder) => {
                // Once more when it is watched itself.
                self.all |= !event.paths.is_empty();
                self.open(event.paths);
            }
            // Who created or wrote it may go on.
            EventKind::Create(_) | EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                self.open(event.paths);
            }
        }
    }

    fn open(&mut self, paths: Vec<PathBuf>) {
        let now = Instant::now();
        self.open.extend(paths.into_iter().map(|it| (it, now)));
    }
}

/// Whether the loader looks past a path below the dags folder: Git's own files, an editor's swap files. Kubernetes
/// changes a folder by a link whose name starts with two dots.
fn is_hidden(relative: &Path) -> bool {
    let mut names = relative.iter().map(|it| it.as_encoded_bytes());
    let own = names.next_back().unwrap_or_default();
    let is_own = own.starts_with(b".") && !own.starts_with(b"..") && own != b".dagignore";
    is_own || names.any(|it| it.starts_with(b".") && it.len() > 1)
}

/// Which folder a path leads to at the moment.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let metadata = folder.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Waits while Git changes the work tree: half a checkout is no state that anybody wrote.
async fn until_checked_out(git: &Path) {
    let lock = git.join("index.lock");
    let is_held = || {
        let modified = lock.metadata().and_then(|it| it.modified()).ok();
        modified.is_some_and(|it| it.elapsed().is_ok_and(|it| it < CHECKOUT))
    };
    if !is_held() {
        return;
    }
    // Its holder may die.
    let _ = timeout(CHECKOUT, async {
        while is_held() {
            sleep(SETTLE / 5).await;
        }
    })
    .await;
    // `HEAD` follows when the files are there.
    sleep(SETTLE).await;
}
