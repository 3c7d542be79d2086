//! The newest configuration epoch of a node that was heard of.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lock_core::Instant;

/// For so long it is believed that other nodes have not heard of it yet. A cluster that was set up anew
/// begins to count anew.
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// The newest configuration epoch of a node that was heard of.
#[derive(Default)]
pub(super) struct KnownEpoch(Mutex<Option<(u64, Instant)>>);

impl KnownEpoch {
    /// None if none was heard of, or for a while.
    pub(super) fn get(&self, now: Instant) -> Option<u64> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(_, heard)| now < *heard + BELIEVED_FOR).map(|(epoch, _)| epoch)
    }

    /// A node says that it is this.
    pub(super) fn heard(&self, epoch: u64, now: Instant) {
        if self.get(now).is_none_or(|known| known <= epoch) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((epoch, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_counts_until_it_was_not_heard_of_for_a_minute() {
        let at = |secs: u64| Instant::from_nanos(secs * 1_000_000_000);
        let epoch = KnownEpoch::default();
        assert_eq!(epoch.get(at(0)), None);
        epoch.heard(5, at(0));
        epoch.heard(3, at(30));
        assert_eq!(epoch.get(at(59)), Some(5));
        epoch.heard(5, at(59));
        assert_eq!(epoch.get(at(118)), Some(5));
        assert_eq!(epoch.get(at(119)), None);
        epoch.heard(1, at(119));
        assert_eq!(epoch.get(at(120)), Some(1));
    }
}
