//! The services beside the worker as loops, each in a task of its own until told to stop.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::Engine;
use crate::notifier::Notifier;
use crate::reaper::{Reaper, Timekeeper};
use crate::reconcile::reconcile;
use crate::scheduler::Scheduler;
use crate::syncer::Syncer;
use crate::wake::watch_the_clock;

/// How long a service sleeps at most: it wakes when something is due by what its last look saw, and for hints of what
/// has changed since. A hint may be lost; then this is what it costs.
const SWEEP: Duration = Duration::from_secs(60);

/// Keeps DAG files, schedules, retries, silent workers and messages going until `stop`.
pub async fn keep_schedules(engine: Engine, syncer: Syncer, stop: CancellationToken) {
    let mut services = JoinSet::new();
    services.spawn(sync(engine.clone(), syncer, stop.clone()));
    let (own, stopped) = (engine.clone(), stop.clone());
    services.spawn(async move {
        let scheduler = Scheduler::new(own.clone());
        reconcile(scheduler, &own.wake().schedule, SWEEP, stopped).await;
    });
    let (own, stopped) = (engine.clone(), stop.clone());
    services.spawn(async move {
        let timekeeper = Timekeeper::new(own.clone());
        reconcile(timekeeper, &own.wake().timer, SWEEP, stopped).await;
    });
    let (own, stopped) = (engine.clone(), stop.clone());
    services.spawn(async move {
        // No longer than a lease: that of a worker which came after the look cannot end before the next.
        let period = own.config().lease.min(SWEEP);
        reconcile(
            Reaper::new(own.clone()),
            &own.wake().neglected,
            period,
            stopped,
        )
        .await;
    });
    services.spawn(watch_the_clock(engine.clone(), stop.clone()));
    services.spawn(async move {
        let notifier = Notifier::new(engine.clone());
        reconcile(notifier, &engine.wake().notice, SWEEP, stop).await;
    });
    while let Some(ended) = services.join_next().await {
        if let Err(err) = ended {
            error!("A service ended by a defect, restart this process: {err}");
        }
    }
}

async fn sync(engine: Engine, syncer: Syncer, stop: CancellationToken) {
    let (watch, changed) = (syncer.watch(), Notify::new());
    let folder = engine.config().dags_folder.clone();
    tokio::select! {
        // What changes after the first look is told.
        biased;
        () = watch.watch(&folder, &changed) => (),
        () = reconcile(syncer, &changed, SWEEP, stop) => (),
    }
}
