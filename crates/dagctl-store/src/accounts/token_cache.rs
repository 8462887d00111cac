//! Tokens that were looked up a moment ago: a program that asks a lot is looked up once a second.
//!
//! What this process takes back is forgotten at once. What another process takes back works here for that second.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Principal;

/// How long a look-up counts.
const FRESH: Duration = Duration::from_secs(1);
/// How many are kept; the cache starts again when it is full.
const MOST_KEPT: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_hash: HashMap<Vec<u8>, (Instant, Principal)>,
    /// How often everything was forgotten.
    times_forgotten: u64,
}

/// A look-up under way. It is kept only if nothing was taken back meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookUp {
    since: Instant,
    times_forgotten: u64,
}

impl TokenCache {
    /// Whose token it was a moment ago, or the permission to look.
    pub(crate) fn find(&self, hash: &[u8]) -> Result<Principal, LookUp> {
        let kept = self.lock();
        match kept.by_hash.get(hash) {
            Some((since, principal)) if since.elapsed() < FRESH => Ok(principal.clone()),
            _ => Err(LookUp {
                since: Instant::now(),
                times_forgotten: kept.times_forgotten,
            }),
        }
    }

    /// Keeps what was found.
    pub(crate) fn keep(&self, look: LookUp, hash: Vec<u8>, principal: &Principal) {
        let mut kept = self.lock();
        if kept.times_forgotten != look.times_forgotten {
            return;
        }
        if kept.by_hash.len() >= MOST_KEPT {
            kept.by_hash.clear();
        }
        kept.by_hash.insert(hash, (look.since, principal.clone()));
    }

    /// Forgets everything, because a token, a role or an account has changed.
    pub(crate) fn forget(&self) {
        let mut kept = self.lock();
        kept.by_hash.clear();
        kept.times_forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Role;

    #[test]
    fn a_look_up_that_a_change_overtook_is_not_kept() {
        let kim = Principal {
            account_id: 1,
            name: "kim".to_owned(),
            role: Role::Operator,
        };
        let cache = TokenCache::default();
        let look = cache.find(b"token").unwrap_err();
        cache.forget();
        cache.keep(look, b"token".to_vec(), &kim);
        let look = cache.find(b"token").unwrap_err();
        cache.keep(look, b"token".to_vec(), &kim);
        assert_eq!(cache.find(b"token").unwrap(), kim);
        cache.forget();
        assert!(cache.find(b"token").is_err());
    }
}
