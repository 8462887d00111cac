//! The syncer: keeps the stored DAG versions equal to the dags folder, good texts only, and the list of problems.
//!
//! A good text is active at once. What looks bad – an error, a file that is gone – may be a writer's half-way state, so
//! it is told when a second look a moment later finds the same.

mod batch;
mod compare;
mod watch;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use dagctl_dagfile::{Diagnostic, FolderLoad, LoadedDag, Loader};
use dagctl_store::dags::{NewProblem, StoredDag};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::Engine;
use crate::reconcile::Service;

use self::compare::{Differences, Stored, broken, chosen, differences, is_active, problems, stale};
pub use self::watch::FolderWatch;
use self::watch::Scope;

/// How long something bad must last to be told.
const DOUBT: Duration = Duration::from_millis(100);
/// How long a folder that never comes to rest may put that off.
const LONGEST_DOUBT: Duration = Duration::from_secs(1);
/// How long changes may keep the whole folder from being read.
const SWEEP: Duration = Duration::from_secs(60);
/// How often it is read where the system cannot tell.
const UNWATCHED: Duration = Duration::from_secs(5);
/// A pass that stores more versions leaves it to others to remember them.
const MOST_REMEMBERED: usize = 1_000;

/// Keeps the stored DAG versions equal to the dags folder.
pub struct Syncer {
    engine: Engine,
    loader: Option<Loader>,
    watch: FolderWatch,
    /// The database as this syncer saw and left it.
    stored: Stored,
    /// What the next pass must look at, whatever else changed.
    owed: Owed,
    swept: Option<Instant>,
    doubt: Option<Doubt>,
    diagnostics: Option<Vec<Diagnostic>>,
    news: Option<UnboundedSender<News>>,
    told: BTreeSet<String>,
    broken: BTreeSet<String>,
}

/// Paths below the dags folder, or all of it.
#[derive(Debug, Default)]
struct Owed {
    all: bool,
    paths: BTreeSet<PathBuf>,
}

/// Something bad that may pass.
#[derive(Debug)]
struct Doubt {
    first: Instant,
    since: Instant,
    bad: BTreeSet<String>,
}

/// Whether something bad is told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    None,
    Some,
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
            watch: FolderWatch::default(),
            stored: Stored::default(),
            owed: Owed::default(),
            swept: None,
            doubt: None,
            diagnostics: None,
            news: None,
            told: BTreeSet::new(),
            broken: BTreeSet::new(),
        }
    }

    /// Tells `news` of whatever the next looks find changed.
    pub fn tell(&mut self, news: UnboundedSender<News>) {
        self.news = Some(news);
    }

    /// What the syncer's passes learn from which files changed.
    pub(crate) fn watch(&self) -> FolderWatch {
        self.watch.clone()
    }

    /// Reads the folder and stores what changed.
    pub async fn sync(&mut self) -> anyhow::Result<Synced> {
        self.owed.all = true;
        self.look(Patience::None).await
    }

    /// Looks at what is owed. Good texts become active; bad things are told, unless they are in doubt.
    async fn look(&mut self, patience: Patience) -> anyhow::Result<Synced> {
        let is_sweep = self.owed.all;
        let (load, commit) = self.read().await?;
        if is_sweep {
            let stored = self.engine.store().stored_dags(None).await?;
            self.stored = by_name(stored);
        }
        let mut found = differences(&load, &self.stored);
        if !(is_sweep || found.changed.is_empty() && found.gone.is_empty()) {
            let names = found.changed.iter().map(|it| it.dag_id.clone());
            let names: Vec<String> = names.chain(found.gone.iter().cloned()).collect();
            let stored = by_name(self.engine.store().stored_dags(Some(&names)).await?);
            let is_news = stored
                .iter()
                .any(|(name, it)| self.stored.get(name) != Some(it));
            // Another syncer was faster.
            if is_news {
                self.stored.extend(stored);
                found = differences(&load, &self.stored);
            }
        }
        let Differences { changed, gone } = found;
        self.store_versions(changed, commit).await?;
        let synced = match patience {
            Patience::None => self.synced(&load),
            // Nobody asks.
            Patience::Some => Synced::default(),
        };
        if patience == Patience::None || !self.is_in_doubt(&load, &gone) {
            self.tell_the_rest(&load, &gone).await?;
            self.doubt = None;
            self.owed = Owed::default();
        }
        drop(load);
        if let Some(loader) = &mut self.loader {
            loader.forget_dags();
        }
        if is_sweep {
            self.swept = Some(Instant::now());
        }
        Ok(synced)
    }

    fn synced(&self, load: &FolderLoad) -> Synced {
        let chosen = chosen(load, &self.stored, |_| true);
        Synced {
            dags: chosen.into_iter().map(|it| it.dag_id.clone()).collect(),
            errors: load.diagnostics.iter().filter(|it| it.is_error()).count(),
            stale: stale(load, &self.stored),
        }
    }

    async fn read(&mut self) -> anyhow::Result<(FolderLoad, Option<String>)> {
        let mut loader = self
            .loader
            .take()
            .context("the last look at the dags folder panicked")?;
        let paths = (!self.owed.all).then(|| self.owed.paths.clone());
        let (loader, load, commit) = tokio::task::spawn_blocking(move || {
            let load = match paths {
                Some(paths) => loader.load_paths(&paths),
                None => loader.load(),
            };
            let commit = crate::commit::head(loader.dir());
            (loader, load, commit)
        })
        .await?;
        self.loader = Some(loader);
        Ok((load, commit))
    }

    async fn store_versions(
        &mut self,
        to_store: Vec<Arc<LoadedDag>>,
        commit: Option<String>,
    ) -> anyhow::Result<()> {
        let remember = to_store.len() <= MOST_REMEMBERED;
        let made = batch::activate(self.engine.store(), to_store, commit).await;
        for it in &made.active {
            if remember {
                self.engine.inner.dags.insert(it.version, it.dag.clone());
            }
            let dag_id = it.loaded.dag_id.clone();
            let stored = StoredDag {
                dag_id: dag_id.clone(),
                file: it.loaded.file.clone(),
                active_hash: Some(it.loaded.hash.clone().into_bytes()),
                is_missing: false,
            };
            let change = match self.stored.insert(dag_id.clone(), stored) {
                None => Change::New,
                Some(_) => Change::Changed,
            };
            self.broken.remove(&it.loaded.file);
            self.send(News::Active { dag_id, change });
        }
        if !made.active.is_empty() {
            self.engine.wake().schedule.notify_one();
        }
        match made.failure {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Whether what is bad has not lasted long enough to be told.
    fn is_in_doubt(&mut self, load: &FolderLoad, gone: &[String]) -> bool {
        let errors = load.diagnostics.iter().filter(|it| it.is_error());
        let new = errors
            .map(ToString::to_string)
            .filter(|it| !self.told.contains(it));
        let bad: BTreeSet<String> = new.chain(gone.iter().cloned()).collect();
        let now = Instant::now();
        if bad.is_empty() {
            return false;
        }
        let (first, since) = match &self.doubt {
            Some(it) if it.bad == bad => (it.first, it.since),
            Some(it) => (it.first, now),
            None => (now, now),
        };
        self.doubt = Some(Doubt { first, since, bad });
        since + DOUBT > now && first + LONGEST_DOUBT > now
    }

    /// Tells and stores what a look found beside new versions.
    async fn tell_the_rest(&mut self, load: &FolderLoad, gone: &[String]) -> anyhow::Result<()> {
        if !gone.is_empty() {
            self.engine.store().mark_missing(gone).await?;
            for dag_id in gone {
                if let Some(it) = self.stored.get_mut(dag_id) {
                    it.is_missing = true;
                }
            }
        }
        let broken = broken(load);
        let is_mended = |it: &LoadedDag| it.is_good && self.broken.contains(&it.file);
        let mended = load.dags.iter().filter(|it| is_mended(it));
        let mended: HashSet<&str> = mended.map(|it| it.dag_id.as_str()).collect();
        for it in chosen(load, &self.stored, |name| mended.contains(name)) {
            if is_mended(it) && is_active(it, self.stored.get(&it.dag_id)) {
                self.send(News::Active {
                    dag_id: it.dag_id.clone(),
                    change: Change::Mended,
                });
            }
        }
        self.broken = broken.into_iter().map(str::to_owned).collect();
        if self.diagnostics.as_ref() == Some(&load.diagnostics) {
            return Ok(());
        }
        let problems = problems(load);
        self.tell_problems(load, &problems);
        self.engine.store().replace_problems(&problems).await?;
        self.diagnostics = Some(load.diagnostics.clone());
        Ok(())
    }

    /// Tells each problem once, for as long as it stays the same.
    fn tell_problems(&mut self, load: &FolderLoad, problems: &[NewProblem]) {
        for (diagnostic, problem) in load.diagnostics.iter().zip(problems) {
            if !self.told.contains(&problem.rendered) {
                self.send(News::Problem(diagnostic.clone()));
            }
        }
        self.told = problems.iter().map(|it| it.rendered.clone()).collect();
    }

    fn send(&self, news: News) {
        if let Some(sender) = &self.news {
            // Whoever stopped listening has heard enough.
            let _ = sender.send(news);
        }
    }

    /// When to look again, where it is not enough to be told of changes.
    fn due(&self) -> Option<Duration> {
        if self.doubt.is_some() {
            Some(DOUBT)
        } else {
            (!self.watch.is_watching()).then_some(UNWATCHED)
        }
    }
}

impl Service for Syncer {
    fn name(&self) -> &'static str {
        "syncer"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        if self.loader.is_none() {
            self.loader = Some(Loader::new(self.engine.config().dags_folder.clone()));
            self.diagnostics = None;
            self.owed.all = true;
        }
        match self.watch.take() {
            Scope::All => self.owed.all = true,
            Scope::Paths(paths) => self.owed.paths.extend(paths),
        }
        // Nothing to look at: the time has come for all.
        let is_idle = self.owed.paths.is_empty() && self.doubt.is_none();
        self.owed.all |= is_idle || self.swept.is_none_or(|it| it.elapsed() >= SWEEP);
        self.look(Patience::Some).await?;
        Ok(self.due())
    }
}

fn by_name(stored: Vec<StoredDag>) -> Stored {
    stored
        .into_iter()
        .map(|it| (it.dag_id.clone(), it))
        .collect()
}
