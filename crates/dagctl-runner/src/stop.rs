//! Asks an attempt under way to end, and says why.

use std::future::pending;

use tokio::sync::watch;

/// Why an attempt has to end before its work is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked the run to stop.
    Cancelled {
        /// Who, for the message.
        by: String,
    },
    /// The worker is going down and hands its work back.
    Drain,
    /// The worker lost its lease: whatever still runs must be dead at once.
    Fenced,
}

/// The end that asks. When it is dropped, nobody can ask any more.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Option<StopReason>>);

/// The end that listens.
#[derive(Debug, Clone)]
pub struct Stop(Option<watch::Receiver<Option<StopReason>>>);

/// Makes both ends for one attempt.
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(None);
    (Stopper(sender), Stop(Some(receiver)))
}

impl Stopper {
    /// Asks for the end. The first reason stands, but a lost lease outranks every other.
    pub fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|current| {
            let news = match current {
                None => true,
                Some(StopReason::Fenced) => false,
                Some(StopReason::Cancelled { .. } | StopReason::Drain) => {
                    reason == StopReason::Fenced
                }
            };
            if news {
                *current = Some(reason);
            }
            news
        });
    }
}

impl Stop {
    /// A stop that never comes.
    pub fn never() -> Self {
        Self(None)
    }

    /// Waits until the end is asked for.
    pub async fn requested(&mut self) -> StopReason {
        self.first(|_| true).await
    }

    /// Waits until the lease is lost.
    pub async fn fenced(&mut self) {
        self.first(|reason| *reason == StopReason::Fenced).await;
    }

    async fn first(&mut self, wanted: impl Fn(&StopReason) -> bool) -> StopReason {
        if let Some(receiver) = &mut self.0
            && let Ok(found) = receiver
                .wait_for(|current| current.as_ref().is_some_and(&wanted))
                .await
            && let Some(reason) = found.clone()
        {
            return reason;
        }
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_first_reason_stands_but_a_lost_lease_outranks_it() {
        let (stopper, mut stop) = channel();
        stopper.stop(StopReason::Drain);
        stopper.stop(StopReason::Cancelled { by: "kim".into() });
        assert_eq!(stop.requested().await, StopReason::Drain);
        stopper.stop(StopReason::Fenced);
        stop.fenced().await;
        assert_eq!(stop.requested().await, StopReason::Fenced);
    }

    #[tokio::test]
    async fn a_dropped_stopper_stops_nothing() {
        let (stopper, mut stop) = channel();
        drop(stopper);
        assert_eq!(stop.requested().now_or_never(), None);
        assert_eq!(Stop::never().requested().now_or_never(), None);
    }
}
