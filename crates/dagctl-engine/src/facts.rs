//! What attempts need to know, read for many of them at once.
//!
//! What is read is never older than the question: many share an answer, and a second look at the same thing costs
//! the database little.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use dagctl_core::ids::{DagRunId, TaskIndex};
use dagctl_store::Store;
use dagctl_store::runs::RunContext;
use serde_json::{Map, Value};

use crate::grouped::Grouped;

/// How many runs are remembered; the memory starts again when it is full.
const MOST_RUNS: usize = 2000;
/// How many questions go into one statement.
const MOST_AT_ONCE: usize = 500;

/// Outputs of tasks of one run.
pub(crate) type Outputs = BTreeMap<TaskIndex, Map<String, Value>>;

/// What was read of runs and their outputs.
#[derive(Debug)]
pub(crate) struct Facts {
    /// What is kept of a run changes only when the run moves to another version.
    known: Arc<Mutex<HashMap<DagRunId, Arc<RunContext>>>>,
    runs: Grouped<DagRunId, Option<Arc<RunContext>>>,
    outputs: Grouped<(DagRunId, Vec<TaskIndex>), Option<Outputs>>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            known: Arc::default(),
            runs: Grouped::new(MOST_AT_ONCE),
            outputs: Grouped::new(MOST_AT_ONCE),
        }
    }
}

impl Facts {
    /// What a run was made with.
    pub(crate) async fn run(
        &self,
        store: &Store,
        run: DagRunId,
    ) -> anyhow::Result<Arc<RunContext>> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&run)
            .cloned();
        if let Some(context) = known {
            return Ok(context);
        }
        let (shared, memory) = (store.clone(), self.known.clone());
        let answer = move |mut runs: Vec<DagRunId>| {
            let (store, memory) = (shared.clone(), memory.clone());
            async move {
                let asked = runs.clone();
                runs.sort_unstable();
                runs.dedup();
                let found = store.run_contexts(&runs).await.unwrap_or_default();
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                if memory.len() + found.len() > MOST_RUNS {
                    memory.clear();
                }
                memory.extend(found.into_iter().map(|it| (it.dag_run_id, Arc::new(it))));
                asked.iter().map(|it| memory.get(it).cloned()).collect()
            }
        };
        if let Some(Some(context)) = self.runs.ask(run, answer).await {
            return Ok(context);
        }
        // Alone it learns what was wrong.
        let found = store.run_contexts(&[run]).await?.pop();
        Ok(Arc::new(
            found.with_context(|| format!("run {run} is gone"))?,
        ))
    }

    /// Reads a run anew when it is asked for again: it has moved to another version.
    pub(crate) fn forget(&self, run: DagRunId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&run);
    }

    /// Outputs of `tasks` of a run.
    pub(crate) async fn outputs(
        &self,
        store: &Store,
        run: DagRunId,
        tasks: &[TaskIndex],
    ) -> anyhow::Result<Outputs> {
        if tasks.is_empty() {
            return Ok(Outputs::new());
        }
        let shared = store.clone();
        let answer = move |asked: Vec<(DagRunId, Vec<TaskIndex>)>| {
            let store = shared.clone();
            async move {
                match store.outputs(&asked).await {
                    Ok(outputs) => outputs.into_iter().map(Some).collect(),
                    Err(_) => vec![None; asked.len()],
                }
            }
        };
        if let Some(Some(outputs)) = self.outputs.ask((run, tasks.to_vec()), answer).await {
            return Ok(outputs);
        }
        let alone = store.outputs(&[(run, tasks.to_vec())]).await?;
        Ok(alone.into_iter().next().unwrap_or_default())
    }
}
