//! A set of cluster slots.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::Clock;

/// How many slots a cluster has (Redis Cluster specification, "Key distribution model").
pub(crate) const SLOT_COUNT: u16 = 16_384;
pub(crate) const SLOTS: usize = SLOT_COUNT as usize;
const BITS: usize = u64::BITS as usize;

/// A set of cluster slots that many tasks share: 2 KiB.
pub(crate) struct SlotSet(Box<[AtomicU64]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self((0..SLOTS / BITS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl SlotSet {
    pub(crate) fn contains(&self, slot: u16) -> bool {
        let slot = usize::from(slot) % SLOTS;
        self.0[slot / BITS].load(Ordering::Relaxed) & (1 << (slot % BITS)) != 0
    }

    pub(crate) fn clear(&self) {
        self.0.iter().for_each(|bits| bits.store(0, Ordering::Relaxed));
    }

    pub(crate) fn remove(&self, slot: u16) {
        let slot = usize::from(slot) % SLOTS;
        self.0[slot / BITS].fetch_and(!(1 << (slot % BITS)), Ordering::Relaxed);
    }

    pub(crate) fn insert(&self, slot: u16) {
        let slot = usize::from(slot) % SLOTS;
        self.0[slot / BITS].fetch_or(1 << (slot % BITS), Ordering::Relaxed);
    }
}

/// Adds a slot to ranges that are in order; it is behind all of them.
pub(crate) fn push(ranges: &mut Vec<RangeInclusive<u16>>, slot: u16) {
    match ranges.last_mut() {
        Some(last) if last.end().checked_add(1) == Some(slot) => *last = *last.start()..=slot,
        _ => ranges.push(slot..=slot),
    }
}

/// For how long a set is to be believed.
pub(crate) struct Trust {
    since: AtomicU64,
    time: Duration,
}

impl Trust {
    pub(crate) fn new(time: Duration) -> Self {
        Self { since: AtomicU64::new(Clock::SYSTEM.now().as_nanos()), time }
    }

    /// Whether it was believed for so long; from now on it is believed again.
    pub(crate) fn is_over(&self) -> bool {
        let now = Clock::SYSTEM.now();
        let until = Instant::from_nanos(self.since.load(Ordering::Relaxed)) + self.time;
        if now < until {
            return false;
        }
        self.since.store(now.as_nanos(), Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_put_in_and_nothing_else() {
        let set = SlotSet::default();
        for slot in [0, 63, 64, 16_383] {
            assert!(!set.contains(slot));
            set.insert(slot);
        }
        let held: Vec<u16> = (0..16_384).filter(|slot| set.contains(*slot)).collect();
        assert_eq!(held, [0, 63, 64, 16_383]);
        set.remove(63);
        assert!(!set.contains(63) && set.contains(64));
    }
}
