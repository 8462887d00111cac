//! Hints: who should look again, in this process and in others. Losing one costs the delay of a sweep, nothing else.

use std::time::{Duration, Instant, SystemTime};

use dagctl_store::database::{Heard, Topic};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::Engine;

/// How long to wait before the next try to listen.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// How often the two clocks are compared.
const COMPARE_CLOCKS: Duration = Duration::from_secs(5);
/// Clocks that drift apart by less in that time are being corrected, not set.
const DRIFT: Duration = Duration::from_secs(1);

/// The services that sleep in this process.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    /// There are queued tasks.
    pub(crate) ready: Notify,
    /// Somebody asked for a run to stop.
    pub(crate) cancel: Notify,
    /// There is a message to send.
    pub(crate) notice: Notify,
    /// A DAG or a run changed in a way that the scheduler should look at.
    pub(crate) schedule: Notify,
    /// A retry was put off.
    pub(crate) timer: Notify,
    /// There may be a run that nobody looks at.
    pub(crate) neglected: Notify,
}

impl Wake {
    fn up(&self, topic: Topic) {
        match topic {
            Topic::Ready => self.ready.notify_one(),
            Topic::Cancel => {
                self.cancel.notify_waiters();
                // Whoever asked may have failed to look at the run.
                self.neglected.notify_one();
            }
            Topic::Notice => self.notice.notify_one(),
            Topic::Schedule => self.schedule.notify_one(),
            Topic::Timer => self.timer.notify_one(),
        }
    }

    /// After a time in which hints may have been lost.
    fn everybody(&self) {
        for topic in Topic::ALL {
            self.up(topic);
        }
    }

    /// Those that sleep until a time of day. Not the reaper: workers that slept with the machine renew their leases first.
    fn those_who_wait_for_a_time(&self) {
        for topic in [Topic::Schedule, Topic::Timer, Topic::Notice] {
            self.up(topic);
        }
    }
}

impl Engine {
    /// Tells the services of this process, and soon those of others, that there is news.
    pub(crate) fn tell(&self, topic: Topic) {
        self.wake().up(topic);
        self.hint(topic);
    }

    /// Tells the sender of messages that one is due again.
    pub fn notices_changed(&self) {
        self.tell(Topic::Notice);
    }

    /// Tells whoever waits for a slot of a pool that pools were changed.
    pub fn pools_changed(&self) {
        self.tell(Topic::Ready);
    }
}

/// Passes other processes' hints on to the services of this one.
pub async fn pass_hints_on(engine: Engine, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match engine.store().listen(engine.inner.hints.teller).await {
            Ok(mut hints) => {
                // Whatever was told before we listened.
                engine.wake().everybody();
                loop {
                    let heard = tokio::select! {
                        () = stop.cancelled() => return,
                        heard = hints.next() => heard,
                    };
                    match heard {
                        Ok(Heard::News(topic)) => engine.wake().up(topic),
                        Ok(Heard::Nothing) => (),
                        Ok(Heard::Silence) => engine.wake().everybody(),
                        Err(error) => {
                            debug!("Cannot listen for hints any more: {error}");
                            break;
                        }
                    }
                }
            }
            Err(error) => debug!("Cannot listen for hints: {error}"),
        }
        tokio::select! {
            () = stop.cancelled() => (),
            () = sleep(LISTEN_AGAIN) => (),
        }
    }
}

/// Wakes whoever sleeps until a time of day when the clock was set, or when the machine slept: timers stood still
/// meanwhile.
pub(crate) async fn watch_the_clock(engine: Engine, stop: CancellationToken) {
    let mut clocks = Clocks::read();
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => (),
            () = sleep(COMPARE_CLOCKS) => (),
        }
        let now = Clocks::read();
        if now.jumped_since(clocks) {
            info!("The clock was set, or this machine slept: looking at what is due");
            engine.wake().those_who_wait_for_a_time();
        }
        clocks = now;
    }
}

/// The clock on the wall, which is set and goes on while the machine sleeps, and the one that timers go by.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall: SystemTime,
    timers: Instant,
}

impl Clocks {
    fn read() -> Self {
        Self {
            wall: SystemTime::now(),
            timers: Instant::now(),
        }
    }

    fn jumped_since(self, before: Self) -> bool {
        let Ok(on_the_wall) = self.wall.duration_since(before.wall) else {
            return true;
        };
        on_the_wall.abs_diff(self.timers - before.timers) > DRIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_or_went_on_while_timers_stood_still_has_jumped() {
        let before = Clocks::read();
        let later = |wall: Duration, timers: Duration| Clocks {
            wall: before.wall + wall,
            timers: before.timers + timers,
        };
        let second = Duration::from_secs(1);
        assert!(!later(5 * second, 5 * second).jumped_since(before));
        assert!(!later(5 * second, Duration::from_millis(5_300)).jumped_since(before));
        assert!(later(3600 * second, 5 * second).jumped_since(before));
        assert!(later(second, 5 * second).jumped_since(before));
        let set_back = Clocks {
            wall: before.wall - 60 * second,
            timers: before.timers + 5 * second,
        };
        assert!(set_back.jumped_since(before));
    }
}
