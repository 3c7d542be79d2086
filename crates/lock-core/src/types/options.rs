//! How a lock is to be taken and held.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::types::error::{LockError, LockErrorKind, Result};

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

impl fmt::Display for OnLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancel => "cancel",
            Self::Continue => "continue",
        })
    }
}

impl FromStr for OnLost {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cancel" => Ok(Self::Cancel),
            "continue" => Ok(Self::Continue),
            _ => {
                let message = format!("on_lost is {text:?}; it must be \"cancel\" or \"continue\"");
                Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied())
            }
        }
    }
}

/// Whether a lease is renewed for as long as its guard lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Renewal {
    #[default]
    Fixed,
    KeepAlive,
    IfSupported,
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
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::{LockOptions, LockService};
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
    pub(crate) renewal: Renewal,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) min_hold: Duration,
    pub(crate) on_lost: OnLost,
    pub(crate) require_fencing: bool,
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
            renewal: Renewal::Fixed,
            max_hold: None,
            min_hold: Duration::ZERO,
            on_lost: OnLost::Cancel,
            require_fencing: false,
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
                $options.renewal = crate::types::options::Renewal::KeepAlive;
                self
            }

            /// As [`keep_alive`](Self::keep_alive) where the backend can renew leases, and a
            /// [`fixed_lease`](Self::fixed_lease) where it cannot: for programs that run over
            /// several backends.
            pub fn keep_alive_if_supported(mut self) -> Self {
                let $this = &mut self;
                $options.renewal = crate::types::options::Renewal::IfSupported;
                self
            }

            /// Does not renew the lease: it ends after the ttl. This is the default.
            pub fn fixed_lease(mut self) -> Self {
                let $this = &mut self;
                $options.renewal = crate::types::options::Renewal::Fixed;
                self
            }

            /// Bounds how long the lock is held with `keep_alive` or `extend`; then it is lost
            /// with [`LossReason::MaxHold`](crate::LossReason::MaxHold). Must be at least the
            /// ttl. Default: `None`, no bound.
            pub fn max_hold(mut self, max_hold: impl Into<Option<Duration>>) -> Self {
                let $this = &mut self;
                $options.max_hold = max_hold.into();
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

            /// Also works on a backend that issues no fencing tokens. This is the default.
            pub fn allow_unfenced(mut self) -> Self {
                let $this = &mut self;
                $options.require_fencing = false;
                self
            }
        }
    };
}
pub(crate) use option_setters;

option_setters!(LockOptions, |this| this);
