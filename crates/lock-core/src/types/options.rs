//! How a lock is acquired and held.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::message_text::quoted;

/// The [`ttl`](LockOptions::ttl) of a lock, unless it is set: 60 s.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// How long [`Lock::acquire`](crate::Lock::acquire) waits, unless [`wait`](LockOptions::wait) is
/// set: 60 s, the length of a default lease.
pub const DEFAULT_ACQUIRE_WAIT: Duration = DEFAULT_TTL;

/// The shortest [`ttl`](LockOptions::ttl) that [`keep_alive`](LockOptions::keep_alive) accepts: 300
/// ms.
///
/// A lease is renewed when a third of it is over, which leaves 200 ms to repeat a renewal that
/// failed.
pub const MIN_KEEP_ALIVE_TTL: Duration = Duration::from_millis(300);

/// What [`Lock::execute`](crate::Lock::execute) does with its body when the lease is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnLost {
    /// Drop the body's future and return [`Lost`](crate::LockErrorKind::Lost), so that two bodies
    /// do not run at the same time. This is the default.
    #[default]
    Cancel,
    /// Let the body finish, and return its value.
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
                let message =
                    format!("on_lost is {}; it must be \"cancel\" or \"continue\"", quoted(text));
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

/// Options for locks: the same setters that a [`Lock`](crate::Lock) has, without a name.
///
/// Use them for several locks with [`Lock::options`](crate::Lock::options), or for all locks of a
/// service with [`LockServiceBuilder::defaults`](crate::LockServiceBuilder::defaults). A lock can
/// override each of them.
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
///
/// With the feature `serde`, options can be read from a file and written to one. The fields have
/// the names of the setters, and durations are a number and a unit:
/// `{"ttl": "30s", "wait": "forever", "keep_alive": "if_supported", "on_lost": "continue"}`.
/// A field that is left out has its default, and an unknown field is an error.
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
    /// The defaults: a lease of 60 s that is not renewed, and no other option.
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

/// The setters, for `LockOptions` and for `Lock`.
macro_rules! option_setters {
    ($type:ident, |$this:ident| $options:expr) => {
        impl $type {
            /// The time to live: how long the lease is, unless it is renewed. Default: 60 s.
            ///
            /// It limits how long a holder that crashed keeps the others out, and how long a body
            /// may take without [`keep_alive`](Self::keep_alive). Which values are accepted, and to
            /// which unit they are rounded up, depends on the backend.
            pub fn ttl(mut self, ttl: Duration) -> Self {
                let $this = &mut self;
                $options.ttl = ttl;
                self
            }

            /// How long to wait for the lock if somebody else holds it, or if the store does not
            /// answer.
            ///
            /// Default: `try_acquire` and `execute` do not wait, and `acquire` waits 60 s.
            /// A request to the store that is under way when the wait is over is still finished, so
            /// a call can take longer by the backend's response timeout.
            pub fn wait(mut self, wait: Duration) -> Self {
                let $this = &mut self;
                $options.wait = crate::types::options::Wait::For(wait);
                self
            }

            /// Waits for the lock without a limit.
            pub fn wait_forever(mut self) -> Self {
                let $this = &mut self;
                $options.wait = crate::types::options::Wait::Forever;
                self
            }

            /// Resets [`wait`](Self::wait) and [`wait_forever`](Self::wait_forever) to the default
            /// of each operation: `acquire` waits 60 s, the others do not wait.
            pub fn default_wait(mut self) -> Self {
                let $this = &mut self;
                $options.wait = crate::types::options::Wait::Unset;
                self
            }

            /// Renews the lease each time that a third of the ttl is over, for as long as the guard
            /// lives or the body runs.
            ///
            /// The renewals run on the library's own thread, so a body that blocks its executor
            /// keeps its lock. **A task that hangs then holds the lock forever**: set
            /// [`max_hold`](Self::max_hold) too.
            ///
            /// It needs a ttl of at least 300 ms, and a backend that can renew leases; otherwise
            /// every operation is refused with `InvalidConfig` or `Unsupported`.
            pub fn keep_alive(mut self) -> Self {
                let $this = &mut self;
                $options.renewal = crate::types::options::Renewal::KeepAlive;
                self
            }

            /// As [`keep_alive`](Self::keep_alive) if the backend can renew leases, and a
            /// [`fixed_lease`](Self::fixed_lease) if it cannot: for programs that run with several
            /// backends.
            pub fn keep_alive_if_supported(mut self) -> Self {
                let $this = &mut self;
                $options.renewal = crate::types::options::Renewal::IfSupported;
                self
            }

            /// Does not renew the lease: it ends when the ttl is over. This is the default, and
            /// resets [`keep_alive`](Self::keep_alive).
            pub fn fixed_lease(mut self) -> Self {
                let $this = &mut self;
                $options.renewal = crate::types::options::Renewal::Fixed;
                self
            }

            /// Limits how long the lock can be held with [`keep_alive`](Self::keep_alive) and
            /// [`extend`](crate::Lease::extend), counted from the grant. After that it is lost with
            /// the reason [`LossReason::MaxHold`](crate::LossReason::MaxHold).
            ///
            /// It takes a `Duration`, which must be at least the ttl, or `None` for no limit, which
            /// is the default. Every backend accepts it.
            pub fn max_hold(mut self, max_hold: impl Into<Option<Duration>>) -> Self {
                let $this = &mut self;
                $options.max_hold = max_hold.into();
                self
            }

            /// Keeps the name taken for at least this long after the grant, even if the lock is
            /// released earlier. Default: zero.
            ///
            /// Use it for work that should be done once per period: an instance whose clock is a
            /// little behind then finds the lock still taken. It must not be longer than the ttl.
            pub fn min_hold(mut self, min_hold: Duration) -> Self {
                let $this = &mut self;
                $options.min_hold = min_hold;
                self
            }

            /// What [`execute`](crate::Lock::execute) does with its body when the lease is lost.
            /// Default: [`OnLost::Cancel`](crate::OnLost::Cancel).
            pub fn on_lost(mut self, policy: crate::OnLost) -> Self {
                let $this = &mut self;
                $options.on_lost = policy;
                self
            }

            /// Refuses, with `Unsupported`, to work on a backend that issues no
            /// [fencing tokens](crate::FencingToken).
            pub fn require_fencing(mut self) -> Self {
                let $this = &mut self;
                $options.require_fencing = true;
                self
            }

            /// Also works on a backend that issues no fencing tokens. This is the default, and
            /// resets [`require_fencing`](Self::require_fencing).
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
