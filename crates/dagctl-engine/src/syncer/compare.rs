//! What the folder's files mean beside what is stored.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dagctl_dagfile::{Code, Diagnostic, FolderLoad, LoadedDag, Severity};
use dagctl_store::dags::{NewProblem, StoredDag};

/// The stored DAGs by name.
pub(super) type Stored = HashMap<String, StoredDag>;

/// The good file that speaks for each DAG that `is_asked` for, in the order of their names: of two that claim one name,
/// the one that is known goes on.
pub(super) fn chosen<'a>(
    load: &'a FolderLoad,
    stored: &Stored,
    is_asked: impl Fn(&str) -> bool,
) -> Vec<&'a Arc<LoadedDag>> {
    let mut chosen: HashMap<&str, &Arc<LoadedDag>> = HashMap::new();
    for loaded in load.dags.iter().filter(|it| is_asked(&it.dag_id)) {
        let is_known = || {
            let known = stored.get(&loaded.dag_id);
            known.is_some_and(|it| it.file == loaded.file)
        };
        // The files come in the order of their paths.
        if !chosen.contains_key(loaded.dag_id.as_str()) || is_known() {
            chosen.insert(&loaded.dag_id, loaded);
        }
    }
    let mut chosen: Vec<_> = chosen.into_values().filter(|it| it.is_good).collect();
    chosen.sort_unstable_by(|a, b| a.dag_id.cmp(&b.dag_id));
    chosen
}

/// What a look found that is not so in the database.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// The good files that speak for a DAG whose active version is another.
    pub(super) changed: Vec<Arc<LoadedDag>>,
    /// DAGs whose file went away; a broken text leaves the last good version active.
    pub(super) gone: Vec<String>,
}

/// Compares a look with the database. Of thousands of files few differ at a time, so all are gone through once.
pub(super) fn differences(load: &FolderLoad, stored: &Stored) -> Differences {
    let mut names: HashSet<&str> = HashSet::new();
    let mut at_home = 0;
    for it in &load.dags {
        let known = stored.get(&it.dag_id);
        at_home +=
            usize::from(known.is_some_and(|known| !known.is_missing && known.file == it.file));
        if it.is_good && !is_active(it, known) {
            names.insert(&it.dag_id);
        }
    }
    // Each file has one DAG: where all that are stored were found in their own file, none is gone.
    let is_any_gone = stored.values().filter(|it| !it.is_missing).count() > at_home;
    Differences {
        changed: changed(load, stored, &names),
        gone: if is_any_gone {
            gone(load, stored)
        } else {
            vec![]
        },
    }
}

fn changed(load: &FolderLoad, stored: &Stored, names: &HashSet<&str>) -> Vec<Arc<LoadedDag>> {
    if names.is_empty() {
        return vec![];
    }
    let chosen = chosen(load, stored, |name| names.contains(name));
    let changed = chosen
        .into_iter()
        .filter(|it| !is_active(it, stored.get(&it.dag_id)));
    changed.cloned().collect()
}

/// Whether a good file is what the database has.
pub(super) fn is_active(loaded: &LoadedDag, stored: Option<&StoredDag>) -> bool {
    stored.is_some_and(|it| {
        it.active_hash.as_deref() == Some(loaded.hash.as_bytes())
            && it.file == loaded.file
            && !it.is_missing
    })
}

fn gone(load: &FolderLoad, stored: &Stored) -> Vec<String> {
    let named: HashSet<&str> = load.dags.iter().map(|it| it.dag_id.as_str()).collect();
    let broken = broken(load);
    sorted_names(stored.values().filter(|it| {
        let is_there = named.contains(it.dag_id.as_str()) || broken.contains(it.file.as_str());
        !it.is_missing && !is_there
    }))
}

/// Files of DAGs that cannot be used as they are.
pub(super) fn broken(load: &FolderLoad) -> BTreeSet<&str> {
    let bad = load.dags.iter().filter(|it| !it.is_good);
    bad.map(|it| it.file.as_str()).collect()
}

/// DAGs that go on with their last good version.
pub(super) fn stale(load: &FolderLoad, stored: &Stored) -> Vec<String> {
    let broken = broken(load);
    sorted_names(
        stored
            .values()
            .filter(|it| it.active_hash.is_some() && broken.contains(it.file.as_str())),
    )
}

fn sorted_names<'a>(dags: impl Iterator<Item = &'a StoredDag>) -> Vec<String> {
    let mut names: Vec<String> = dags.map(|it| it.dag_id.clone()).collect();
    names.sort_unstable();
    names
}

/// The folder's problems as they are stored, in their order.
pub(super) fn problems(load: &FolderLoad) -> Vec<NewProblem> {
    let mut owners: HashMap<Key<'_>, &str> = HashMap::new();
    for dag in &load.dags {
        for it in &dag.diagnostics {
            owners.entry(key(it)).or_insert(&dag.dag_id);
        }
    }
    load.diagnostics
        .iter()
        .map(|it| problem(it, owners.get(&key(it)).copied()))
        .collect()
}

type Key<'d> = (&'d str, Option<usize>, Code, &'d str);

fn key(it: &Diagnostic) -> Key<'_> {
    (&it.file, it.span.map(|it| it.start), it.code, &it.message)
}

fn problem(it: &Diagnostic, dag_id: Option<&str>) -> NewProblem {
    let place = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
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
        dag_id: dag_id.map(str::to_owned),
    }
}
