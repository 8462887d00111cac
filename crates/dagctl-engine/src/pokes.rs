//! Sensors that looked and found nothing: all of a batch are put to wait in a few statements, whatever runs they are of.

use std::collections::{BTreeMap, BTreeSet};

use dagctl_core::ids::{AttemptKey, DagRunId, WorkerId};
use dagctl_core::outcome::{Outcome, Wait};
use dagctl_core::poke::{self, NextPoke};
use dagctl_store::plans::{Ended, Look};
use dagctl_store::waiting::{Poked, Rescheduled, TimerKind};

use crate::Engine;
use crate::advance::Led;

impl Engine {
    /// Puts sensors to wait for their next poke, within a look that has locked their runs. Gives back those that do not
    /// simply go on: of runs that were asked to stop, and those whose time is up.
    pub(crate) async fn settle_pokes(
        &self,
        look: &mut Look,
        worker: WorkerId,
        mut pokes: BTreeMap<AttemptKey, Wait>,
        led: &mut Led,
    ) -> anyhow::Result<Vec<Ended>> {
        let keys: Vec<AttemptKey> = pokes.keys().copied().collect();
        let (mut waiting, mut left, mut limited) = (vec![], vec![], BTreeSet::new());
        for poked in look.poked(worker, &keys).await? {
            let Some(wait) = pokes.remove(&poked.row.key) else {
                continue;
            };
            match self.next_poke(look, &poked, &wait).await? {
                Some(NextPoke::At(at)) => {
                    if poked.is_limited {
                        limited.insert(poked.row.key.instance.dag_run_id);
                    }
                    waiting.push((poked.row, at));
                }
                Some(NextPoke::Never(_)) | None => left.push(Ended {
                    row: poked.row,
                    outcome: Outcome::Waits(wait),
                }),
            }
        }
        for key in pokes.keys() {
            tracing::info!(run.id = %key.instance.dag_run_id, "Refused the poke of an attempt that is no longer this worker's");
        }
        let tasks: Vec<Rescheduled<'_>> = waiting
            .iter()
            .map(|(row, at)| Rescheduled {
                row,
                kind: TimerKind::Poke,
                at: Some(*at),
            })
            .collect();
        look.reschedule(Some(worker), &tasks).await?;
        led.timers |= !tasks.is_empty();
        let runs: Vec<DagRunId> = limited.into_iter().collect();
        led.queued |= look.fill(&runs).await? > 0;
        led.counting.extend(look.counting_over_runs(&runs).await?);
        Ok(left)
    }

    /// `None`: its run does not go on, or its task is no sensor.
    async fn next_poke(
        &self,
        look: &mut Look,
        poked: &Poked,
        wait: &Wait,
    ) -> anyhow::Result<Option<NextPoke>> {
        if !poked.goes_on {
            return Ok(None);
        }
        let key = poked.row.key;
        let dag = self
            .inner
            .dags
            .get_within(look, poked.dag_version_id)
            .await?;
        let poking = dag
            .task(key.instance.task_index)
            .and_then(|it| it.operator.poking());
        let first = poked.first_poke_at.or(poked.row.claimed_at);
        let it = poke::Poked {
            first_poke_at: first.unwrap_or(poked.now),
            number: poked.pokes.saturating_add(1),
            attempt: key.attempt.get(),
            until: wait.until(),
        };
        Ok(poking.map(|poking| poking.next(&it, poked.now, rand::random::<f64>())))
    }
}
