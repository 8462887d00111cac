//! What the folder's files mean beside what is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dagctl_dagfile::{Code, Diagnostic, FolderLoad, LoadedDag, Severity};
use dagctl_store::dags::{NewProblem, StoredDag};

/// The stored DAGs by name.
pub(super) type Stored = BTreeMap<String, StoredDag>;

/// The good file that speaks for each DAG: of two that claim one name, the one that is known goes on.
pub(super) fn chosen<'a>(
    load: &'a FolderLoad,
    stored: &Stored,
) -> BTreeMap<&'a str, &'a Arc<LoadedDag>> {
    let mut chosen: BTreeMap<&str, &Arc<LoadedDag>> = BTreeMap::new();
    for loaded in &load.dags {
        let is_known = || {
            let known = stored.get(&loaded.dag_id);
            known.is_some_and(|it| it.file == loaded.file)
        };
        // The files come in the order of their paths.
        if !chosen.contains_key(loaded.dag_id.as_str()) || is_known() {
            chosen.insert(&loaded.dag_id, loaded);
        }
    }
    chosen.retain(|_, it| it.is_good);
    chosen
}

/// Whether a good file is what the database has.
pub(super) fn is_active(loaded: &LoadedDag, stored: Option<&StoredDag>) -> bool {
    stored.is_some_and(|it| {
        it.active_hash.as_deref() == Some(loaded.hash.as_bytes())
            && it.file == loaded.file
            && !it.is_missing
    })
}

/// DAGs whose file went away; a broken text leaves the last good version active.
pub(super) fn gone(load: &FolderLoad, stored: &Stored) -> Vec<String> {
    let named: BTreeSet<&str> = load.dags.iter().map(|it| it.dag_id.as_str()).collect();
    let broken = broken(load);
    stored
        .values()
        .filter(|it| !it.is_missing)
        .filter(|it| !named.contains(it.dag_id.as_str()) && !broken.contains(it.file.as_str()))
        .map(|it| it.dag_id.clone())
        .collect()
}

/// Files of DAGs that cannot be used as they are.
pub(super) fn broken(load: &FolderLoad) -> BTreeSet<&str> {
    let bad = load.dags.iter().filter(|it| !it.is_good);
    bad.map(|it| it.file.as_str()).collect()
}

/// DAGs that go on with their last good version.
pub(super) fn stale(load: &FolderLoad, stored: &Stored) -> Vec<String> {
    let broken = broken(load);
    stored
        .values()
        .filter(|it| it.active_hash.is_some() && broken.contains(it.file.as_str()))
        .map(|it| it.dag_id.clone())
        .collect()
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
