//! What a lock asks for: a name and options, checked together against what the store can do.

use std::time::Duration;

use crate::backend::LockBackend;
use crate::backend::capabilities::Capabilities;
use crate::engine::store::Store;
use crate::machine::lease::Terms;
use crate::time::instant::Instant;
use crate::types::duration_text::exact;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::{LockKey, LockName};
use crate::types::options::{LockOptions, MIN_KEEP_ALIVE_TTL, Renewal, Wait};

/// A name and options; nothing is asked for yet.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// An error if the name is not allowed.
    target: Result<Target>,
    pub(crate) options: LockOptions,
}

/// Which lock is meant.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) name: LockName,
    pub(crate) key: LockKey,
}

impl Plan {
    pub(crate) fn new(namespace: &str, name: Result<LockName>, options: LockOptions) -> Self {
        let target = name.and_then(|name| {
            let key = LockKey::new(namespace, &name).map_err(|error| error.with_name(&name))?;
            Ok(Target { name, key })
        });
        Self { target, options }
    }

    /// The same lock with other options.
    pub(crate) fn with_options(&self, options: LockOptions) -> Self {
        Self { target: self.target.clone(), options }
    }

    /// Where the lock is kept; `None` if its name is not allowed.
    pub(crate) fn key(&self) -> Option<&LockKey> {
        self.target.as_ref().ok().map(|target| &target.key)
    }

    /// The name, if it is allowed.
    pub(crate) fn lock_name(&self) -> Option<&LockName> {
        self.target.as_ref().ok().map(|target| &target.name)
    }

    /// The name as it was given.
    pub(crate) fn name(&self) -> &str {
        match &self.target {
            Ok(target) => target.name.as_str(),
            Err(error) => error.name().unwrap_or_default(),
        }
    }

    /// Checks name, options and capabilities, and says which lock is meant.
    pub(crate) fn check(&self, store: &Store) -> Result<Target> {
        let target = self.check_name(store)?;
        check_options(&self.options, store)?;
        Ok(target)
    }

    /// Checks the name alone.
    pub(crate) fn check_name(&self, store: &Store) -> Result<Target> {
        let target = self.target.clone()?;
        store.backend().check_key(&target.key)?;
        Ok(target)
    }

    /// The instant at which to give up; `unset` is the operation's own wait.
    pub(crate) fn deadline(&self, now: Instant, unset: Duration) -> Instant {
        match self.options.wait {
            Wait::Unset => now + unset,
            Wait::For(wait) => now + wait,
            Wait::Forever => Instant::FAR_FUTURE,
        }
    }

    /// What is asked of the lease.
    pub(crate) fn terms(&self, store: &Store) -> Terms {
        terms(&self.options, store)
    }
}

/// What these options ask of a lease.
pub(crate) fn terms(options: &LockOptions, store: &Store) -> Terms {
    let LockOptions { ttl, max_hold, min_hold, .. } = *options;
    let keep_alive = keeps_alive(options, &store.capabilities());
    Terms { ttl, keep_alive, max_hold, min_hold }
}

/// Whether the lease is renewed.
fn keeps_alive(options: &LockOptions, capabilities: &Capabilities) -> bool {
    match options.renewal {
        Renewal::Fixed => false,
        Renewal::KeepAlive => true,
        Renewal::IfSupported => capabilities.renew,
    }
}

/// Checks the options against each other and against what the store can do.
pub(crate) fn check_options(options: &LockOptions, store: &Store) -> Result<()> {
    check(options, store.kind(), &store.capabilities())
}

fn check(options: &LockOptions, kind: &str, capabilities: &Capabilities) -> Result<()> {
    check_times(options, kind, capabilities)?;
    if options.renewal == Renewal::KeepAlive && !capabilities.renew {
        return Err(lacking(
            kind,
            capabilities,
            "keep_alive is set, but the store cannot renew leases",
            "use keep_alive_if_supported and a ttl that is long enough for the work",
        ));
    }
    if options.require_fencing && !capabilities.fencing {
        return Err(lacking(
            kind,
            capabilities,
            "require_fencing is set, but the store issues no fencing tokens",
            "leave require_fencing out (`allow_unfenced`) if the work needs none",
        ));
    }
    Ok(())
}

/// The store cannot do what an option asks for: names the backend, its reason, and the way out.
fn lacking(kind: &str, capabilities: &Capabilities, what: &str, cure: &str) -> LockError {
    let message = match capabilities.limited_by {
        "" => format!("{what} ({kind}); {cure}"),
        why => format!("{what} ({kind}: {why}); or {cure}"),
    };
    LockError::new(LockErrorKind::Unsupported, message).not_applied()
}

fn check_times(options: &LockOptions, kind: &str, capabilities: &Capabilities) -> Result<()> {
    let LockOptions { ttl, min_hold, max_hold, .. } = *options;
    let Capabilities { ttl_min, ttl_max, .. } = *capabilities;
    if ttl < ttl_min || ttl > ttl_max {
        return Err(invalid(format!(
            "ttl is {}; the {kind} backend accepts {} to {}",
            exact(ttl),
            exact(ttl_min),
            exact(ttl_max)
        )));
    }
    if keeps_alive(options, capabilities) && ttl < MIN_KEEP_ALIVE_TTL {
        return Err(invalid(format!(
            "ttl is {}, too short to be renewed in time; with keep_alive it must be at least {}",
            exact(ttl),
            exact(MIN_KEEP_ALIVE_TTL)
        )));
    }
    if min_hold > ttl {
        return Err(invalid(format!(
            "min_hold is {}, above the ttl of {}; lower min_hold or raise the ttl",
            exact(min_hold),
            exact(ttl)
        )));
    }
    match max_hold {
        Some(max) if min_hold > max => Err(invalid(format!(
            "min_hold is {}, above the max_hold of {}; lower min_hold or raise max_hold",
            exact(min_hold),
            exact(max)
        ))),
        Some(max) if max < ttl => Err(invalid(format!(
            "max_hold is {}, below the ttl of {}; lower the ttl or raise max_hold",
            exact(max),
            exact(ttl)
        ))),
        _ => Ok(()),
    }
}

fn invalid(message: String) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn full() -> Capabilities {
        Capabilities::none().with_renew(true).with_fencing(true)
    }

    #[test]
    fn contradicting_times_are_refused_by_name_and_value() {
        let options = LockOptions::new;
        let cases = [
            (options().ttl(Duration::ZERO), "ttl is 0s"),
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
            let error = check(&options, "test", &full()).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains(cause), "{error}");
        }
        check(&options().ttl(MS(300)).keep_alive(), "test", &full()).unwrap();
    }

    #[test]
    fn what_the_backend_cannot_do_is_unsupported_and_named() {
        let cases = [
            (LockOptions::new().keep_alive(), "keep_alive"),
            (LockOptions::new().require_fencing(), "require_fencing"),
        ];
        for (options, option) in cases {
            check(&options, "test", &full()).unwrap();
            let error = check(&options, "test", &Capabilities::none()).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unsupported);
            assert!(error.to_string().contains(option), "{error}");
            let limited = Capabilities::none().with_limited_by("its mode is `plain`; set `auto`");
            let error = check(&options, "test", &limited).unwrap_err().to_string();
            assert!(error.contains("(test: its mode is `plain`; set `auto`); or "), "{error}");
        }
    }
}
