//! Carries reports into the database: until it has taken them, the lease is gone, or their run was set aside.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dagctl_core::ids::{AttemptKey, WorkerId};
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
    pub(super) async fn record_all(self, mut inbox: mpsc::UnboundedReceiver<Report>) {
        let mut batch = vec![];
        while inbox.recv_many(&mut batch, 500).await > 0 {
            let keys: Vec<AttemptKey> = batch.iter().map(|it| it.key).collect();
            let reports = batch
                .drain(..)
                .filter(|it| !is_fenced(&it.outcome))
                .collect();
            self.record(reports).await;
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            for key in keys {
                held.remove(&key);
            }
        }
    }

    /// A batch that the database did not take is sent again, whole; nothing is recorded twice.
    async fn record(&self, mut reports: Vec<Report>) {
        let mut pause = Duration::from_millis(50);
        while !self.lost.is_cancelled() && !reports.is_empty() {
            match self.flush(reports.clone()).await {
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
                    reports = self.record_one_by_one(reports).await;
                }
            }
            if !reports.is_empty() {
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
            let Err(error) = self.flush(vec![report.clone()]).await else {
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
    async fn flush(&self, reports: Vec<Report>) -> anyhow::Result<()> {
        let (engine, id) = (self.engine.clone(), self.id);
        match tokio::spawn(async move { engine.flush(id, reports).await }).await {
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
