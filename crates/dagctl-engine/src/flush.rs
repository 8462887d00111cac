//! Records what attempts reported: all outcomes at hand in one transaction, each behind its fence.

use std::collections::{BTreeMap, BTreeSet};

use dagctl_core::ids::{AttemptKey, DagRunId, InstanceIndex, WorkerId};
use dagctl_core::outcome::{Outcome, Wait};
use dagctl_store::attempts::PlainSuccess;
use dagctl_store::plans::Ended;

use crate::Engine;
use crate::advance::Led;

/// What an attempt reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Which attempt.
    pub key: AttemptKey,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether a success is news to somebody besides the tasks that wait for it.
    pub on_success: OnSuccess,
}

impl Report {
    /// Whether the one statement of the hot path does all that it calls for.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.outcome, Outcome::Success { .. }) && self.on_success == OnSuccess::Plain
    }
}

/// Whether a success calls for more than counting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSuccess {
    /// No: the one statement of the hot path does it all.
    Plain,
    /// No, but its run has more tasks than may be under way at once: their places are counted below its lock.
    Limited,
    /// Yes: somebody wants to be told, so a look decides.
    Look,
}

impl Engine {
    /// Records a batch of reports of one worker and does what they call for. Safe to repeat: what was recorded before
    /// no longer matches its fence and changes nothing.
    pub async fn flush(&self, worker: WorkerId, reports: Vec<Report>) -> anyhow::Result<()> {
        self.flush_and_look(worker, reports, &[]).await
    }

    /// As [`Engine::flush`], and decides what is left to decide in `looks`.
    pub(crate) async fn flush_and_look(
        &self,
        worker: WorkerId,
        reports: Vec<Report>,
        looks: &[DagRunId],
    ) -> anyhow::Result<()> {
        let led = self.try_flush(worker, reports, looks).await?;
        self.follow(led).await;
        Ok(())
    }

    async fn try_flush(
        &self,
        worker: WorkerId,
        reports: Vec<Report>,
        looks: &[DagRunId],
    ) -> anyhow::Result<Led> {
        let mut led = Led::default();
        let mut plain = vec![];
        let mut others: BTreeMap<AttemptKey, Outcome> = BTreeMap::new();
        let mut pokes: BTreeMap<AttemptKey, Wait> = BTreeMap::new();
        for Report {
            key,
            outcome,
            on_success,
        } in reports
        {
            match (outcome, on_success) {
                (Outcome::Success { outputs }, OnSuccess::Plain | OnSuccess::Limited) => {
                    plain.push(PlainSuccess { key, outputs })
                }
                (Outcome::Waits(wait @ (Wait::Poke | Wait::Until(_))), _) => {
                    pokes.insert(key, wait);
                }
                (outcome, _) => {
                    others.insert(key, outcome);
                }
            }
        }
        let mut look = self.inner.store.look().await?;
        let mut to_look_at: BTreeSet<DagRunId> = looks.iter().copied().collect();
        // All runs of the batch first, in order: whatever comes after sees what is, and never waits for another batch
        // while it holds a run that it wants.
        let all: BTreeSet<DagRunId> = plain
            .iter()
            .map(|it| it.key.instance.dag_run_id)
            .chain(others.keys().map(|it| it.instance.dag_run_id))
            .chain(others.values().filter_map(awaited))
            .chain(pokes.keys().map(|it| it.instance.dag_run_id))
            .chain(looks.iter().copied())
            .collect();
        look.lock(&Vec::from_iter(all)).await?;
        if !plain.is_empty() {
            let finished = look.finish(worker, &plain).await?;
            let filled = look.fill(&finished.limited).await?;
            led.queued |= finished.queued > 0 || filled > 0;
            led.counting
                .extend(look.counting_over_runs(&finished.limited).await?);
            led.ended.extend(finished.to_start);
            to_look_at.extend(finished.undecided);
        }
        let mut ended: BTreeMap<DagRunId, BTreeMap<InstanceIndex, Ended>> = BTreeMap::new();
        if !others.is_empty() {
            let keys: Vec<AttemptKey> = others.keys().copied().collect();
            for row in look.give_back(worker, &keys).await? {
                if let Some(outcome) = others.remove(&row.key) {
                    let run = row.key.instance.dag_run_id;
                    to_look_at.insert(run);
                    ended
                        .entry(run)
                        .or_default()
                        .insert(row.key.instance.index(), Ended { row, outcome });
                }
            }
            for key in others.keys() {
                tracing::info!(run.id = %key.instance.dag_run_id, "Refused the report of an attempt that is no longer this worker's");
            }
        }
        if !pokes.is_empty() {
            for it in self
                .settle_pokes(&mut look, worker, pokes, &mut led)
                .await?
            {
                let instance = it.row.key.instance;
                to_look_at.insert(instance.dag_run_id);
                let of_run = ended.entry(instance.dag_run_id).or_default();
                of_run.insert(instance.index(), it);
            }
        }
        for run in to_look_at {
            let of_run = ended.remove(&run).unwrap_or_default();
            self.look_at(&mut look, run, of_run, Some(worker), &mut led)
                .await?;
        }
        look.commit().await?;
        Ok(led)
    }
}

/// The run that an attempt waits for: its end must not slip through between the two.
fn awaited(outcome: &Outcome) -> Option<DagRunId> {
    match outcome {
        Outcome::Waits(Wait::Run(run)) => Some(*run),
        Outcome::Waits(Wait::Poke | Wait::Until(_) | Wait::Answer { .. })
        | Outcome::Success { .. }
        | Outcome::Skipped { .. }
        | Outcome::Expands { .. }
        | Outcome::Failed(_)
        | Outcome::HandedBack => None,
    }
}
