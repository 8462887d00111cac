//! What the clock calls for in a run, and what many failures mean for its DAG.

use dagctl_core::again::{Wish, changes};
use dagctl_core::dag::Dag;
use dagctl_core::ids::{DagKey, DagRunId};
use dagctl_core::limits::{Beginning, DeadlineReference};
use dagctl_core::run::NoticeEvent;
use dagctl_store::database::Topic;
use dagctl_store::limits::Due;
use dagctl_store::notices::NewNotice;
use dagctl_store::plans::{LockedRun, Look};
use jiff::Timestamp;

use crate::Engine;
use crate::notice_payload;

impl Engine {
    /// Does what the clock calls for in a run. Safe at any time: what was taken once is not called for again.
    pub(crate) async fn do_what_is_due(&self, run: DagRunId) -> anyhow::Result<()> {
        let engine = self.clone();
        // In a task that nobody cancels: a transaction is never dropped half-way.
        let done = tokio::spawn(async move { engine.try_what_is_due(run).await }).await??;
        if done.contains(&Due::Timeout) || done.contains(&Due::Retry) {
            self.advance(run).await?;
        }
        if done.contains(&Due::Timeout) {
            self.tell(Topic::Cancel);
        }
        if done.iter().any(|it| matches!(it, Due::Deadline { .. })) {
            self.tell(Topic::Notice);
        }
        Ok(())
    }

    async fn try_what_is_due(&self, run: DagRunId) -> anyhow::Result<Vec<Due>> {
        let mut look = self.store().look().await?;
        let Some(taken) = look.take_due(run).await? else {
            return Ok(vec![]);
        };
        for it in &taken.due {
            let dag = (self.inner.dags)
                .get_within(&mut look, taken.dag_version_id)
                .await?;
            match it {
                Due::Timeout => look.time_out(run).await?,
                Due::Retry => {
                    let Some(past) = look.past(run).await? else {
                        continue;
                    };
                    // Nothing, where somebody has put it right meanwhile.
                    if let Ok(changes) = changes(&dag, &past.tasks, &Wish::Retry) {
                        look.retry_run(&past, &changes).await?;
                    }
                }
                Due::Deadline { at } => {
                    let notices = self.missed(&dag, run, &taken.run_id, *at);
                    look.tell(run, &notices).await?;
                }
            }
        }
        look.commit().await?;
        Ok(taken.due)
    }

    fn missed(&self, dag: &Dag, run: DagRunId, run_id: &str, at: Timestamp) -> Vec<NewNotice> {
        let Some(deadline) = &dag.spec.limits.deadline else {
            return vec![];
        };
        let at = at.to_zoned(dag.spec.timezone.clone());
        let sentence = format!(
            "It has not ended by {} ({} after {}).",
            at.strftime("%Y-%m-%d %H:%M:%S %Z"),
            dagctl_core::duration::human(deadline.interval),
            match deadline.reference {
                DeadlineReference::QueuedAt => "it was made".to_owned(),
                DeadlineReference::LogicalDate => "its logical date".to_owned(),
                DeadlineReference::AverageRuntime =>
                    "the time that runs take on average".to_owned(),
                it @ DeadlineReference::TimeOfDay(_) => it.describe(),
            }
        );
        let remark = (NoticeEvent::Deadline, &*sentence);
        self.remarks(dag, (run, run_id), 0, remark, &deadline.callback)
    }

    /// Pauses the DAG of a run that has just failed, if the ones before failed as well. `true`: it does, and somebody is
    /// told.
    pub(crate) async fn pause_if_failing(
        &self,
        look: &mut Look,
        dag: &Dag,
        run: &LockedRun,
    ) -> anyhow::Result<bool> {
        let limit = dag.spec.limits.max_consecutive_failed_dag_runs;
        let sentence = match limit {
            0 => return Ok(false),
            1 => "paused by max_consecutive_failed_dag_runs: its last run failed".to_owned(),
            n => format!("paused by max_consecutive_failed_dag_runs: its last {n} runs failed"),
        };
        let dag_key: DagKey = run.dag_key;
        if !look.pause_if_failing(dag_key, limit, &sentence).await? {
            return Ok(false);
        }
        tracing::warn!(dag.id = %dag.spec.dag_id, "`{}` {sentence}", dag.spec.dag_id);
        let (run_id, _) = look.run_name(run.dag_run_id).await?.unwrap_or_default();
        let sentence = format!(
            "Its schedule is {sentence}. Resume it with: dagctl dags unpause {}",
            dag.spec.dag_id
        );
        let remark = (NoticeEvent::Paused, &*sentence);
        let which = (run.dag_run_id, run_id.as_str());
        let callbacks = &dag.spec.on_failure_callback;
        let notices = self.remarks(dag, which, run.epoch, remark, callbacks);
        look.tell(run.dag_run_id, &notices).await?;
        Ok(!notices.is_empty())
    }

    fn remarks(
        &self,
        dag: &Dag,
        (run, run_id): (DagRunId, &str),
        epoch: i16,
        remark: (NoticeEvent, &str),
        callbacks: &[dagctl_core::callback::Callback],
    ) -> Vec<NewNotice> {
        let base_url = self.inner.config.base_url.as_deref();
        callbacks
            .iter()
            .enumerate()
            .map(|(place, callback)| {
                let number = (epoch, place);
                notice_payload::remark(dag, (run, run_id), number, remark, base_url, callback)
            })
            .collect()
    }

    /// By when a new run should have ended; `None`: nobody wants to be told.
    pub(crate) async fn deadline_of(
        &self,
        dag: &Dag,
        dag_key: DagKey,
        queued_at: Timestamp,
        logical_date: Timestamp,
    ) -> Result<Option<Timestamp>, dagctl_store::StoreError> {
        let Some(deadline) = &dag.spec.limits.deadline else {
            return Ok(None);
        };
        let average_runtime = match deadline.reference {
            DeadlineReference::AverageRuntime => self.store().average_runtime(dag_key).await?,
            DeadlineReference::QueuedAt
            | DeadlineReference::LogicalDate
            | DeadlineReference::TimeOfDay(_) => None,
        };
        let beginning = Beginning {
            queued_at,
            logical_date,
            average_runtime,
        };
        Ok(deadline.due_at(&dag.spec.timezone, &beginning))
    }
}
