//! What a backend can do, asked by the core and by the conformance suite.

use std::time::Duration;

use crate::time::backoff::Backoff;

/// What a backend can do, and the limits of its leases.
///
/// New fields default to "no", so a backend starts from [`Capabilities::none`] and adds what it
/// supports:
///
/// ```
/// # use lock_core as distlock;
/// use distlock::backend::Capabilities;
///
/// const MINE: Capabilities = Capabilities::none().with_renew(true).with_fencing(true);
/// assert!(MINE.renew && !MINE.queueing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Leases can be renewed: `keep_alive` and `extend` work.
    pub renew: bool,
    /// Grants carry fencing tokens, which increase.
    pub fencing: bool,
    /// The store keeps a queue of waiters, and grants in order of arrival.
    pub queueing: bool,
    /// `status` is supported.
    pub inspect: bool,
    /// `list` is supported.
    pub list: bool,
    /// A release can leave the name taken for the rest of `min_hold`.
    pub min_hold: bool,
    /// A request can be repeated with the same token: it finds its own grant.
    pub repeatable: bool,
    /// Leases run on the very clock that this process reads, so no drift has to be allowed for.
    pub local_clock: bool,
    /// Leases are rounded up to a multiple of this.
    pub ttl_granularity: Duration,
    /// The shortest lease.
    pub ttl_min: Duration,
    /// The longest lease.
    pub ttl_max: Duration,
    /// How long after it was sent a request for a lock can still take effect.
    pub late_after: Duration,
    /// The pauses, each shortened at random by up to a half, after which a lock that another holds
    /// is asked for again; a waiter that stands in the store's queue asks when its place says.
    pub poll: Backoff,
    /// Why it can do less than other backends of its kind, and what to change, for messages; empty
    /// if there is nothing to say.
    pub limited_by: &'static str,
}

impl Capabilities {
    /// Nothing but acquiring and releasing.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            renew: false,
            fencing: false,
            queueing: false,
            inspect: false,
            list: false,
            min_hold: false,
            repeatable: false,
            local_clock: false,
            ttl_granularity: Duration::from_millis(1),
            ttl_min: Duration::from_millis(1),
            ttl_max: Duration::from_secs(24 * 24 * 60 * 60),
            late_after: Duration::ZERO,
            poll: Backoff::new(Duration::from_millis(10), Duration::from_millis(250)),
            limited_by: "",
        }
    }
}

impl Capabilities {
    /// How long after it was sent a request has been answered, or never will be, with a margin for
    /// a busy machine: twice [`late_after`](Self::late_after), since what bounds a request's
    /// lateness also covers the way of its answer, and a second.
    #[must_use]
    pub const fn settled_after(&self) -> Duration {
        Duration::from_secs(1).saturating_add(self.late_after.saturating_mul(2))
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $with:ident $field:ident: $type:ty,)*) => {
        impl Capabilities {
            $($(#[$doc])*
            #[must_use]
            pub const fn $with(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            })*
        }
    };
}

setters! {
    /// Sets [`renew`](Self::renew).
    with_renew renew: bool,
    /// Sets [`fencing`](Self::fencing).
    with_fencing fencing: bool,
    /// Sets [`queueing`](Self::queueing).
    with_queueing queueing: bool,
    /// Sets [`inspect`](Self::inspect).
    with_inspect inspect: bool,
    /// Sets [`list`](Self::list).
    with_list list: bool,
    /// Sets [`min_hold`](Self::min_hold).
    with_min_hold min_hold: bool,
    /// Sets [`repeatable`](Self::repeatable).
    with_repeatable repeatable: bool,
    /// Sets [`local_clock`](Self::local_clock).
    with_local_clock local_clock: bool,
    /// Sets [`ttl_granularity`](Self::ttl_granularity).
    with_ttl_granularity ttl_granularity: Duration,
    /// Sets [`ttl_min`](Self::ttl_min).
    with_ttl_min ttl_min: Duration,
    /// Sets [`ttl_max`](Self::ttl_max).
    with_ttl_max ttl_max: Duration,
    /// Sets [`late_after`](Self::late_after).
    with_late_after late_after: Duration,
    /// Sets [`poll`](Self::poll).
    with_poll poll: Backoff,
    /// Sets [`limited_by`](Self::limited_by).
    with_limited_by limited_by: &'static str,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::none()
    }
}
