//! The hot path of a worker: what simply succeeded goes to the database, what may start comes back, in one statement.
//!
//! Whatever ended while the last exchange was under way is the next batch: one attempt when there is little to do, so
//! that nothing waits, and hundreds under load, so that they share a commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dagctl_core::outcome::Outcome;
use dagctl_store::attempts::{Claim, Finished, HotPath, Lane, PlainSuccess, Wish};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::reporter::Rest;
use super::{Worker, exchange_of};
use crate::advance::is_transient;
use crate::flush::Report;

/// The most attempts of one exchange, each way.
const BATCH: usize = 500;
/// How soon pools with a limit are asked again in which there was no place.
const FULL: Duration = Duration::from_millis(20);
/// How long a few free slots are left to the other exchange: it may wait for a lock.
const LEFT: Duration = Duration::from_millis(20);
/// How soon a worker looks again while tasks wait that it could not take.
const WAITING: Duration = Duration::from_secs(1);

/// A loop that reports and claims for one worker.
pub(super) struct Exchange {
    worker: Arc<Worker>,
    /// Which of the worker's exchanges it is.
    number: usize,
    inbox: mpsc::UnboundedReceiver<Report>,
    hot: HotPath,
    /// Where the last tasks came from.
    lane: Lane,
    batch: Vec<Report>,
    /// Tasks wait elsewhere than in the lane.
    others_wait: bool,
    elsewhere_after: Instant,
    /// They were not asked for, because they had just been asked for in vain.
    is_elsewhere_owed: bool,
    /// A few free slots were left to the other exchange for long enough.
    insists: bool,
    /// The answer to an exchange was lost: the worker may hold claims that it does not know.
    is_answer_lost: bool,
    pause: Duration,
}

impl Exchange {
    pub(super) fn new(
        worker: Arc<Worker>,
        number: usize,
        inbox: mpsc::UnboundedReceiver<Report>,
    ) -> Self {
        Self {
            number,
            hot: worker.engine.store().hot_path(),
            worker,
            inbox,
            lane: Lane {
                pool_key: 0,
                queue_key: 0,
            },
            batch: vec![],
            others_wait: false,
            elsewhere_after: Instant::now(),
            is_elsewhere_owed: false,
            insists: false,
            is_answer_lost: false,
            pause: Duration::ZERO,
        }
    }

    /// Reports and claims until `stop`, then reports until `is_drained` and nothing is left.
    pub(super) async fn run(mut self, stop: CancellationToken, is_drained: CancellationToken) {
        let lost = self.worker.lost.clone();
        loop {
            let was_drained = is_drained.is_cancelled();
            while self.batch.len() < BATCH
                && let Ok(report) = self.inbox.try_recv()
            {
                self.batch.push(report);
            }
            if lost.is_cancelled() {
                self.forget();
            }
            let is_stopping = stop.is_cancelled() || lost.is_cancelled();
            if is_stopping {
                self.worker.is_sated[self.number].cancel();
            }
            if self.is_answer_lost && !is_stopping && self.batch.is_empty() {
                self.adopt().await;
                continue;
            }
            let insists = self.insists || !self.batch.is_empty();
            let asked = match is_stopping {
                true => Some(0),
                false => self.worker.ask_for(BATCH, insists),
            };
            let is_left = asked.is_none() && self.worker.hunger.is_felt();
            let asked = asked.unwrap_or_default();
            let is_due = !self.batch.is_empty() || asked > 0 && self.worker.hunger.is_felt();
            if is_due {
                self.insists = false;
                self.exchange(asked).await;
            }
            self.worker.asked(asked);
            if is_due {
                continue;
            }
            if was_drained {
                break;
            }
            let nap = if is_left { LEFT } else { self.nap() };
            tokio::select! {
                report = self.inbox.recv() => self.batch.extend(report),
                () = stop.cancelled(), if !is_stopping => (),
                () = lost.cancelled(), if !is_stopping => (),
                () = is_drained.cancelled() => (),
                () = self.worker.freed.notified() => (),
                () = self.worker.engine.wake().ready.notified() => self.worker.hunger.call(),
                () = sleep(nap), if is_left => self.insists = true,
                () = sleep(nap), if !is_left => {
                    self.is_elsewhere_owed = false;
                    self.worker.hunger.call();
                }
            }
        }
        self.hot.close().await;
    }

    /// How long until the worker looks by itself; hints come earlier.
    fn nap(&self) -> Duration {
        if self.is_elsewhere_owed {
            return self.elsewhere_after.duration_since(Instant::now());
        }
        let poll = self.worker.engine.config().poll;
        let nap = if self.others_wait {
            poll.min(WAITING)
        } else {
            poll
        };
        nap.mul_f64(0.75 + rand::random::<f64>() / 2.0)
    }

    /// Without the lease, nothing that ended counts any more.
    fn forget(&mut self) {
        let mut held = self.worker.lock_held();
        for report in self.batch.drain(..) {
            held.remove(&report.key);
        }
    }

    async fn exchange(&mut self, free: usize) {
        let worker = self.worker.clone();
        let _claiming = worker.claiming.read().await;
        let successes: Vec<PlainSuccess> = self
            .batch
            .iter()
            .filter_map(|it| match &it.outcome {
                Outcome::Success { outputs } => Some(PlainSuccess {
                    key: it.key,
                    outputs: outputs.clone(),
                }),
                Outcome::Failed(_)
                | Outcome::Skipped { .. }
                | Outcome::HandedBack
                | Outcome::Expands { .. }
                | Outcome::Waits(_) => None,
            })
            .collect();
        let wish = Wish {
            slots: if self.is_answer_lost { 0 } else { free },
            lane: self.lane,
            only_children: !worker.hunger.is_felt(),
        };
        let heard = worker.hunger.heard();
        worker.under_way.fetch_add(1, Ordering::AcqRel);
        let answer = self.hot.finish(worker.id, &successes, wish).await;
        worker.under_way.fetch_sub(1, Ordering::AcqRel);
        match answer {
            Ok(finished) => {
                self.pause = Duration::ZERO;
                self.forget();
                let left = self.follow(finished, wish.slots).await;
                if left > 0 {
                    worker.hunger.sated(heard);
                }
            }
            Err(error) => self.failed(error.into()).await,
        }
    }

    /// Starts what was handed out, and looks elsewhere for the rest. Gives back the slots for which there was nothing.
    async fn follow(&mut self, mut finished: Finished, wished: usize) -> usize {
        let others_wait = finished.others_wait;
        let mut left = wished - finished.claims.len();
        self.start(std::mem::take(&mut finished.claims));
        self.pass_on(finished);
        let Some(others_wait) = others_wait else {
            // Nobody has looked what waits.
            return 0;
        };
        self.others_wait = others_wait;
        let looks_elsewhere = self.others_wait && left > 0;
        self.is_elsewhere_owed = looks_elsewhere && Instant::now() < self.elsewhere_after;
        if looks_elsewhere && !self.is_elsewhere_owed {
            let (store, id) = (self.worker.engine.store(), self.worker.id);
            match store.claim(id, left).await {
                Ok(claimed) => {
                    left -= claimed.claims.len();
                    self.lane = claimed.lane.unwrap_or(self.lane);
                    if claimed.claims.is_empty() {
                        self.elsewhere_after = Instant::now() + FULL;
                    }
                    self.start(claimed.claims);
                }
                Err(error) => {
                    self.failed(error.into()).await;
                    return 0;
                }
            }
        }
        left
    }

    fn start(&mut self, claims: Vec<Claim>) {
        for claim in claims {
            match self.worker.start(claim) {
                Some(report)
                    if report.is_plain()
                        && exchange_of(report.key.instance.dag_run_id) == self.number =>
                {
                    self.batch.push(report);
                }
                Some(report) => self.worker.report(report),
                None => (),
            }
        }
    }

    /// What others have to know, or to do.
    fn pass_on(&self, finished: Finished) {
        let worker = &self.worker;
        if !finished.undecided.is_empty() || !finished.limited.is_empty() {
            let runs = [finished.undecided, finished.limited].concat();
            let _ = worker.rest.send(Rest::Look(runs));
        }
        if !finished.to_start.is_empty() {
            let _ = worker.rest.send(Rest::Start(finished.to_start));
        }
        if finished.queued > 0 {
            worker.engine.hint_ready();
        }
    }

    async fn failed(&mut self, error: anyhow::Error) {
        // What was claimed in it, if anything, is found by asking what this worker holds.
        self.is_answer_lost = true;
        if is_transient(&error) {
            warn!(
                "Results of worker {} wait for the database: {error:#}",
                self.worker.id
            );
        } else {
            warn!(
                "Results of worker {} are recorded one by one: {error:#}",
                self.worker.id
            );
            for report in self.batch.drain(..) {
                let _ = self.worker.rest.send(Rest::Report(report));
            }
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).clamp(Duration::from_millis(50), Duration::from_secs(2));
    }

    async fn adopt(&mut self) {
        let worker = self.worker.clone();
        let _alone = worker.claiming.write().await;
        match worker.adopt().await {
            Ok(claims) => {
                self.is_answer_lost = false;
                self.worker.hunger.call();
                if !claims.is_empty() {
                    info!("Took on {} tasks whose claim had no answer", claims.len());
                }
                self.start(claims);
            }
            Err(error) => self.failed(error).await,
        }
    }
}
