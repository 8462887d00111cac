//! Stores many versions in few transactions, two at a time; one that the database refuses costs only itself.

use std::sync::Arc;

use anyhow::Context as _;
use dagctl_core::dag::Dag;
use dagctl_core::ids::DagVersionId;
use dagctl_dagfile::LoadedDag;
use dagctl_store::dags::NewVersion;
use dagctl_store::{Store, StoreError};
use tokio::task::JoinSet;
use tracing::{error, info};

/// A transaction of more tasks holds its locks for longer than somebody who triggers a run should wait.
const MOST_TASKS: usize = 5_000;
const MOST_DAGS: usize = 500;
/// A transaction of fewer is not worth a second connection.
const FEW_DAGS: usize = 50;
/// One makes the rows of the next while Postgres works.
const AT_ONCE: usize = 2;

/// What became of a pass's versions.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) active: Vec<Active>,
    /// Why the rest could not be stored, where another pass may help.
    pub(super) failure: Option<anyhow::Error>,
}

/// A version that is active now.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) loaded: Arc<LoadedDag>,
    pub(super) dag: Arc<Dag>,
    pub(super) version: DagVersionId,
}

/// Makes the texts their DAGs' active versions. They come in the order of the DAGs' names.
pub(super) async fn activate(
    store: &Store,
    to_store: Vec<Arc<LoadedDag>>,
    commit: Option<String>,
) -> Made {
    let mut made = Made::default();
    let mut batches = batches(to_store).into_iter();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE && made.failure.is_none() {
            let Some(batch) = batches.next() else { break };
            // In tasks that nobody cancels: a transaction is never dropped half-way.
            under_way.spawn(activate_batch(store.clone(), batch, commit.clone()));
        }
        match under_way.join_next().await {
            None => break,
            Some(Ok(Ok(more))) => made.active.extend(more),
            Some(Ok(Err(error))) => made.failure = Some(error),
            Some(Err(error)) => made.failure = Some(error.into()),
        }
    }
    match &made.active[..] {
        [] => (),
        [one] => {
            let (dag_id, version) = (&one.loaded.dag_id, one.version);
            info!(dag.id = %dag_id, "Version {version} of `{dag_id}` is active");
        }
        many => info!("{} versions are active", many.len()),
    }
    made
}

fn batches(all: Vec<Arc<LoadedDag>>) -> Vec<Vec<Arc<LoadedDag>>> {
    let mut batches: Vec<Vec<Arc<LoadedDag>>> = vec![];
    let most_dags = most_dags(all.len());
    let mut tasks = 0;
    for it in all {
        let more = it.dag.as_ref().map_or(1, |it| it.tasks().len());
        match batches.last_mut() {
            Some(batch) if batch.len() < most_dags && tasks + more <= MOST_TASKS => {
                tasks += more;
                batch.push(it);
            }
            Some(_) | None => {
                tasks = more;
                batches.push(vec![it]);
            }
        }
    }
    batches
}

/// So many DAGs a transaction that both have something to do.
fn most_dags(all: usize) -> usize {
    all.div_ceil(AT_ONCE).clamp(FEW_DAGS, MOST_DAGS)
}

async fn activate_batch(
    store: Store,
    batch: Vec<Arc<LoadedDag>>,
    commit: Option<String>,
) -> anyhow::Result<Vec<Active>> {
    let batch = tokio::task::spawn_blocking(move || {
        let parsed = batch.into_iter().filter_map(|it| Some((parsed(&it)?, it)));
        parsed.collect::<Vec<_>>()
    })
    .await?;
    let new: Vec<NewVersion<'_>> = batch
        .iter()
        .map(|(dag, loaded)| new_version(dag, loaded, commit.as_deref()))
        .collect();
    let versions = match store.activate_versions(&new).await {
        Ok(made) => made.into_iter().map(|(_, version)| Some(version)).collect(),
        Err(error) if may_help_alone(&error) => one_by_one(&store, &new).await?,
        Err(error) => return Err(error).context("could not store the DAGs' versions"),
    };
    Ok(versions
        .into_iter()
        .zip(batch)
        .filter_map(|(version, (dag, loaded))| {
            Some(Active {
                loaded,
                dag,
                version: version?,
            })
        })
        .collect())
}

async fn one_by_one(
    store: &Store,
    new: &[NewVersion<'_>],
) -> anyhow::Result<Vec<Option<DagVersionId>>> {
    let mut versions = vec![];
    for it in new {
        let dag_id = &it.dag.spec.dag_id;
        versions.push(match store.activate_version(it).await {
            Ok((_, version)) => Some(version),
            Err(err) if may_help_alone(&err) => {
                error!(dag.id = %dag_id, "The database refuses `{}`: {:#}", it.dag.spec.file, anyhow::Error::from(err));
                None
            }
            Err(error) => {
                return Err(error).with_context(|| format!("could not store `{dag_id}`"));
            }
        });
    }
    Ok(versions)
}

/// Whether it is the rows that the database refused.
fn may_help_alone(error: &StoreError) -> bool {
    !error.is_transient()
}

fn new_version<'a>(dag: &'a Dag, loaded: &'a LoadedDag, commit: Option<&'a str>) -> NewVersion<'a> {
    NewVersion {
        dag,
        hash: loaded.hash.as_bytes(),
        commit,
        files: &loaded.files,
    }
}

/// The DAG of a good file, parsed again where it was let go.
fn parsed(loaded: &LoadedDag) -> Option<Arc<Dag>> {
    let again = || dagctl_dagfile::parse_version(&loaded.files, &loaded.file).0;
    loaded.dag.clone().or_else(|| again().map(Arc::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_shared_by_both_connections_unless_it_is_small_and_never_too_large_for_one() {
        for (all, each) in [(1, 50), (50, 50), (120, 60), (501, 251), (10_000, 500)] {
            assert_eq!(most_dags(all), each, "{all} DAGs");
        }
    }
}
