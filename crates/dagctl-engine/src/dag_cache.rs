//! Parsed DAG versions by number. A version never changes, so an entry is never stale.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use dagctl_core::dag::Dag;
use dagctl_core::ids::DagVersionId;
use dagctl_store::Store;
use dagctl_store::dags::VersionTexts;
use dagctl_store::plans::Look;

/// How many versions are kept; the cache starts again when it is full.
const MOST_KEPT: usize = 2000;

#[derive(Debug, Default)]
pub(crate) struct DagCache {
    by_version: Mutex<HashMap<DagVersionId, Arc<Dag>>>,
    /// Held while a version is read and parsed: hundreds of attempts may ask for one at the same time.
    reading: tokio::sync::Mutex<()>,
}

impl DagCache {
    /// The DAG of a version, parsed from its stored texts where it is not known yet.
    pub(crate) async fn get(
        &self,
        store: &Store,
        version: DagVersionId,
    ) -> anyhow::Result<Arc<Dag>> {
        if let Some(dag) = self.known(version) {
            return Ok(dag);
        }
        let _reading = self.reading.lock().await;
        match self.known(version) {
            Some(dag) => Ok(dag),
            None => self.parse(version, store.version_texts(version).await?),
        }
    }

    /// As [`DagCache::get`], on the look's own connection: a look that waits for a second one could wait for ever.
    pub(crate) async fn get_within(
        &self,
        look: &mut Look,
        version: DagVersionId,
    ) -> anyhow::Result<Arc<Dag>> {
        match self.known(version) {
            Some(dag) => Ok(dag),
            None => self.parse(version, look.version_texts(version).await?),
        }
    }

    /// Keeps a DAG that was parsed elsewhere.
    pub(crate) fn insert(&self, version: DagVersionId, dag: Arc<Dag>) {
        let mut known = self
            .by_version
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KEPT {
            known.clear();
        }
        known.insert(version, dag);
    }

    /// The DAG of a version that was parsed before.
    pub(crate) fn known(&self, version: DagVersionId) -> Option<Arc<Dag>> {
        self.by_version
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&version)
            .cloned()
    }

    fn parse(
        &self,
        version: DagVersionId,
        texts: Option<VersionTexts>,
    ) -> anyhow::Result<Arc<Dag>> {
        let texts = texts.with_context(|| format!("DAG version {version} is gone"))?;
        let (dag, diagnostics) = dagctl_dagfile::parse_version(&texts.files, &texts.file);
        let dag = dag.ok_or_else(|| {
            let first = diagnostics
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            anyhow!(
                "the stored text of `{}` (version {version}) is no longer understood: {first}",
                texts.file
            )
        })?;
        let dag = Arc::new(dag);
        self.insert(version, dag.clone());
        Ok(dag)
    }
}
