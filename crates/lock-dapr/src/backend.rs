//! [`DaprBackend`]: each operation of a backend as one call of the sidecar, or two.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{
    Attempt, AttemptRequest, Backoff, Capabilities, Clock, Grant, Lane, LockBackend, LockKey,
    OwnerToken, ReleaseReply, ReleaseRequest, async_trait,
};
use lock_core::{Instant, LockError, LockErrorKind, Result};

use crate::builder::DaprBackendBuilder;
use crate::departures::Departures;
use crate::error::Failure;
use crate::link::Link;
use crate::sidecar::{Sidecar, Unlocked};

/// The shortest lease: what a lease allows for drift and the way of an answer takes the rest.
const TTL_MIN: Duration = Duration::from_millis(10);
/// The API counts whole seconds in 32 bits.
const TTL_MAX: Duration = Duration::from_secs(i32::MAX as u64);
/// How long after we gave a request up the sidecar may still act on it: it hears of that by a
/// reset of the stream, and waits up to half a second between its own attempts.
const LATE_MARGIN: Duration = Duration::from_secs(2);
/// Asking costs the sidecar and its store a round trip each.
const POLL: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
/// What Dapr joins the parts of its keys with.
const SEPARATOR: &str = "||";
/// Never taken; only ever unlocked, by owners that own nothing.
const PING: &str = "distlock-ping";

/// Locks through a Dapr sidecar.
///
/// Connecting is lazy: the first operation makes the first of at most two channels.
/// See the [crate's documentation](crate).
pub struct DaprBackend {
    pub(crate) sidecar: Sidecar,
    /// Carries the callers' requests.
    pub(crate) caller: Link,
    /// Carries the keeper's, on its own thread, so that user code cannot hold them up.
    pub(crate) keeper: Link,
    pub(crate) timeout: Duration,
    /// A refusal that took longer is verified.
    pub(crate) doubt_after: Duration,
    pub(crate) departures: Departures,
}

impl DaprBackend {
    /// Starts to set up a backend on the sidecar's lock store of this name, which is the name of
    /// its component.
    ///
    /// ```
    /// use lock_dapr::DaprBackend;
    ///
    /// # fn main() -> lock_core::Result<()> {
    /// let backend = DaprBackend::builder("lockstore").endpoint("127.0.0.1:50001").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(store: impl Into<String>) -> DaprBackendBuilder {
        DaprBackendBuilder::new(store.into())
    }

    fn deadline(&self) -> Instant {
        Clock::SYSTEM.now() + self.timeout
    }

    async fn try_lock(&self, request: &AttemptRequest) -> Result<Attempt, Failure> {
        let deadline = on_system_clock(request.clock, request.asked_at + self.timeout);
        // A release that was sent before must not be overtaken.
        self.departures.passed(&request.key).await;
        let (key, owner) = (request.key.as_str(), hex(request.token));
        let was_troubled = self.caller.is_troubled();
        let sent = Clock::SYSTEM.now();
        let seconds = whole_seconds(request.ttl);
        if self.sidecar.try_lock(&self.caller, key, &owner, seconds, deadline).await? {
            return Ok(Attempt::granted(Grant::new()));
        }
        let took = Clock::SYSTEM.now().saturating_duration_since(sent);
        if took < self.doubt_after && !was_troubled {
            return Ok(Attempt::held());
        }
        tracing::debug!(?took, "verifying a refusal of the Dapr sidecar");
        match self.sidecar.unlock(&self.caller, key, &owner, deadline).await {
            Ok(Unlocked::NotHeld | Unlocked::HeldByOther) => Ok(Attempt::held()),
            Ok(Unlocked::Released) => Err(Failure::unavailable(
                "the sidecar took the lock for this attempt and then refused it, because it asked \
                 its store twice; the lock was given back",
            )),
            Err(failure) => {
                Err(failure
                    .after_others("the refusal of the lock was slow and could not be verified"))
            }
        }
    }
}

#[async_trait]
impl LockBackend for DaprBackend {
    fn kind(&self) -> &'static str {
        "dapr"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_ttl_granularity(Duration::from_secs(1))
            .with_ttl_min(TTL_MIN)
            .with_ttl_max(TTL_MAX)
            .with_late_after(self.timeout + LATE_MARGIN)
            .with_poll(POLL)
    }

    async fn attempt(self: Arc<Self>, request: AttemptRequest) -> Result<Attempt> {
        check_name(&request.key)?;
        Ok(self.try_lock(&request).await?)
    }

    async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply> {
        check_name(&request.key)?;
        let departure = self.departures.begin(&request.key);
        let link = match request.lane {
            Lane::Caller => &self.caller,
            _ => &self.keeper,
        };
        let (key, owner) = (request.key.as_str(), hex(request.token));
        let unlocked = self.sidecar.unlock(link, key, &owner, self.deadline()).await;
        drop(departure);
        Ok(match unlocked.map_err(|failure| LockError::from(failure).or_unknown())? {
            Unlocked::Released => ReleaseReply::Released,
            Unlocked::NotHeld => ReleaseReply::NotHeld,
            Unlocked::HeldByOther => ReleaseReply::HeldByOther,
        })
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        check_name(key)
    }

    async fn ping(self: Arc<Self>) -> Result<()> {
        // The API has no question without an effect, but to unlock as an owner of nothing has none;
        // and it goes all the way, to the store behind the sidecar.
        let owner = hex(OwnerToken::random()?);
        let deadline = self.deadline();
        self.sidecar.unlock(&self.caller, PING, &owner, deadline).await?;
        Ok(())
    }

    async fn close(self: Arc<Self>) {
        self.caller.close();
        self.keeper.close();
    }
}

impl fmt::Debug for DaprBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaprBackend")
            .field("store", &self.sidecar.store())
            .field("sidecar", &self.caller.address())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Refused here, with a cure: the sidecar would call it an internal error.
fn check_name(key: &LockKey) -> Result<()> {
    if key.as_str().contains(SEPARATOR) {
        return Err(LockError::new(
            LockErrorKind::InvalidName,
            "the name, with its namespace, holds `||`, with which Dapr separates the parts of its \
             keys; choose another separator",
        )
        .not_applied());
    }
    Ok(())
}

fn hex(token: OwnerToken) -> String {
    token.to_hex().iter().map(|&digit| char::from(digit)).collect()
}

/// The same instant by the machine's clock, which is the one that requests on the wire obey.
fn on_system_clock(clock: Clock, at: Instant) -> Instant {
    if clock == Clock::SYSTEM {
        return at;
    }
    let now = Clock::SYSTEM.now();
    now + at.saturating_duration_since(clock.now())
}

/// Seconds, rounded up: nothing is granted for less than was asked.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use lock_core::LockName;

    use super::*;

    #[test]
    fn leases_are_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(10)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2_001)), 3);
        assert_eq!(whole_seconds(TTL_MAX), i32::MAX);
    }

    #[test]
    fn a_name_with_dapr_s_separator_is_refused_with_a_cure() {
        for (namespace, name, is_allowed) in
            [("", "a||b", false), ("a|", "|b", false), ("a|", "b|c", true)]
        {
            let checked = check_name(&LockKey::new(namespace, &LockName::from(name)).unwrap());
            assert_eq!(checked.is_ok(), is_allowed, "{namespace}{name}");
            if let Err(error) = checked {
                assert_eq!(error.kind(), LockErrorKind::InvalidName);
                assert!(error.to_string().contains("choose another"), "{error}");
            }
        }
    }
}
