//! [`DaprBackend`]: each operation of a backend as one call of the sidecar, or two.

use std::fmt;
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Backoff, Capabilities, Clock, Grant, Lane, LockBackend, LockKey,
    OwnerToken, ReleaseReply, ReleaseRequest, on_system_clock,
};
use lock_core::duration_text::rounded;
use lock_core::event;
use lock_core::message_text::quoted;
use lock_core::{Instant, LockError, LockErrorKind, Result};

use crate::error::Failure;
use crate::link::Link;
use crate::pending_releases::PendingReleases;
use crate::sidecar::{Sidecar, Unlocked};

/// The shortest lease: a shorter one would be used up by what the core subtracts for clock drift and
/// the time that an answer takes.
const TTL_MIN: Duration = Duration::from_millis(10);
/// The API counts whole seconds in 32 bits.
const TTL_MAX: Duration = Duration::from_secs(i32::MAX as u64);
/// How long the sidecar may still act on a request that was given up: it learns of that when the
/// stream is reset, and pauses for up to half a second between its own attempts.
const LATE_MARGIN: Duration = Duration::from_secs(2);
/// How long a waiter pauses before it asks again; each time costs a round trip to the sidecar and
/// one from there to its store.
const POLL: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
/// Dapr joins the parts of its keys with it.
const SEPARATOR: &str = "||";
/// The lock that a ping unlocks. Nobody ever takes it.
const PING: &str = "distlock-ping";

/// Locks through a Dapr sidecar.
///
/// Nothing is connected until the first operation, and a backend makes two channels at most.
/// What a lock can rely on, and what Dapr cannot do, is in the documentation of the crate
/// `lock-dapr`.
pub struct DaprBackend {
    pub(crate) sidecar: Sidecar,
    /// For the requests of callers.
    pub(crate) caller: Link,
    /// For the requests of the background, which those of callers do not hold up.
    pub(crate) background: Link,
    pub(crate) timeout: Duration,
    /// A refusal that took at least this long is verified.
    pub(crate) verify_after: Duration,
    pub(crate) pending_releases: PendingReleases,
}

impl DaprBackend {
    fn deadline(&self) -> Instant {
        Clock::SYSTEM.now() + self.timeout
    }

    async fn try_lock(&self, request: &AcquireRequest) -> Result<AcquireReply, Failure> {
        let deadline = on_system_clock(request.clock, request.asked_at + self.timeout);
        // The attempt must not overtake a release that was sent before.
        self.pending_releases.wait(&request.key).await;
        let (key, owner) = (request.key.as_str(), hex(request.token));
        let was_troubled = self.caller.is_troubled();
        let sent = Clock::SYSTEM.now();
        let seconds = whole_seconds(request.ttl);
        if self.sidecar.try_lock(&self.caller, key, &owner, seconds, deadline).await? {
            return Ok(AcquireReply::granted(Grant::new()));
        }
        let took = Clock::SYSTEM.now().saturating_duration_since(sent);
        if took < self.verify_after && !was_troubled {
            return Ok(AcquireReply::held());
        }
        event!(
            DEBUG,
            "refusal_verified",
            "dapr",
            lock = key,
            ?took,
            "the sidecar took {} to refuse the lock, so the refusal is verified by an unlock",
            rounded(took)
        );
        match self.sidecar.unlock(&self.caller, key, &owner, deadline).await {
            Ok(Unlocked::NotHeld | Unlocked::HeldByOther) => Ok(AcquireReply::held()),
            Ok(Unlocked::Released) => Err(Failure::unavailable(
                "the sidecar took the lock for this attempt and then refused it, because it \
                 asked its store twice; the lock was released",
            )),
            Err(failure) => {
                Err(failure
                    .after_others("the refusal of the lock was slow and could not be verified"))
            }
        }
    }
}

impl LockBackend for DaprBackend {
    fn kind(&self) -> &'static str {
        "dapr"
    }

    fn address(&self) -> String {
        format!("{} of the sidecar at {}", quoted(self.sidecar.store()), self.caller.address())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with_ttl_granularity(Duration::from_secs(1))
            .with_ttl_min(TTL_MIN)
            .with_ttl_max(TTL_MAX)
            .with_late_after(self.timeout + LATE_MARGIN)
            .with_poll(POLL)
            .with_limited_by("Dapr's API can only lock and unlock; use its Redis directly")
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        check_name(&request.key)?;
        self.try_lock(&request).await.map_err(Failure::into_error)
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        check_name(&request.key)?;
        let pending = self.pending_releases.begin(&request.key);
        let link = match request.lane {
            Lane::Caller => &self.caller,
            _ => &self.background,
        };
        let (key, owner) = (request.key.as_str(), hex(request.token));
        let unlocked = self.sidecar.unlock(link, key, &owner, self.deadline()).await;
        drop(pending);
        Ok(match unlocked.map_err(|failure| failure.into_error().or_unknown())? {
            Unlocked::Released => ReleaseReply::Released,
            Unlocked::NotHeld => ReleaseReply::NotHeld,
            Unlocked::HeldByOther => ReleaseReply::HeldByOther,
        })
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        check_name(key)
    }

    async fn ping(&self) -> Result<()> {
        // The API has no call that only asks. An unlock by an owner that holds nothing changes
        // nothing, and goes all the way to the store behind the sidecar.
        let owner = hex(OwnerToken::random()?);
        let deadline = self.deadline();
        let unlocked = self.sidecar.unlock(&self.caller, PING, &owner, deadline).await;
        unlocked.map(drop).map_err(Failure::into_error)
    }

    async fn close(&self) {
        self.caller.close();
        self.background.close();
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

/// Refuses what the sidecar would report as an internal error, and says what to change.
fn check_name(key: &LockKey) -> Result<()> {
    if key.as_str().contains(SEPARATOR) {
        return Err(LockError::new(
            LockErrorKind::InvalidName,
            "the name, with its namespace, contains `||`, which Dapr uses to separate the parts of \
             its keys; choose another separator",
        )
        .not_applied());
    }
    Ok(())
}

fn hex(token: OwnerToken) -> String {
    token.to_hex().iter().map(|&digit| char::from(digit)).collect()
}

/// Seconds, rounded up, so that no lease is shorter than what was asked for.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(i32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_rounded_up_to_whole_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(10)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::from_millis(2_001)), 3);
        assert_eq!(whole_seconds(TTL_MAX), i32::MAX);
    }

    #[test]
    fn the_times_are_those_that_are_documented_unless_others_are_set() {
        let builder = || DaprBackend::builder("lockstore");
        let backend = builder().build().unwrap();
        let all = backend.capabilities();
        // The response timeout of 5 s, and 2 s.
        assert_eq!(all.late_after, Duration::from_secs(7));
        let pauses = (Duration::from_millis(50), Duration::from_millis(500));
        assert_eq!((all.poll.first(), all.poll.longest()), pauses);
        assert_eq!(all.ttl_min, Duration::from_millis(10));
        assert_eq!(all.ttl_max, Duration::from_secs((1 << 31) - 1));
        assert_eq!(backend.verify_after, Duration::from_millis(250));
        let longer = builder().timeout(Duration::from_secs(60)).build().unwrap();
        assert_eq!(longer.capabilities().late_after, Duration::from_secs(62));
    }

    #[test]
    fn what_dapr_cannot_do_is_refused_with_a_way_out() {
        let backend = DaprBackend::builder("lockstore").endpoint("[::1]:50001").build().unwrap();
        assert_eq!(backend.address(), "\"lockstore\" of the sidecar at [::1]:50001");
        let options = lock_core::LockOptions::new().keep_alive();
        let locks = lock_core::LockService::builder(backend).defaults(options).build();
        let text = locks.check().unwrap_err().to_string();
        assert!(text.contains("dapr") && text.contains("use keep_alive_if_supported"), "{text}");
    }

    #[test]
    fn a_name_with_dapr_s_separator_is_refused_with_a_cure() {
        for (namespace, name, is_allowed) in
            [("", "a||b", false), ("a|", "|b", false), ("a|", "b|c", true)]
        {
            let checked = check_name(&LockKey::new(namespace, name).unwrap());
            assert_eq!(checked.is_ok(), is_allowed, "{namespace}{name}");
            if let Err(error) = checked {
                assert_eq!(error.kind(), LockErrorKind::InvalidName);
                assert!(error.to_string().contains("choose another"), "{error}");
            }
        }
    }
}
