//! How a lock is to be taken and held, with the checks across fields in one place.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::capabilities::Capabilities;
use crate::time::clock::Instant;
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
    /// Drop the body's future and return [`Lost`](LockErrorKind::Lost): two bodies that run at
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

impl Wait {
    /// The instant to give up at; `unset` is the operation's own wait.
    pub(crate) fn deadline(self, now: Instant, unset: Duration) -> Instant {
        match self {
            Self::Unset => now + unset,
            Self::For(wait) => now + wait,
            Self::Forever => Instant::FAR_FUTURE,
        }
    }
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

    /// Checks the options against each other and against what the backend can do.
    pub(crate) fn check(&self, kind: &str, capabilities: &Capabilities) -> Result<()> {
        self.check_times(kind, capabilities)?;
        let needs = [
            (self.keep_alive, capabilities.renew, "keep_alive", "renew leases"),
            (self.max_hold.is_some(), capabilities.renew, "max_hold", "renew leases"),
            (self.require_fencing, capabilities.fencing, "require_fencing", "issue fencing tokens"),
            (self.metadata.is_some(), capabilities.metadata, "metadata", "keep metadata"),
        ];
        for (asked, can, option, what) in needs {
            if asked && !can {
                let message = format!("{option} is set, but the {kind} backend cannot {what}");
                return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
            }
        }
        Ok(())
    }

    fn check_times(&self, kind: &str, capabilities: &Capabilities) -> Result<()> {
        let Self { ttl, min_hold, max_hold, .. } = *self;
        let Capabilities { ttl_min, ttl_max, .. } = *capabilities;
        if ttl < ttl_min || ttl > ttl_max {
            return Err(invalid(format!(
                "ttl is {ttl:?}; the {kind} backend accepts {ttl_min:?} to {ttl_max:?}"
            )));
        }
        if self.keep_alive && ttl < MIN_KEEP_ALIVE_TTL {
            return Err(invalid(format!(
                "ttl is {ttl:?}, too short to be renewed in time; with keep_alive it must be at \
                 least {MIN_KEEP_ALIVE_TTL:?}"
            )));
        }
        if min_hold > ttl {
            return Err(invalid(format!("min_hold is {min_hold:?}, above the ttl of {ttl:?}")));
        }
        match max_hold {
            Some(max) if min_hold > max => {
                Err(invalid(format!("min_hold is {min_hold:?}, above the max_hold of {max:?}")))
            }
            Some(max) if max < ttl => Err(invalid(format!(
                "max_hold is {max:?}, below the ttl of {ttl:?}; lower the ttl or raise max_hold"
            ))),
            _ => Ok(()),
        }
    }
}

fn invalid(message: String) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn full() -> Capabilities {
        Capabilities::none().with_renew(true).with_fencing(true).with_metadata(true)
    }

    #[test]
    fn contradicting_times_are_refused_by_name_and_value() {
        let options = LockOptions::new;
        let cases = [
            (options().ttl(Duration::ZERO), "ttl is 0ns"),
            (options().ttl(Duration::MAX), "accepts 1ms to"),
            (options().ttl(MS(299)).keep_alive(), "ttl is 299ms, too short"),
            (options().ttl(MS(10)).min_hold(MS(11)), "min_hold is 11ms, above the ttl of 10ms"),
            (options().ttl(MS(10)).max_hold(MS(9)), "max_hold is 9ms, below the ttl"),
            (
                options().ttl(MS(10)).min_hold(MS(8)).max_hold(MS(7)),
                "min_hold is 8ms, above the max_hold of 7ms",
            ),
        ];
        for (options, cause) in cases {
            let error = options.check("test", &full()).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains(cause), "{error}");
        }
        options().ttl(MS(300)).keep_alive().check("test", &full()).unwrap();
    }

    #[test]
    fn what_the_backend_cannot_do_is_unsupported_and_named() {
        let cases = [
            (LockOptions::new().keep_alive(), "keep_alive"),
            (LockOptions::new().max_hold(DEFAULT_TTL), "max_hold"),
            (LockOptions::new().require_fencing(), "require_fencing"),
            (LockOptions::new().metadata("host"), "metadata"),
        ];
        for (options, option) in cases {
            options.check("test", &full()).unwrap();
            let error = options.check("test", &Capabilities::none()).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unsupported);
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
