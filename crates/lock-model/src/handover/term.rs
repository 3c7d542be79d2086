//! Terms: on whose behalf a task deals with the store, or holds a lease.

/// On whose behalf a task deals with the store, or holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// For itself alone.
    Outside,
    /// For the local queue, as its leader or holder of this number.
    Of(u64),
}
