//! How time passes while claims are proven.

use std::time::Duration;

use lock_core::backend::Clock;

/// How time passes while claims are proven, and how long their leases are.
///
/// ```
/// use std::time::Duration;
/// use lock_testkit::conformance::Pace;
///
/// // A store that counts whole seconds, and has to be reached over a slow network.
/// let slow = Pace::real().with_lease(Duration::from_secs(2)).with_limit(Duration::from_secs(60));
/// assert_eq!(slow.lease(), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    clock: Clock,
    lease: Duration,
    limit: Duration,
}

impl Pace {
    /// Tokio's paused time, for a store that reads the clock of its requests: waiting takes no
    /// time at all.
    #[must_use]
    pub const fn paused() -> Self {
        let (lease, limit) = (Duration::from_secs(10), Duration::from_secs(300));
        Self { clock: Clock::TOKIO, lease, limit }
    }

    /// The machine's time, with short leases, for everything else.
    #[must_use]
    pub const fn real() -> Self {
        let (lease, limit) = (Duration::from_secs(1), Duration::from_secs(30));
        Self { clock: Clock::SYSTEM, lease, limit }
    }

    /// Sets the lease of the claims that wait for its end.
    ///
    /// At least 300 ms. Leases that are kept alive are three times as long, so that a machine may
    /// stall for twice this time.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how long the proof of one claim may take.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The clock of all requests.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// The lease of the claims that wait for its end.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// How long the proof of one claim may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether time is tokio's, and paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.clock == Clock::TOKIO
    }

    /// How long to wait for what must happen: within the limit, and far below a long lease.
    pub(super) fn wait_limit(&self) -> Duration {
        self.limit * 3 / 4
    }
}
