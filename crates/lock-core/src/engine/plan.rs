//! What a lock asks for: a name and options, checked together against what the store can do.

use std::time::Duration;

use crate::backend::capabilities::Capabilities;
use crate::engine::store::Store;
use crate::machine::lease::Terms;
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::{LockKey, LockName};
use crate::types::options::{LockOptions, MIN_KEEP_ALIVE_TTL, Wait};

/// A name and options; nothing is asked for yet.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: LockName,
    /// An error if the name is not allowed.
    key: Result<LockKey>,
    pub(crate) options: LockOptions,
}

impl Plan {
    pub(crate) fn new(namespace: &str, name: LockName, options: LockOptions) -> Self {
        let key = LockKey::new(namespace, &name);
        Self { name, key, options }
    }

    /// Checks name, options and capabilities, and gives the key.
    pub(crate) fn check(&self, store: &Store) -> Result<LockKey> {
        let key = self.check_key(store)?;
        check_options(&self.options, store.kind(), &store.capabilities())?;
        Ok(key)
    }

    /// Checks the name alone, and gives the key.
    pub(crate) fn check_key(&self, store: &Store) -> Result<LockKey> {
        let key = self.key.clone()?;
        store.backend().check_key(&key)?;
        Ok(key)
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
    pub(crate) const fn terms(&self) -> Terms {
        let LockOptions { ttl, keep_alive, max_hold, min_hold, .. } = self.options;
        Terms { ttl, keep_alive, max_hold, min_hold }
    }
}

/// Checks the options against each other and against what the backend can do.
fn check_options(options: &LockOptions, kind: &str, capabilities: &Capabilities) -> Result<()> {
    check_times(options, kind, capabilities)?;
    let needs = [
        (options.keep_alive, capabilities.renew, "keep_alive", "renew leases"),
        (options.max_hold.is_some(), capabilities.renew, "max_hold", "renew leases"),
        (options.require_fencing, capabilities.fencing, "require_fencing", "issue fencing tokens"),
        (options.metadata.is_some(), capabilities.metadata, "metadata", "keep metadata"),
    ];
    for (asked, can, option, what) in needs {
        if asked && !can {
            let message = format!("{option} is set, but the {kind} backend cannot {what}");
            return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
        }
    }
    Ok(())
}

fn check_times(options: &LockOptions, kind: &str, capabilities: &Capabilities) -> Result<()> {
    let LockOptions { ttl, min_hold, max_hold, keep_alive, .. } = *options;
    let Capabilities { ttl_min, ttl_max, .. } = *capabilities;
    if ttl < ttl_min || ttl > ttl_max {
        return Err(invalid(format!(
            "ttl is {ttl:?}; the {kind} backend accepts {ttl_min:?} to {ttl_max:?}"
        )));
    }
    if keep_alive && ttl < MIN_KEEP_ALIVE_TTL {
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

fn invalid(message: String) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::options::DEFAULT_TTL;

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
            let error = check_options(&options, "test", &full()).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains(cause), "{error}");
        }
        check_options(&options().ttl(MS(300)).keep_alive(), "test", &full()).unwrap();
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
            check_options(&options, "test", &full()).unwrap();
            let error = check_options(&options, "test", &Capabilities::none()).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Unsupported);
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
