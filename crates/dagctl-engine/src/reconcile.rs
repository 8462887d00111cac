//! The loop that all services share: look when woken, and at least once a period.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A duty that can be done at any time, any number of times.
pub trait Service: Send + Sync + 'static {
    /// What it is called in logs.
    fn name(&self) -> &'static str;

    /// Does what the facts call for. Says when the next pass is due, if it knows.
    fn pass(&mut self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;
}

/// Looks when woken, when its own last pass said so, and at least once a `period`, until told to stop.
pub async fn reconcile(
    mut service: impl Service,
    wake: &Notify,
    period: Duration,
    stop: CancellationToken,
) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let pause = match service.pass().await {
            Ok(due) => {
                failures = 0;
                due.unwrap_or(period)
                    .clamp(Duration::from_millis(1), period)
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
        tokio::select! {
            () = stop.cancelled() => (),
            _ = timeout(pause, wake.notified()) => (),
        }
    }
}
