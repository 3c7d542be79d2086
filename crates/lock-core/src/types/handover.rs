//! How far a lease is passed on between the tasks of one service.

use std::time::Duration;

use crate::types::fencing::FencingToken;

/// How far a lease may be passed on inside a process before it goes back to the store.
///
/// Each grant of the store may be passed on so many times, and until so long after it, whichever
/// ends first; so another process waits for one such batch at most, which is the time and one
/// section more.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::{Handover, LockService, memory::MemoryBackend};
///
/// // First come, first served over all processes, at the price of a round trip for each.
/// let strict = LockService::builder(MemoryBackend::new()).handover(Handover::OFF).build();
/// // Longer batches than the default of 64 grants and 5 ms.
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
    /// Nothing is passed on: each task stands in the store's line by itself, in strict order.
    pub const OFF: Self = Self { grants: 0, time: Duration::ZERO };

    /// The most that can be passed on of one grant: the fencing tokens of a grant have room for
    /// no more.
    pub const MAX_GRANTS: u16 = (1 << FencingToken::LOCAL_BITS) - 1;

    /// At most so many times, [`MAX_GRANTS`](Self::MAX_GRANTS) at the most, and until so long after
    /// the store's grant. Either of them zero is [`OFF`](Self::OFF).
    #[must_use]
    pub const fn new(grants: u16, time: Duration) -> Self {
        if grants == 0 || time.is_zero() {
            return Self::OFF;
        }
        Self { grants: if grants > Self::MAX_GRANTS { Self::MAX_GRANTS } else { grants }, time }
    }

    /// How often one grant of the store may be passed on.
    #[must_use]
    pub const fn grants(self) -> u16 {
        self.grants
    }

    /// How long after the store's grant it may be passed on.
    #[must_use]
    pub const fn time(self) -> Duration {
        self.time
    }

    /// Whether nothing is passed on.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.grants == 0
    }
}

/// 64 times, and until 5 ms after the store's grant.
impl Default for Handover {
    fn default() -> Self {
        Self::new(64, Duration::from_millis(5))
    }
}
