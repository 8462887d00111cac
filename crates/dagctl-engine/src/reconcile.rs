//! The loop that all services share: look when woken, when something is due, and at least once a period.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Wake-ups that come closer together than this share a pass; the first one is never kept waiting.
const BREATH: Duration = Duration::from_millis(10);

/// A duty that can be done at any time, any number of times.
pub trait Service: Send + Sync + 'static {
    /// What it is called in logs.
    fn name(&self) -> &'static str;

    /// Does what the facts call for. Says when the next pass is due, if it knows.
    fn pass(&mut self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;
}

/// Looks when woken, when its own last pass said so, and about once a `period`, until told to stop.
pub async fn reconcile(
    mut service: impl Service,
    wake: &Notify,
    period: Duration,
    stop: CancellationToken,
) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let pause = match service.pass().await {
            Ok(due) => {
                failures = 0;
                // Processes that were started together do not look together for ever.
                let sweep = period.mul_f64(1.0 - rand::random::<f64>() / 4.0);
                due.unwrap_or(sweep).clamp(Duration::from_millis(1), sweep)
            }
            Err(error) => {
                let pause =
                    Duration::from_millis(100 << failures.min(6)).min(Duration::from_secs(5));
                failures = failures.saturating_add(1);
                warn!(
                    service = service.name(),
                    "Pass of the {} failed, next look in {pause:?}: {error:#}",
                    service.name()
                );
                pause
            }
        };
        let was_woken = tokio::select! {
            () = stop.cancelled() => false,
            woken = timeout(pause, wake.notified()) => woken.is_ok(),
        };
        if was_woken {
            sleep(BREATH.saturating_sub(begun.elapsed())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    /// Tells of each of its passes, and knows nothing of the next.
    struct Teller(mpsc::UnboundedSender<()>);

    impl Service for Teller {
        fn name(&self) -> &'static str {
            "teller"
        }

        async fn pass(&mut self) -> anyhow::Result<Option<Duration>> {
            self.0.send(())?;
            Ok(None)
        }
    }

    fn loop_of(
        period: Duration,
    ) -> (
        mpsc::UnboundedReceiver<()>,
        Arc<Notify>,
        tokio_util::sync::DropGuard,
    ) {
        let (sender, passes) = mpsc::unbounded_channel();
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let (own, stopped) = (wake.clone(), stop.clone());
        tokio::spawn(async move { reconcile(Teller(sender), &own, period, stopped).await });
        (passes, wake, stop.drop_guard())
    }

    #[tokio::test]
    async fn a_lost_hint_costs_a_sweep_not_for_ever() {
        let (mut passes, _wake, _stop) = loop_of(Duration::from_millis(30));
        for _ in 0..3 {
            passes.recv().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_hint_that_comes_during_a_pass_leads_to_another() {
        let (mut passes, wake, _stop) = loop_of(Duration::from_secs(3600));
        wake.notify_one();
        for _ in 0..2 {
            passes.recv().await.unwrap();
        }
        wake.notify_one();
        passes.recv().await.unwrap();
    }

    #[tokio::test]
    async fn many_hints_share_a_pass() {
        let (mut passes, wake, _stop) = loop_of(Duration::from_secs(3600));
        passes.recv().await.unwrap();
        for _ in 0..1000 {
            wake.notify_one();
            tokio::task::yield_now().await;
        }
        passes.recv().await.unwrap();
        let most = {
            let mut more = 0;
            while passes.try_recv().is_ok() {
                more += 1;
            }
            more
        };
        assert!(most < 100, "{most} passes for a thousand hints");
    }
}
