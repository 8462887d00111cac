//! Hints to other processes: one alone goes out at once, a flood of them as one every few milliseconds.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use dagctl_store::database::{Teller, Topic};
use tokio::time::sleep;

use crate::Engine;

/// The pause between two hints of one kind, at first and at most: a flood of them would wake every process for nothing.
/// Two processes that hand a run back and forth are no flood.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(5));

/// Hints that are asked for, and whether somebody is sending them.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    state: [AtomicU8; Topic::ALL.len()],
    /// Who we are, so that we do not hear ourselves: our own services are told without the database.
    pub(crate) teller: Teller,
}

impl Hints {
    const IDLE: u8 = 0;
    const SENDING: u8 = 1;
    const WANTED: u8 = 2;

    /// Asks for a hint. `true`: nobody is sending, the caller has to.
    fn begin(&self, topic: Topic) -> bool {
        self.of(topic).swap(Self::WANTED, Ordering::AcqRel) == Self::IDLE
    }

    /// Whether a hint is wanted; if not, the sender is done.
    fn take(&self, topic: Topic) -> bool {
        let next = |state| match state {
            Self::WANTED => Some(Self::SENDING),
            _ => Some(Self::IDLE),
        };
        let before = self
            .of(topic)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        before == Ok(Self::WANTED)
    }

    fn of(&self, topic: Topic) -> &AtomicU8 {
        &self.state[topic as usize]
    }
}

impl Engine {
    /// Tells other processes, at once or a few milliseconds after the last time.
    pub(crate) fn hint(&self, topic: Topic) {
        if self.inner.hints.begin(topic) {
            let engine = self.clone();
            tokio::spawn(async move {
                let mut pause = PAUSES.0;
                while engine.inner.hints.take(topic) {
                    let hints = &engine.inner.hints;
                    engine.inner.store.hint(topic, hints.teller).await;
                    sleep(pause).await;
                    pause = (2 * pause).min(PAUSES.1);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_while_one_is_sent_is_served_by_its_sender() {
        let hints = Hints::default();
        assert!(hints.begin(Topic::Ready), "the first asks and sends");
        assert!(hints.take(Topic::Ready));
        assert!(!hints.begin(Topic::Ready), "somebody is sending");
        assert!(hints.begin(Topic::Cancel), "topics do not meet");
        assert!(hints.take(Topic::Ready), "asked for once more");
        assert!(!hints.take(Topic::Ready), "done");
        assert!(hints.begin(Topic::Ready), "the next asks and sends again");
    }
}
