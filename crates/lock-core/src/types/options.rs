//! How a lock is to be taken and held.

use std::sync::Arc;
use std::time::Duration;

/// The lease if none is set.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// How long [`Lock::acquire`](crate::Lock::acquire) waits if nothing is set: one default lease.
pub const DEFAULT_ACQUIRE_WAIT: Duration = DEFAULT_TTL;

/// The shortest lease that `keep_alive` accepts: renewed at a third, it leaves two more chances
/// of 100 ms each.
pub const MIN_KEEP_ALIVE_TTL: Duration = Duration::from_millis(300);

/// What [`Lock::execute`](crate::Lock::execute) does with its body when the lease is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnLost {
    /// Drop the body's future and return [`Lost`](crate::LockErrorKind::Lost): two bodies that run at
    /// once are what the lock is there to prevent.
    #[default]
    Cancel,
    /// Let the body finish and return its value.
    Continue,
}

/// How long an operation is ready to wait for the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wait {
    /// What the operation does by itself.
    #[default]
    Unset,
    For(Duration),
    Forever,
}

/// The options of a lock, to be shared by many: the setters of [`Lock`](crate::Lock) without its
/// name.
///
/// ```
/// use std::time::Duration;
/// use lock_core::{LockOptions, LockService};
///
/// let patient = LockOptions::new().ttl(Duration::from_secs(10)).wait(Duration::from_secs(5));
/// let locks = LockService::memory();
/// locks.lock("a").options(patient.clone()).check().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "options do nothing until a lock takes them"]
pub struct LockOptions {
    pub(crate) ttl: Duration,
    pub(crate) wait: Wait,
    pub(crate) keep_alive: bool,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) min_hold: Duration,
    pub(crate) on_lost: OnLost,
    pub(crate) require_fencing: bool,
    pub(crate) metadata: Option<Arc<str>>,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl LockOptions {
    /// The defaults: a fixed lease of 60 s, and nothing else.
    pub const fn new() -> Self {
        Self {
            ttl: DEFAULT_TTL,
            wait: Wait::Unset,
            keep_alive: false,
            max_hold: None,
            min_hold: Duration::ZERO,
            on_lost: OnLost::Cancel,
            require_fencing: false,
            metadata: None,
        }
    }
}

/// The setters, once for `LockOptions` and once for `Lock`, which passes them on.
macro_rules! option_setters {
    ($type:ident, |$this:ident| $options:expr) => {
        impl $type {
            /// The lease: how long the lock is held at most, unless it is renewed. Default 60 s.
            ///
            /// It bounds how long a crashed holder keeps the others out, and how long a body may
            /// take without [`keep_alive`](Self::keep_alive).
            pub fn ttl(mut self, ttl: Duration) -> Self {
                let $this = &mut self;
                $options.ttl = ttl;
                self
            }

            /// How long to wait for the lock if somebody else holds it.
            ///
            /// Default: `try_acquire` and `execute` do not wait, `acquire` waits 60 s.
            /// An exchange with the store that has begun is finished also when the wait is over,
            /// so a call can last longer by the backend's response timeout.
            pub fn wait(mut self, wait: Duration) -> Self {
                let $this = &mut self;
                $options.wait = crate::types::options::Wait::For(wait);
                self
            }

            /// Waits without a limit.
            pub fn wait_forever(mut self) -> Self {
                let $this = &mut self;
                $options.wait = crate::types::options::Wait::Forever;
                self
            }

            /// Renews the lease at a third of the ttl, for as long as the guard lives.
            ///
            /// The renewals run on a thread of their own: a body that blocks its executor keeps
            /// its lock. **A task that is stuck for ever then holds the lock for ever**: set
            /// [`max_hold`](Self::max_hold) too. Needs a ttl of at least 300 ms.
            pub fn keep_alive(mut self) -> Self {
                let $this = &mut self;
                $options.keep_alive = true;
                self
            }

            /// Bounds how long the lock is held with `keep_alive` or `extend`; then it is lost
            /// with [`LossReason::MaxHold`](crate::LossReason::MaxHold). Must be at least the
            /// ttl. Default: no bound.
            pub fn max_hold(mut self, max_hold: Duration) -> Self {
                let $this = &mut self;
                $options.max_hold = Some(max_hold);
                self
            }

            /// Keeps the name taken for at least this long, also if the work ends earlier: then
            /// clocks that differ a little do not make two instances do the nightly report. Must
            /// not be above the ttl. Default: zero.
            pub fn min_hold(mut self, min_hold: Duration) -> Self {
                let $this = &mut self;
                $options.min_hold = min_hold;
                self
            }

            /// What `execute` does with its body when the lease is lost. Default: drop it.
            pub fn on_lost(mut self, policy: crate::OnLost) -> Self {
                let $this = &mut self;
                $options.on_lost = policy;
                self
            }

            /// Refuses to work on a backend that issues no fencing tokens.
            pub fn require_fencing(mut self) -> Self {
                let $this = &mut self;
                $options.require_fencing = true;
                self
            }

            /// Something for those who look at the lock's status, such as a host name.
            pub fn metadata(mut self, text: impl Into<std::sync::Arc<str>>) -> Self {
                let $this = &mut self;
                $options.metadata = Some(text.into());
                self
            }
        }
    };
}
pub(crate) use option_setters;

option_setters!(LockOptions, |this| this);
