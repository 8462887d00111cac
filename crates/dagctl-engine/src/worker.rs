//! The worker: claims queued tasks up to its slots, runs them, reports what became of them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dagctl_core::ids::{AttemptKey, DagRunId, TaskIndex, WorkerId};
use dagctl_runner::{StopReason, Stopper};
use dagctl_store::attempts::Claim;
use dagctl_store::workers::{Heartbeat, NewWorker};
use tokio::sync::{Notify, RwLock, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::Engine;
use crate::flush::Report;
use crate::reconcile::reconcile;
use crate::sweeper::Sweeper;

mod attempt;
mod exchange;
mod hunger;
mod orchestrated;
mod reporter;

use exchange::Exchange;
use hunger::Hunger;
use reporter::{Held, Reporter, Rest};

/// How often folders of old runs are looked for.
const SWEEP: Duration = Duration::from_secs(3600);
/// How long before the end of a lease that could not be renewed everything under way is stopped.
const KILL_MARGIN: Duration = Duration::from_secs(3);

/// Exchanges with the database at the same time: while one commits, the other computes. Never more, since they wait for
/// each other where they meet.
const EXCHANGES: usize = 2;

/// So many free slots are worth a claim beside an exchange that is under way.
const FEW: usize = 64;

/// The exchange that a run belongs to: two of them must not wait for each other's lock on it.
fn exchange_of(run: DagRunId) -> usize {
    usize::try_from(run.get()).unwrap_or(0) % EXCHANGES
}

/// One worker process at work.
struct Worker {
    engine: Engine,
    id: WorkerId,
    running: Mutex<HashMap<AttemptKey, Stopper>>,
    /// Those that run, and those whose reports are on their way.
    held: Held,
    /// A slot became free.
    freed: Notify,
    /// What simply succeeded, by the exchange that its run belongs to.
    reports: [mpsc::UnboundedSender<Report>; EXCHANGES],
    /// All else.
    rest: mpsc::UnboundedSender<Rest>,
    attempts: TaskTracker,
    /// There may be tasks to take.
    hunger: Hunger,
    /// Slots that exchanges under way have been asked to fill.
    asked_for: AtomicUsize,
    /// Exchanges that wait for the database.
    under_way: AtomicUsize,
    /// Held for reading while a claim has not been taken on, for writing while lost answers are made good.
    claiming: RwLock<()>,
    /// By exchange: it claims nothing any more.
    is_sated: [CancellationToken; EXCHANGES],
    /// The lease is gone: nothing of this worker counts any more.
    lost: CancellationToken,
}

/// Works until `stop`, then drains: no new claims, attempts end within `drain_timeout`, the rest is handed back.
/// `hurry` ends the drain at once.
pub async fn work(engine: Engine, stop: CancellationToken, hurry: CancellationToken) {
    let ended = tokio::task::spawn_blocking(dagctl_runner::shell::end_orphans).await;
    if let Ok(count @ 1..) = ended {
        warn!("Ended {count} processes that a killed worker on this machine had left behind");
    }
    let (sweeper, stopped) = (Sweeper::new(engine.clone()), stop.clone());
    let sweeping =
        tokio::spawn(async move { reconcile(sweeper, &Notify::new(), SWEEP, stopped).await });
    while !stop.is_cancelled() {
        let Some(id) = register(&engine, &stop).await else {
            break;
        };
        info!(worker.id = %id, "Worker {id} takes tasks, up to {} at once", engine.config().slots);
        work_as(&engine, id, &stop, &hurry).await;
    }
    let _ = sweeping.await;
}

async fn register(engine: &Engine, stop: &CancellationToken) -> Option<WorkerId> {
    let config = engine.config();
    let new = NewWorker {
        name: config.worker_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: i32::from(config.slots),
        lease: config.lease,
        queues: config.queues.clone(),
    };
    while !stop.is_cancelled() {
        match engine.store().register_worker(&new).await {
            Ok(id) => return Some(id),
            Err(error) => warn!("Worker could not enter itself, next try in a second: {error}"),
        }
        tokio::select! {
            () = stop.cancelled() => (),
            () = sleep(Duration::from_secs(1)) => (),
        }
    }
    None
}

async fn work_as(
    engine: &Engine,
    id: WorkerId,
    stop: &CancellationToken,
    hurry: &CancellationToken,
) {
    let (reports, inboxes): (Vec<_>, Vec<_>) =
        (0..EXCHANGES).map(|_| mpsc::unbounded_channel()).unzip();
    let (rest, rest_inbox) = mpsc::unbounded_channel();
    let held = Held::default();
    let worker = Arc::new(Worker {
        engine: engine.clone(),
        id,
        running: Mutex::default(),
        held: held.clone(),
        freed: Notify::new(),
        reports: std::array::from_fn(|at| reports[at].clone()),
        rest,
        attempts: TaskTracker::new(),
        hunger: Hunger::default(),
        asked_for: AtomicUsize::new(0),
        under_way: AtomicUsize::new(0),
        claiming: RwLock::default(),
        is_sated: std::array::from_fn(|_| CancellationToken::new()),
        lost: CancellationToken::new(),
    });
    let reporter = Reporter {
        engine: engine.clone(),
        id,
        held,
        lost: worker.lost.clone(),
    };
    let reporter = tokio::spawn(reporter.record_all(rest_inbox));
    let beating = CancellationToken::new();
    let heart = tokio::spawn(worker.clone().keep_lease(beating.clone()));
    let is_drained = CancellationToken::new();
    // Tasks of their own that nobody cancels: a transaction is never dropped half-way.
    let exchanges: Vec<_> = inboxes
        .into_iter()
        .enumerate()
        .map(|(at, inbox)| {
            let exchange = Exchange::new(worker.clone(), at, inbox);
            tokio::spawn(exchange.run(stop.clone(), is_drained.clone()))
        })
        .collect();

    tokio::select! {
        () = stop.cancelled() => (),
        () = worker.lost.cancelled() => (),
    }
    for is_sated in &worker.is_sated {
        tokio::select! {
            () = is_sated.cancelled() => (),
            () = hurry.cancelled() => (),
        }
    }
    worker.drain(hurry).await;
    is_drained.cancel();
    for exchange in exchanges {
        if exchange.await.is_err() {
            error!("Reporting of worker {id} ended badly");
        }
    }

    let is_lost = worker.lost.is_cancelled();
    drop(worker);
    // The last sender is gone: the reporter records what is left and ends.
    if reporter.await.is_err() {
        error!("The reporter of worker {id} ended badly");
    }
    beating.cancel();
    let _ = heart.await;
    if !is_lost && let Err(error) = engine.store().worker_stopped(id).await {
        warn!("Worker {id} could not sign off, its lease will run out: {error}");
    }
}

impl Worker {
    /// Starts an attempt. Gives back its report at once if there is nothing to wait for.
    fn start(self: &Arc<Self>, claim: Claim) -> Option<Report> {
        self.lock_held().insert(claim.key);
        let key = claim.key;
        if let Some((outcome, on_success)) = attempt::at_once(&self.engine, &claim) {
            return Some(Report {
                key,
                outcome,
                on_success,
            });
        }
        let (stopper, stop) = dagctl_runner::stop::channel();
        self.lock().insert(key, stopper);
        let worker = self.clone();
        self.attempts.spawn(async move {
            // A task of its own, so that a panic ends this attempt and nothing else.
            let (engine, id) = (worker.engine.clone(), worker.id);
            let outcome =
                tokio::spawn(async move { attempt::run(&engine, id, claim, stop).await }).await;
            let (outcome, on_success) = outcome.unwrap_or_else(|panic| attempt::panicked(&panic));
            worker.lock().remove(&key);
            worker.report(Report {
                key,
                outcome,
                on_success,
            });
            worker.freed.notify_one();
        });
        None
    }

    fn report(&self, report: Report) {
        // Nobody listens only once the lease is gone.
        let _ = if report.is_plain() {
            let exchange = exchange_of(report.key.instance.dag_run_id);
            self.reports[exchange].send(report).map_err(drop)
        } else {
            self.rest.send(Rest::Report(report)).map_err(drop)
        };
    }

    /// A claim may have been committed although its answer was lost: what it took is ours, and nobody else runs it.
    async fn adopt(&self) -> anyhow::Result<Vec<Claim>> {
        // Alone: what another exchange has claimed and not taken on yet would look like a lost claim. And known before the
        // database is asked: so would an attempt that is reported meanwhile.
        let known = self.lock_held().clone();
        let held = self.engine.store().held(self.id).await?;
        Ok(held
            .into_iter()
            .filter(|it| !known.contains(&it.key))
            .collect())
    }

    /// Sets aside up to `most` free slots for a claim; given back by [`Worker::asked`].
    ///
    /// `None`: of a few slots, unless one `insists`, while the other exchange is under way. It asks for them when it is
    /// back, and a claim of a handful would cost as much as one of hundreds.
    fn ask_for(&self, most: usize, insists: bool) -> Option<usize> {
        let running = self.lock();
        let taken = running.len() + self.asked_for.load(Ordering::Acquire);
        let slots = usize::from(self.engine.config().slots);
        let free = slots.saturating_sub(taken);
        if !insists && free < FEW && self.under_way.load(Ordering::Acquire) > 0 {
            return None;
        }
        let asked = free.min(most);
        self.asked_for.fetch_add(asked, Ordering::AcqRel);
        Some(asked)
    }

    /// A claim has been answered, and what came of it started.
    fn asked(&self, slots: usize) {
        self.asked_for.fetch_sub(slots, Ordering::AcqRel);
        if slots > 0 && self.hunger.is_felt() {
            // The other exchange may have found them set aside.
            self.freed.notify_one();
        }
    }

    async fn keep_lease(self: Arc<Self>, stop: CancellationToken) {
        let config = self.engine.config().clone();
        let weak = Arc::downgrade(&self);
        let (engine, id, lost) = (self.engine.clone(), self.id, self.lost.clone());
        drop(self);
        let margin = KILL_MARGIN.min(config.lease / 4);
        let mut renewed = Instant::now();
        while !stop.is_cancelled() {
            // Never beyond the moment at which everything under way has to be stopped.
            let last_moment = renewed + config.lease - margin;
            let pause = config
                .heartbeat
                .min(last_moment.duration_since(Instant::now()) / 2);
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => (),
                () = engine.wake().cancel.notified() => (),
            }
            let asked = Instant::now();
            let patience = last_moment.duration_since(asked);
            let beat = timeout(
                patience,
                engine.inner.heartbeat_store.heartbeat(id, config.lease),
            )
            .await;
            let Some(worker) = weak.upgrade() else {
                // Only the last flush is still under way; the lease is renewed until it is done.
                if matches!(beat, Ok(Ok(Heartbeat::Lost))) {
                    lost.cancel();
                    return;
                }
                renewed = asked;
                continue;
            };
            match beat {
                Ok(Ok(Heartbeat::Alive { cancelled })) => {
                    renewed = asked;
                    worker.cancel(&cancelled);
                }
                Ok(Ok(Heartbeat::Lost)) => return worker.lose("the reaper took it"),
                Ok(Err(error)) if Instant::now() < last_moment => {
                    warn!("Heartbeat of worker {id} failed: {error}");
                    // The pause above shrinks towards the last moment; this one keeps it from becoming a storm.
                    sleep(Duration::from_millis(50)).await;
                }
                Ok(Err(_)) | Err(_) => return worker.lose("it could not be renewed in time"),
            }
        }
    }

    fn cancel(&self, tasks: &[(DagRunId, TaskIndex, String)]) {
        for (key, stopper) in self.lock().iter() {
            let instance = (key.instance.dag_run_id, key.instance.task_index);
            if let Some((.., by)) = tasks
                .iter()
                .find(|(run, task, _)| (*run, *task) == instance)
            {
                stopper.stop(StopReason::Cancelled { by: by.clone() });
            }
        }
    }

    /// Without its lease a worker's attempts belong to others: they must be dead before they are started again.
    fn lose(&self, why: &str) {
        warn!(worker.id = %self.id, "Worker {} lost its lease, {why}; stopping what it runs", self.id);
        self.lost.cancel();
        for stopper in self.lock().values() {
            stopper.stop(StopReason::Fenced);
        }
    }

    async fn drain(&self, hurry: &CancellationToken) {
        self.attempts.close();
        if !self.lost.is_cancelled() {
            tokio::select! {
                () = self.attempts.wait() => (),
                () = sleep(self.engine.config().drain_timeout) => (),
                () = hurry.cancelled() => (),
                () = self.lost.cancelled() => (),
            }
            for stopper in self.lock().values() {
                stopper.stop(StopReason::Drain);
            }
        }
        self.attempts.wait().await;
    }

    fn lock_held(&self) -> std::sync::MutexGuard<'_, HashSet<AttemptKey>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptKey, Stopper>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
