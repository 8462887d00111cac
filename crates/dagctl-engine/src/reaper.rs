//! The reaper puts back what silent workers held; the timekeeper queues retries that are due. Any number of each may
//! run: every write is guarded, and a second look finds nothing to do.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::Engine;
use crate::reconcile::Service;

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

    async fn reap(&self) -> anyhow::Result<()> {
        let store = self.engine.store();
        if self.blind_until.is_none_or(|it| it <= Instant::now()) {
            for worker in store.mark_lost_workers(self.engine.config().lease).await? {
                warn!(worker.id = %worker, "Worker {worker} fell silent; its tasks go to others");
            }
        }
        let released = store.release_lost().await?;
        if released > 0 {
            info!("Put back {released} tasks of lost workers");
            self.engine.hint_ready().await;
        }
        store.end_set_aside().await?;
        for run in store.runs_to_look_at().await? {
            if let Err(error) = self.engine.advance(run).await {
                warn!(run.id = %run, "Could not look at run {run}: {error:#}");
            }
        }
        Ok(())
    }
}

impl Service for Reaper {
    fn name(&self) -> &'static str {
        "reaper"
    }

    async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
        if let Err(error) = self.reap().await {
            // Counted from the last failure: the outage may go on after the first.
            self.blind_until = Some(Instant::now() + self.engine.config().lease);
            return Err(error);
        }
        Ok(None)
    }
}

/// Puts retries into the queue when they are due.
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
        let store = self.engine.store().clone();
        // In a task that nobody cancels: a transaction is never dropped half-way.
        let due = tokio::spawn(async move { store.queue_due_timers().await }).await??;
        if due.queued > 0 {
            self.engine.hint_ready().await;
        }
        for run in due.to_look_at {
            if let Err(error) = self.engine.advance(run).await {
                warn!(run.id = %run, "Could not look at run {run}: {error:#}");
            }
        }
        Ok(self.engine.store().next_timer().await?)
    }
}
