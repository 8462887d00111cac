//! Tasks that wait for the run before, and branches whose decisions a look must know.

use dagctl_core::dag::Dag;
use dagctl_core::ids::DagKey;
use dagctl_core::run::Standing;
use dagctl_core::state::Verdict;
use dagctl_store::plans::{LockedRun, Look, PastAsked};

use crate::Engine;

/// Adds to the facts of a locked run what its DAG makes a look depend on besides where its tasks stand.
pub(crate) async fn add_conditions(
    look: &mut Look,
    dag: &Dag,
    locked: &mut LockedRun,
) -> anyhow::Result<()> {
    let stands = |at: i32| {
        let at = usize::try_from(at).ok()?;
        locked.facts.tasks.get(at).map(|it| &it.standing)
    };
    let is_waiting = |at: i32| stands(at) == Some(&Standing::Waiting);
    let decided: Vec<_> = (dag.branches().iter().copied())
        .filter(|it| stands(it.get()) == Some(&Standing::Settled(Verdict::Success)))
        .filter(|it| dag.downstream(*it).iter().any(|it| is_waiting(it.get())))
        .collect();
    let asked: Vec<_> = (dag.depend_on_past().iter().copied())
        .filter(|it| is_waiting(it.get()))
        .filter_map(|it| {
            let task = dag.task(it)?;
            Some(PastAsked {
                task: it,
                task_id: task.task_id.as_str(),
                with_downstream: task.wait_for_downstream,
            })
        })
        .collect();
    if !decided.is_empty() {
        for (branch, outputs) in look.outputs_of(locked.dag_run_id, &decided).await? {
            let followed = dag.followed(&outputs);
            locked
                .facts
                .followed
                .extend(followed.map(|it| (branch, it)));
        }
    }
    if !asked.is_empty() {
        let held = look.held_by_past(locked.dag_run_id, &asked).await?;
        locked.facts.held_by_past.extend(held);
    }
    Ok(())
}

impl Engine {
    /// Looks at the runs of a DAG that may wait for what happened in another one. `false`: not at all of them; what
    /// happened stays noted then.
    pub(crate) async fn tell_later_runs(&self, dag: DagKey) -> bool {
        let news = match self.store().past_news(dag).await {
            Ok(it) => it,
            Err(error) => {
                tracing::warn!("Later runs wait for the reaper's next pass: {error}");
                return false;
            }
        };
        let mut looked = true;
        for run in news.runs {
            if let Err(error) = self.advance(run).await {
                tracing::warn!(run.id = %run, "Could not look at run {run}: {error:#}");
                looked = false;
            }
        }
        if looked && let Err(error) = self.store().forget_past_news(&news.news).await {
            tracing::warn!("Later runs will be told once more: {error}");
        }
        looked
    }
}
