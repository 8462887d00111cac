//! Whether there may be tasks to take, for all exchanges of a worker.

use std::sync::atomic::{AtomicU64, Ordering};

/// Calls to look for tasks, and how many of them have been answered.
///
/// Whoever is woken may be another exchange than the one with free slots, and a call may come while the database is
/// being asked: so what was heard is shared, and only what was heard before the question is answered by it.
#[derive(Debug)]
pub(super) struct Hunger {
    called: AtomicU64,
    answered: AtomicU64,
}

impl Default for Hunger {
    /// Hungry from the start.
    fn default() -> Self {
        Self {
            called: AtomicU64::new(1),
            answered: AtomicU64::new(0),
        }
    }
}

impl Hunger {
    /// There may be tasks.
    pub(super) fn call(&self) {
        self.called.fetch_add(1, Ordering::AcqRel);
    }

    /// What has been called so far; to be asked for before the database is.
    pub(super) fn heard(&self) -> u64 {
        self.called.load(Ordering::Acquire)
    }

    /// The database had fewer tasks than there were slots.
    pub(super) fn sated(&self, heard: u64) {
        self.answered.fetch_max(heard, Ordering::AcqRel);
    }

    /// Whether there may be tasks.
    pub(super) fn is_felt(&self) -> bool {
        self.answered.load(Ordering::Acquire) < self.called.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_came_while_the_database_was_asked_is_not_answered_by_it() {
        let hunger = Hunger::default();
        assert!(hunger.is_felt(), "a worker begins hungry");
        let heard = hunger.heard();
        hunger.sated(heard);
        assert!(!hunger.is_felt());
        hunger.call();
        let (first, second) = (hunger.heard(), hunger.heard());
        hunger.call();
        hunger.sated(first);
        assert!(hunger.is_felt(), "the second call came after the question");
        let third = hunger.heard();
        hunger.sated(third);
        hunger.sated(second);
        assert!(!hunger.is_felt(), "a late answer takes nothing back");
    }
}
