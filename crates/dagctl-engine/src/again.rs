//! Going again: a person clears tasks of a run, retries what failed, or says how a task counts.
//!
//! What they want is recorded in one transaction that holds the run; the look that follows decides what it leads to.

use std::sync::Arc;

use dagctl_core::again::{Changes, Past, Reach, Refusal, Wish, changes, moved};
use dagctl_core::dag::Dag;
use dagctl_core::ids::{DagRunId, DagVersionId, TaskIndex};
use dagctl_core::nearest::nearest;
use dagctl_core::operator::Operator;
use dagctl_core::state::{RunState, Verdict};
use dagctl_store::StoreError;
use dagctl_store::again::{AgainAudit, PastRun};
use dagctl_store::plans::Look;
use serde_json::{Value, json};

use crate::Engine;

/// What somebody wants of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgainRequest {
    /// The run.
    pub run: DagRunId,
    /// What happens to it.
    pub what: What,
    /// Move the run to the newest version of its DAG first.
    pub latest: bool,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
    /// Who asks.
    pub by: String,
}

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Tasks run again.
    Clear {
        /// Their names.
        tasks: Vec<String>,
        /// What goes with them.
        reach: Reach,
    },
    /// Whatever failed or was stopped runs again, and everything downstream of it.
    Retry,
    /// A task counts as settled.
    Mark {
        /// Its name.
        task: String,
        /// How.
        verdict: Verdict,
    },
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Again {
    /// Tasks that run again, upstream first.
    pub cleared: Vec<String>,
    /// Tasks whose verdict or place in the queue followed from others: they are decided anew.
    pub reconsidered: Vec<String>,
    /// Cleared tasks that write tables: what they published stays until they publish again.
    pub published: Vec<String>,
    /// What the newest version has otherwise, where the run moves to it.
    pub difference: Option<Difference>,
}

/// How two versions of a DAG differ, by the names of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Only the newest version has them.
    pub added: Vec<String>,
    /// Only the run's version has them; what the run knows of them goes.
    pub removed: Vec<String>,
    /// Both have them, defined otherwise.
    pub changed: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// No such run any more.
    #[error("the run is gone")]
    Gone,
    /// A name that the run's DAG version lacks.
    #[error("run `{run_id}` has no task `{task}`{}", .near.as_ref().map(|it| format!("; did you mean `{it}`?")).unwrap_or_default())]
    UnknownTask {
        /// The run.
        run_id: String,
        /// The name that was given.
        task: String,
        /// A task with a name like it.
        near: Option<String>,
    },
    /// It has not started, so nothing of it can go again.
    #[error("run `{0}` has not started yet: it waits for a place below `max_active_runs`")]
    NotStarted(String),
    /// It is being stopped.
    #[error("run `{0}` is being stopped; try again when it has ended")]
    Stopping(String),
    /// Workers have these tasks.
    #[error("{} running: wait for the end, or stop the run first", are(.0))]
    Running(Vec<String>),
    /// Nothing would change.
    #[error("{0}")]
    Nothing(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored version cannot be read.
    #[error("could not read the run's DAG version: {0}")]
    Version(String),
}

impl Engine {
    /// Does what somebody wants of a run; returns after it is durable. What it leads to happens whatever becomes of this
    /// process.
    pub async fn go_again(&self, request: AgainRequest) -> Result<Again, AgainError> {
        let engine = self.clone();
        // A task of its own: a transaction is never dropped half-way.
        match tokio::spawn(async move { engine.try_again(request).await }).await {
            Ok(answer) => answer,
            Err(panic) => Err(AgainError::Version(panic.to_string())),
        }
    }

    async fn try_again(&self, request: AgainRequest) -> Result<Again, AgainError> {
        let mut look = self.store().look().await?;
        let mut past = look.past(request.run).await?.ok_or(AgainError::Gone)?;
        let (run_id, _) = look.run_name(request.run).await?.unwrap_or_default();
        if past.tasks.is_empty() {
            return Err(AgainError::NotStarted(run_id));
        }
        if past.is_stopping && !past.state.is_final() {
            return Err(AgainError::Stopping(run_id));
        }
        let mut dag = self.version(&mut look, past.dag_version_id).await?;
        let mut difference = None;
        if request.latest
            && let Some(newest) = self.newest_of(&dag).await?
            && newest != past.dag_version_id
        {
            let new = self.version(&mut look, newest).await?;
            difference = Some(
                self.move_run(&mut look, &past, (&dag, &new), newest)
                    .await?,
            );
            past = look.past(request.run).await?.ok_or(AgainError::Gone)?;
            dag = new;
        }
        let wish = wish(&dag, &run_id, &request.what)?;
        let changes = match changes(&dag, &past.tasks, &wish) {
            Err(Refusal::Nothing) if difference.as_ref().is_some_and(|it| !it.added.is_empty()) => {
                Changes::default()
            }
            changes => changes.map_err(|it| refused(&dag, &run_id, it, &request.what))?,
        };
        let again = Again {
            difference,
            ..said(&dag, &changes)
        };
        if request.dry_run {
            return Ok(again);
        }
        let audit = AgainAudit {
            who: &request.by,
            action: request.what.action(),
            dag_id: dag.spec.dag_id.as_str(),
            detail: detail(&run_id, &request.what, &again),
        };
        let started = look.go_again(&past, &changes, &audit, None).await?;
        look.commit().await?;
        self.inner.facts.forget(request.run);
        tracing::info!(run.id = %request.run, dag.id = %dag.spec.dag_id, "{} asked run {run_id} of `{}` to go again", request.by, dag.spec.dag_id);
        if past.state == RunState::Running
            && let Err(error) = self.advance(request.run).await
        {
            tracing::warn!(run.id = %request.run, "Look at the run that goes again failed, the next one repeats it: {error:#}");
        }
        self.follow_started(started).await;
        Ok(again)
    }
}

impl Engine {
    async fn version(
        &self,
        look: &mut Look,
        version: DagVersionId,
    ) -> Result<Arc<Dag>, AgainError> {
        (self.inner.dags)
            .get_within(look, version)
            .await
            .map_err(|it| AgainError::Version(format!("{it:#}")))
    }

    async fn newest_of(&self, dag: &Dag) -> Result<Option<DagVersionId>, AgainError> {
        let found = self.store().find_dag(dag.spec.dag_id.as_str()).await?;
        Ok(found.and_then(|(_, newest)| newest))
    }

    /// Moves a run to another version, within a look that has locked it.
    pub(crate) async fn move_run(
        &self,
        look: &mut Look,
        past: &PastRun,
        (old, new): (&Dag, &Dag),
        version: DagVersionId,
    ) -> Result<Difference, AgainError> {
        let running: Vec<TaskIndex> = old
            .indexed()
            .zip(&past.tasks)
            .filter(|(_, past)| **past == Past::Running)
            .map(|((at, _), _)| at)
            .collect();
        if !running.is_empty() {
            return Err(AgainError::Running(names(old, &running)));
        }
        let moved = moved(old, new);
        look.move_run(past, version, &moved).await?;
        Ok(Difference {
            added: names(new, &moved.added),
            removed: names(old, &moved.removed),
            changed: names(new, &moved.changed),
        })
    }
}

impl What {
    fn action(&self) -> &'static str {
        match self {
            Self::Clear { .. } => "task.clear",
            Self::Retry => "run.retry",
            Self::Mark { .. } => "task.mark",
        }
    }
}

fn wish(dag: &Dag, run_id: &str, what: &What) -> Result<Wish, AgainError> {
    let index = |task: &String| {
        dag.index_of(task).ok_or_else(|| AgainError::UnknownTask {
            run_id: run_id.to_owned(),
            task: task.clone(),
            near: nearest(task, dag.tasks().iter().map(|it| it.task_id.as_str()))
                .map(str::to_owned),
        })
    };
    Ok(match what {
        What::Clear { tasks, reach } => Wish::Clear {
            tasks: tasks.iter().map(index).collect::<Result<_, _>>()?,
            reach: *reach,
        },
        What::Retry => Wish::Retry,
        What::Mark { task, verdict } => Wish::Mark {
            task: index(task)?,
            verdict: *verdict,
        },
    })
}

fn refused(dag: &Dag, run_id: &str, refusal: Refusal, what: &What) -> AgainError {
    match refusal {
        Refusal::Running(tasks) => AgainError::Running(names(dag, &tasks)),
        Refusal::Nothing => AgainError::Nothing(match what {
            What::Retry => format!("nothing of run `{run_id}` failed or was stopped"),
            What::Clear { reach, .. } if reach.only_failed => {
                "none of these tasks failed".to_owned()
            }
            What::Clear { .. } => "none of these tasks has begun".to_owned(),
            What::Mark { task, verdict } => format!("task `{task}` is {verdict} already"),
        }),
    }
}

fn said(dag: &Dag, changes: &Changes) -> Again {
    let writes_table = |it: &&TaskIndex| {
        dag.task(**it).is_some_and(|it| {
            matches!(it.operator, Operator::BuildTable(_) | Operator::LoadFile(_))
        })
    };
    let published: Vec<TaskIndex> = changes
        .cleared
        .iter()
        .filter(writes_table)
        .copied()
        .collect();
    Again {
        cleared: names(dag, &changes.cleared),
        reconsidered: names(dag, &changes.reconsidered),
        published: names(dag, &published),
        difference: None,
    }
}

fn names(dag: &Dag, tasks: &[TaskIndex]) -> Vec<String> {
    tasks
        .iter()
        .filter_map(|it| Some(dag.task(*it)?.task_id.to_string()))
        .collect()
}

fn detail(run_id: &str, what: &What, again: &Again) -> Value {
    match what {
        What::Clear { .. } | What::Retry => json!({
            "run_id": run_id,
            "tasks": again.cleared,
            "reconsidered": again.reconsidered,
            "latest": again.difference.is_some(),
        }),
        What::Mark { task, verdict } => json!({
            "run_id": run_id,
            "task": task,
            "state": verdict.to_string(),
            "reconsidered": again.reconsidered,
        }),
    }
}

fn are(tasks: &[String]) -> String {
    let quoted: Vec<String> = tasks.iter().map(|it| format!("`{it}`")).collect();
    match quoted.as_slice() {
        [one] => format!("task {one} is"),
        several => format!("tasks {} are", several.join(", ")),
    }
}
