//! The reaper puts back what silent workers held; the timekeeper queues retries and sensors that are due, and ends
//! questions that nobody answered in time. Any number of each may
//! run: every write is guarded, and a second look finds nothing to do.

use std::time::Duration;

use dagctl_core::ids::DagRunId;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::Engine;
use crate::reconcile::Service;

/// When what could not be done is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Finds workers that fell silent, and runs in which something was left undecided.
pub struct Reaper {
    engine: Engine,
    /// No worker is given up before this: while we could not see the database, we could not see them either.
    blind_until: Option<Instant>,
}

impl Reaper {
    /// A reaper for the engine's database.
    pub fn new(engine: Engine) -> Self {
        Self {
            engine,
            blind_until: None,
        }
    }

    async fn reap(&self) -> anyhow::Result<Option<Duration>> {
        let store = self.engine.store();
        let lease = self.engine.config().lease;
        let mut found = store.neglected(lease).await?;
        let blind = self
            .blind_until
            .map(|it| it.saturating_duration_since(Instant::now()))
            .filter(|it| !it.is_zero());
        let silent = found.silent && blind.is_none();
        if silent {
            for worker in store.mark_lost_workers(lease).await? {
                warn!(worker.id = %worker, "Worker {worker} fell silent; its tasks go to others");
            }
        }
        if silent || found.held {
            let released = store.release_lost().await?;
            if released > 0 {
                info!("Put back {released} tasks of lost workers");
                self.engine.hint_ready();
            }
            // A task that lost its worker once too often is for a look.
            found = store.neglected(lease).await?;
        }
        if found.set_aside {
            store.end_set_aside().await?;
        }
        let mut looked = look_at(&self.engine, &found.runs).await;
        for dag in found.news {
            looked &= self.engine.tell_later_runs(dag).await;
        }
        let again = found.held || (found.silent && blind.is_none()) || !looked;
        Ok(found
            .next
            .into_iter()
            .chain(blind)
            .chain(again.then_some(LOOK_AGAIN))
            .min())
    }
}

impl Service for Reaper {
    fn name(&self) -> &'static str {
        "reaper"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        let reaped = self.reap().await;
        if reaped.is_err() {
            // Counted from the last failure: the outage may go on after the first.
            self.blind_until = Some(Instant::now() + self.engine.config().lease);
        }
        reaped
    }
}

/// Puts what waits into the queue when it is due.
pub struct Timekeeper {
    engine: Engine,
}

impl Timekeeper {
    /// A timekeeper for the engine's database.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

impl Service for Timekeeper {
    fn name(&self) -> &'static str {
        "timekeeper"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        let begun = Instant::now();
        let store = self.engine.store();
        let due = store.timers_due().await?;
        look_at(&self.engine, &due.unanswered).await;
        if !due.any {
            return Ok(due.next);
        }
        let own = store.clone();
        // In a task that nobody cancels: a transaction is never dropped half-way.
        let queued = tokio::spawn(async move { own.queue_due_timers().await }).await??;
        if queued > 0 {
            self.engine.hint_ready();
            // There may be more than one transaction takes.
            return Ok(Some(Duration::ZERO));
        }
        Ok(due.next.map(|it| it.saturating_sub(begun.elapsed())))
    }
}

/// Looks at runs; `false`: not at all of them.
async fn look_at(engine: &Engine, runs: &[DagRunId]) -> bool {
    let mut looked = true;
    for run in runs {
        if let Err(error) = engine.advance(*run).await {
            warn!(run.id = %run, "Could not look at run {run}: {error:#}");
            looked = false;
        }
    }
    looked
}
