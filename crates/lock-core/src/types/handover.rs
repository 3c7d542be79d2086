//! How far a lease is handed over between the tasks of one service.

use std::time::Duration;

use crate::types::fencing::FencingToken;

/// How often, and for how long, a lease is handed over inside a service before it goes back to the
/// store.
///
/// The tasks of a service that wait for the same name form a *local queue*. A guard that is
/// released hands its lease over to the next task of that queue without a round trip to the store.
/// That ends with the first of two limits: the number of times since the store's grant, and the
/// time since then. So another process waits, for each service before it, for that time and one
/// critical section more.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::{Handover, LockService, memory::MemoryBackend};
///
/// // Strict order over all processes: each task asks the store.
/// let strict = LockService::builder(MemoryBackend::new()).handover(Handover::OFF).build();
/// // More than the default of 64 times and 5 ms.
/// let long = Handover::new(500, Duration::from_millis(20));
/// let fast = LockService::builder(MemoryBackend::new()).handover(long).build();
/// # drop((strict, fast));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handover {
    grants: u16,
    time: Duration,
}

impl Handover {
    /// Nothing is handed over: each task has its own entry in the store's queue, in strict order.
    pub const OFF: Self = Self { grants: 0, time: Duration::ZERO };

    /// How often one grant of the store can be handed over at most. The limit comes from the
    /// fencing tokens: each task needs one of its own.
    pub const MAX_GRANTS: u16 = (1 << FencingToken::LOCAL_BITS) - 1;

    /// A lease is handed over at most `grants` times, and only within `time` after the store's
    /// grant.
    ///
    /// `grants` is limited to [`MAX_GRANTS`](Self::MAX_GRANTS). If either is zero, the result is
    /// [`OFF`](Self::OFF).
    #[must_use]
    pub const fn new(grants: u16, time: Duration) -> Self {
        if grants == 0 || time.is_zero() {
            return Self::OFF;
        }
        Self { grants: if grants > Self::MAX_GRANTS { Self::MAX_GRANTS } else { grants }, time }
    }

    /// How often one grant of the store is handed over at most.
    #[must_use]
    pub const fn grants(self) -> u16 {
        self.grants
    }

    /// How long after the store's grant the lease is handed over.
    #[must_use]
    pub const fn time(self) -> Duration {
        self.time
    }

    /// Whether nothing is handed over.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.grants == 0
    }
}

/// 64 times, within 5 ms after the store's grant.
impl Default for Handover {
    fn default() -> Self {
        Self::new(64, Duration::from_millis(5))
    }
}
