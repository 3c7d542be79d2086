//! Which locks others have been seen to want.
//!
//! A lock that nobody else wants is taken and given back by plain commands, which cost the server
//! least; a lock that others want is not, and the scripts do both in one command.
//! What stands here is a guess, and a wrong one costs one command more.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many are remembered; then all of them are forgotten.
const MANY: usize = 65_536;
/// Nobody else is taken to want a lock that was had so often in a row without meeting anybody: two
/// who take turns miss each other now and then.
const ALONE_AFTER: u8 = 8;

/// The locks that others have been seen to want, by the hash of their keys, with how often they were
/// had since without meeting anybody.
#[derive(Default)]
pub(crate) struct Contended {
    hasher: RandomState,
    count: AtomicUsize,
    locks: Mutex<HashMap<u64, u8>>,
}

impl Contended {
    /// Whether somebody else was seen to want the lock.
    pub(crate) fn contains(&self, lock: &str) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.locks().contains_key(&self.hash(lock))
    }

    /// Somebody else wants the lock.
    pub(crate) fn insert(&self, lock: &str) {
        let mut locks = self.locks();
        if locks.len() >= MANY {
            locks.clear();
        }
        locks.insert(self.hash(lock), 0);
        self.count.store(locks.len(), Ordering::Relaxed);
    }

    /// The lock was had, and nobody else wanted it.
    pub(crate) fn was_alone(&self, lock: &str) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut locks = self.locks();
        let hash = self.hash(lock);
        if let Some(alone) = locks.get_mut(&hash) {
            *alone += 1;
            if *alone >= ALONE_AFTER {
                locks.remove(&hash);
                self.count.store(locks.len(), Ordering::Relaxed);
            }
        }
    }

    fn hash(&self, lock: &str) -> u64 {
        self.hasher.hash_one(lock)
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<u64, u8>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_contended_until_it_was_had_eight_times_in_a_row_without_meeting_anybody() {
        let contended = Contended::default();
        contended.insert("a");
        assert!(contended.contains("a") && !contended.contains("b"));
        (0..7).for_each(|_| contended.was_alone("a"));
        contended.insert("a");
        (0..7).for_each(|_| contended.was_alone("a"));
        assert!(contended.contains("a"));
        contended.was_alone("a");
        assert!(!contended.contains("a"));
    }

    #[test]
    fn no_more_is_remembered_than_what_fits() {
        let contended = Contended::default();
        for number in 0..=MANY {
            contended.insert(&number.to_string());
        }
        assert!(contended.locks().len() <= MANY);
    }
}
