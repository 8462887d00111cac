//! Carries what did not simply succeed into the database: until it has taken it, the lease is gone, or the run was set
//! aside.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dagctl_core::ids::{AttemptKey, DagKey, DagRunId, WorkerId};
use dagctl_core::outcome::{FailureKind, Outcome};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::Engine;
use crate::advance::is_transient;
use crate::flush::Report;

/// Attempts that a worker has taken on and not reported yet.
pub(super) type Held = Arc<Mutex<HashSet<AttemptKey>>>;

/// What the hot path leaves to others.
#[derive(Debug)]
pub(super) enum Rest {
    /// An attempt that did not simply succeed.
    Report(Report),
    /// Runs in which something is left to decide.
    Look(Vec<DagRunId>),
    /// DAGs with queued runs that may have a place now.
    Start(Vec<DagKey>),
}

/// Records the reports of one worker.
pub(super) struct Reporter {
    pub(super) engine: Engine,
    pub(super) id: WorkerId,
    pub(super) held: Held,
    /// The lease is gone: nothing of this worker counts any more.
    pub(super) lost: CancellationToken,
}

impl Reporter {
    /// Records reports: whatever came in while the last batch was on its way is the next batch.
    pub(super) async fn record_all(self, mut inbox: mpsc::UnboundedReceiver<Rest>) {
        let mut batch = vec![];
        while inbox.recv_many(&mut batch, 500).await > 0 {
            let (mut reports, mut looks, mut starts) = (vec![], BTreeSet::new(), BTreeSet::new());
            for it in batch.drain(..) {
                match it {
                    Rest::Report(report) => reports.push(report),
                    Rest::Look(runs) => looks.extend(runs),
                    Rest::Start(dags) => starts.extend(dags),
                }
            }
            let keys: Vec<AttemptKey> = reports.iter().map(|it| it.key).collect();
            reports.retain(|it| !is_fenced(&it.outcome));
            self.record(reports, &Vec::from_iter(looks)).await;
            if !keys.is_empty() {
                // What they held, in a pool or of their runs, may be free.
                self.engine.wake().ready.notify_one();
            }
            {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                for key in keys {
                    held.remove(&key);
                }
            }
            self.engine.start_queued_runs(starts).await;
        }
    }

    /// A batch that the database did not take is sent again, whole; nothing is recorded twice.
    async fn record(&self, mut reports: Vec<Report>, mut looks: &[DagRunId]) {
        let mut pause = Duration::from_millis(50);
        while !(self.lost.is_cancelled() || reports.is_empty() && looks.is_empty()) {
            match self.flush(reports.clone(), looks).await {
                Ok(()) => return,
                Err(error) if is_transient(&error) => {
                    warn!(
                        "Results of worker {} wait for the database: {error:#}",
                        self.id
                    );
                }
                Err(error) => {
                    warn!(
                        "Results of worker {} are recorded one by one: {error:#}",
                        self.id
                    );
                    for run in std::mem::take(&mut looks) {
                        // Its run is marked, and the reaper's next pass repeats the look.
                        if let Err(error) = self.engine.advance(*run).await {
                            warn!(run.id = %run, "Could not look at run {run}: {error:#}");
                        }
                    }
                    reports = self.record_one_by_one(reports).await;
                }
            }
            if !reports.is_empty() || !looks.is_empty() {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(2));
            }
        }
    }

    /// A batch fails as a whole; a run that cannot be looked at must not hold up the others. Gives back what is left.
    async fn record_one_by_one(&self, reports: Vec<Report>) -> Vec<Report> {
        let mut left = vec![];
        for report in reports {
            if self.lost.is_cancelled() {
                return vec![];
            }
            let Err(error) = self.flush(vec![report.clone()], &[]).await else {
                continue;
            };
            let run = report.key.instance.dag_run_id;
            if self.engine.note_failed_look(run, &error).await && self.drop(&report).await {
                continue;
            }
            left.push(report);
        }
        left
    }

    /// Gives back an attempt whose run was set aside, with what it reported as history.
    async fn drop(&self, report: &Report) -> bool {
        let ended = match &report.outcome {
            Outcome::Success { .. } => "succeeded".to_owned(),
            Outcome::Skipped { reason } => format!("skipped: {reason}"),
            Outcome::Failed(failure) => format!("failed: {}", failure.message),
            Outcome::HandedBack => "handed back".to_owned(),
            Outcome::Waits(_) => "would have waited".to_owned(),
            Outcome::Expands { items } => format!("found {} items", items.len()),
        };
        let why = format!("{ended}; not recorded, because its run was set aside");
        let store = self.engine.store();
        match store.drop_reports(self.id, &[report.key], &why).await {
            Ok(_) => true,
            Err(error) => {
                warn!("An attempt of a run that was set aside stays claimed: {error}");
                false
            }
        }
    }

    /// In a task that nobody cancels: a transaction is never dropped half-way.
    async fn flush(&self, reports: Vec<Report>, looks: &[DagRunId]) -> anyhow::Result<()> {
        let (engine, id, looks) = (self.engine.clone(), self.id, looks.to_vec());
        let flush = async move { engine.flush_and_look(id, reports, &looks).await };
        match tokio::spawn(flush).await {
            Ok(flushed) => flushed,
            Err(panic) => {
                error!("Recording results panicked: {panic}");
                Err(anyhow::anyhow!("recording results panicked: {panic}"))
            }
        }
    }
}

fn is_fenced(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Fenced)
}
