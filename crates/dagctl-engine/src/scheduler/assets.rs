//! DAGs that run on news of tables: who is told, and when a run is made for it.

use dagctl_core::asset::{Asset, AssetExpression};
use dagctl_core::dag::Dag;
use dagctl_core::timetable::{DueRun, Interval};
use dagctl_store::assets::{AssetStep, PendingEvent};
use dagctl_store::dags::KnownDag;
use dagctl_store::runs::RunType;
use jiff::Timestamp;
use tracing::info;

use super::{Scheduler, run_of};

impl Scheduler {
    /// Tells DAGs of every event that nobody was told of.
    pub(super) async fn tell_news(&self) -> anyhow::Result<()> {
        loop {
            let store = self.engine.store().clone();
            // In a task that nobody cancels: a transaction is never dropped half-way.
            if tokio::spawn(async move { store.tell_asset_events().await }).await?? == 0 {
                return Ok(());
            }
        }
    }

    /// Makes one run for all news that a DAG has, if they are what its schedule waits for.
    pub(super) async fn look_at_assets(
        &self,
        known: &KnownDag,
        dag: &Dag,
        expression: &AssetExpression,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        // While every place is taken the news gather for one run; the end of a run calls for the next look.
        if known.live_runs >= i64::from(dag.spec.max_active_runs) {
            return Ok(());
        }
        let store = self.engine.store();
        let assets = expression.assets();
        let news = store.asset_news(known.dag_key, &assets).await?;
        let has_news = |asset: &Asset| {
            let mut found = assets.iter().zip(&news.has_news);
            found.any(|(it, has_news)| *it == asset && *has_news)
        };
        if !expression.is_met(&has_news) {
            store
                .await_asset_news(known.dag_key, news.next_due_at)
                .await?;
            return Ok(());
        }
        let pending = store.pending_asset_events(known.dag_key).await?;
        let due = DueRun {
            logical_date: now,
            interval: span(&pending, now),
        };
        let mut run = run_of(known, dag, &due, RunType::AssetTriggered)?;
        run.deadline_at = self
            .engine
            .deadline_of(dag, known.dag_key, now, run.logical_at)
            .await?;
        let step = AssetStep {
            dag_key: known.dag_key,
            events: pending.iter().map(|it| it.asset_event_id).collect(),
            run,
        };
        let store = store.clone();
        let taken = tokio::spawn(async move { store.take_asset_step(&step).await }).await??;
        if let Some(started) = taken {
            info!(dag.id = %known.dag_id, "Made a run of `{}` for {} asset events", known.dag_id, pending.len());
            self.engine.follow_started(started).await;
        }
        Ok(())
    }
}

/// From the first to the last of the data intervals that the news are about.
fn span(pending: &[PendingEvent], now: Timestamp) -> Interval {
    Interval {
        start: pending
            .iter()
            .map(|it| it.interval_start)
            .min()
            .unwrap_or(now),
        end: pending
            .iter()
            .map(|it| it.interval_end)
            .max()
            .unwrap_or(now),
    }
}
