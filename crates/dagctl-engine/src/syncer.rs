//! The syncer: keeps the stored DAG versions equal to the dags folder, good texts only, and the list of problems.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dagctl_dagfile::{Diagnostic, FolderLoad, LoadedDag, Loader, Severity};
use dagctl_store::dags::{KnownDag, NewProblem, NewVersion};
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::Engine;
use crate::reconcile::Service;

/// How long a burst of changes is waited for, so that a checkout is seen whole.
const SETTLE: Duration = Duration::from_millis(50);

/// Keeps the stored DAG versions equal to the dags folder.
pub struct Syncer {
    engine: Engine,
    loader: Option<Loader>,
    problems: Option<Vec<NewProblem>>,
    news: Option<UnboundedSender<News>>,
    told: BTreeSet<String>,
    broken: BTreeSet<String>,
}

/// Something about the dags folder that was not so at the look before.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A file has something wrong with it.
    Problem(Diagnostic),
    /// A DAG's file is good.
    Active {
        /// The DAG's name.
        dag_id: String,
        /// What became of its file.
        change: Change,
    },
}

/// How a DAG came to its good file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nobody knew it before.
    New,
    /// It has another text than before.
    Changed,
    /// It had an error, and has again the text that was active all along.
    Mended,
}

/// What a pass found, for whoever wants to tell people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Synced {
    /// DAGs with a good version.
    pub dags: Vec<String>,
    /// Errors in the folder.
    pub errors: usize,
    /// DAGs that go on with their last good version, because their file has an error.
    pub stale: Vec<String>,
}

impl Syncer {
    /// A syncer for the engine's dags folder.
    pub fn new(engine: Engine) -> Self {
        let loader = Loader::new(engine.config().dags_folder.clone());
        Self {
            engine,
            loader: Some(loader),
            problems: None,
            news: None,
            told: BTreeSet::new(),
            broken: BTreeSet::new(),
        }
    }

    /// Tells `news` of whatever the next looks find changed.
    pub fn tell(&mut self, news: UnboundedSender<News>) {
        self.news = Some(news);
    }

    /// Reads the folder and stores what changed.
    pub async fn sync(&mut self) -> anyhow::Result<Synced> {
        let mut loader = self
            .loader
            .take()
            .context("the last look at the dags folder panicked")?;
        let (loader, load, commit) = tokio::task::spawn_blocking(move || {
            let load = loader.load();
            let commit = crate::commit::head(loader.dir());
            (loader, load, commit)
        })
        .await?;
        self.loader = Some(loader);
        let known = self.engine.store().known_dags().await?;
        let known: BTreeMap<&str, &KnownDag> =
            known.iter().map(|it| (it.dag_id.as_str(), it)).collect();
        let mut changed = false;
        let mut synced = Synced::default();
        for (dag_id, loaded) in chosen(&load, &known) {
            let before = known.get(dag_id).copied();
            let is_stored = self
                .store_version(loaded, before, commit.as_deref())
                .await?;
            changed |= is_stored;
            let change = match (is_stored, before) {
                (true, None) => Some(Change::New),
                (true, Some(_)) => Some(Change::Changed),
                (false, _) => self.broken.contains(&loaded.file).then_some(Change::Mended),
            };
            if let Some(change) = change {
                let dag_id = dag_id.to_owned();
                self.send(News::Active { dag_id, change });
            }
            synced.dags.push(dag_id.to_owned());
        }
        self.engine
            .store()
            .mark_missing(&present(&load, &known))
            .await?;
        synced.errors = load.diagnostics.iter().filter(|it| it.is_error()).count();
        synced.stale = stale(&load, &known);
        self.tell_problems(&load);
        self.store_problems(&load).await?;
        if changed {
            self.engine.wake().schedule.notify_one();
        }
        Ok(synced)
    }

    async fn store_version(
        &self,
        loaded: &LoadedDag,
        known: Option<&KnownDag>,
        commit: Option<&str>,
    ) -> anyhow::Result<bool> {
        let Some(dag) = &loaded.dag else {
            return Ok(false);
        };
        let hash = loaded.hash.as_bytes();
        let is_active = known.is_some_and(|it| {
            it.active_hash.as_deref() == Some(hash) && it.file == loaded.file && !it.is_missing
        });
        if is_active {
            return Ok(false);
        }
        let new = NewVersion {
            dag,
            hash,
            commit,
            files: &loaded.files,
        };
        let (_, version) = self.engine.store().activate_version(&new).await?;
        self.engine.inner.dags.insert(version, dag.clone());
        info!(dag.id = %dag.spec.dag_id, "Version {version} of `{}` is active", dag.spec.dag_id);
        Ok(true)
    }

    /// Tells each problem once, for as long as it stays the same.
    fn tell_problems(&mut self, load: &FolderLoad) {
        let mut told = BTreeSet::new();
        for diagnostic in &load.diagnostics {
            let text = diagnostic.to_string();
            if !self.told.contains(&text) {
                self.send(News::Problem(diagnostic.clone()));
            }
            told.insert(text);
        }
        self.told = told;
        self.broken = broken(load).into_iter().map(str::to_owned).collect();
    }

    fn send(&self, news: News) {
        if let Some(sender) = &self.news {
            // Whoever stopped listening has heard enough.
            let _ = sender.send(news);
        }
    }

    async fn store_problems(&mut self, load: &FolderLoad) -> anyhow::Result<()> {
        let problems: Vec<NewProblem> = load
            .diagnostics
            .iter()
            .map(|it| problem(it, load))
            .collect();
        if self.problems.as_ref() != Some(&problems) {
            self.engine.store().replace_problems(&problems).await?;
            self.problems = Some(problems);
        }
        Ok(())
    }
}

impl Service for Syncer {
    fn name(&self) -> &'static str {
        "syncer"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        if self.loader.is_none() {
            self.loader = Some(Loader::new(self.engine.config().dags_folder.clone()));
            self.problems = None;
        }
        self.sync().await?;
        Ok(None)
    }
}

/// The file that speaks for each DAG: of two that claim one name, the one that is known goes on.
fn chosen<'a>(
    load: &'a FolderLoad,
    known: &BTreeMap<&str, &KnownDag>,
) -> BTreeMap<&'a str, &'a LoadedDag> {
    let mut chosen: BTreeMap<&str, &LoadedDag> = BTreeMap::new();
    for loaded in &load.dags {
        let Some(dag) = &loaded.dag else { continue };
        let dag_id = dag.spec.dag_id.as_str();
        let knows_other = |file: &str| known.get(dag_id).is_some_and(|it| it.file == file);
        let rivals: Vec<&LoadedDag> = load.dags.iter().filter(|it| it.dag_id == dag_id).collect();
        let speaks = match rivals.iter().find(|it| knows_other(&it.file)) {
            Some(it) => it.file == loaded.file,
            None => rivals.iter().map(|it| &it.file).min() == Some(&loaded.file),
        };
        if speaks {
            chosen.insert(dag_id, loaded);
        }
    }
    chosen
}

/// DAGs whose file is there, good or bad: a broken text leaves the last good version active.
fn present(load: &FolderLoad, known: &BTreeMap<&str, &KnownDag>) -> Vec<String> {
    let files: BTreeSet<&str> = load.dags.iter().map(|it| it.file.as_str()).collect();
    let by_name = load.dags.iter().map(|it| it.dag_id.clone());
    let broken = broken(load);
    let by_file = known
        .values()
        .filter(|it| files.contains(it.file.as_str()) && broken.contains(it.file.as_str()))
        .map(|it| it.dag_id.to_string());
    by_name.chain(by_file).collect()
}

/// Files of DAGs that cannot be used as they are.
fn broken(load: &FolderLoad) -> BTreeSet<&str> {
    load.dags
        .iter()
        .filter(|it| it.dag.is_none())
        .map(|it| it.file.as_str())
        .collect()
}

/// DAGs that go on with their last good version.
fn stale(load: &FolderLoad, known: &BTreeMap<&str, &KnownDag>) -> Vec<String> {
    let broken = broken(load);
    known
        .values()
        .filter(|it| it.active_version_id.is_some() && broken.contains(it.file.as_str()))
        .map(|it| it.dag_id.to_string())
        .collect()
}

fn problem(it: &Diagnostic, load: &FolderLoad) -> NewProblem {
    let place = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let dag = load.dags.iter().find(|dag| dag.diagnostics.contains(it));
    NewProblem {
        file: it.file.clone(),
        line: it.span.map_or(0, |it| place(it.line)),
        col: it.span.map_or(0, |it| place(it.column)),
        severity: match it.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
        .to_owned(),
        code: it.code.as_str().to_owned(),
        message: it.message.clone(),
        rendered: it.to_string(),
        dag_id: dag.map(|it| it.dag_id.clone()),
    }
}

/// Tells of changes below the dags folder and to the `.dagignore` beside it. Kept alive by its owner; where the system
/// cannot watch, the syncer's period is all there is.
pub struct FolderWatch {
    _watcher: Option<notify::RecommendedWatcher>,
}

impl FolderWatch {
    /// Wakes `wake` shortly after something changed.
    pub fn new(folder: PathBuf, wake: Arc<Notify>) -> Self {
        let raw = Arc::new(Notify::new());
        let seen = raw.clone();
        tokio::spawn(async move {
            while Arc::strong_count(&raw) > 1 {
                raw.notified().await;
                sleep(SETTLE).await;
                wake.notify_one();
            }
        });
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|it| !it.kind.is_access()) {
                seen.notify_one();
            }
        })
        .and_then(|mut watcher| {
            watcher.watch(&folder, RecursiveMode::Recursive)?;
            if let Some(parent) = folder.parent().filter(|it| it.join(".dagignore").exists()) {
                watcher.watch(&parent.join(".dagignore"), RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => Self {
                _watcher: Some(watcher),
            },
            Err(error) => {
                warn!(
                    "Cannot watch {}, it is read every few seconds instead: {error}",
                    folder.display()
                );
                Self { _watcher: None }
            }
        }
    }
}
