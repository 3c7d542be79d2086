//! What the core logs: the names, levels and texts of its events are part of the public contract,
//! and the guide lists them.
//!
//! Every event has the target `distlock` and the fields `event`, `backend` and, if it is about one
//! lock, `lock`.

use std::time::Duration;

use crate::backend::LockBackend;
use crate::backend::event::event;
use crate::engine::hold::Used;
use crate::engine::outage::News;
use crate::engine::pace::WINDOW;
use crate::engine::store::Store;
use crate::engine::store_health::{Paced, Waits};
use crate::types::duration_text::{exact, rounded};
use crate::types::error::LockError;
use crate::types::fencing::FencingToken;
use crate::types::holder::{Who, held_by};
use crate::types::message_text::{quoted, shortened};
use crate::types::name::{LockKey, LockName, MAX_KEY_BYTES};
use crate::types::status::{LockStatus, ReleaseOutcome};
use crate::types::time_text::utc;

/// A program has connected to this store.
pub(crate) fn store_chosen(store: &Store, namespace: &str) {
    let (backend, address) = (store.kind(), store.backend().address());
    event!(INFO, "store_chosen", backend, address, namespace, "locks are stored in {}", at(store));
}

/// The store gives no usable answers any more.
fn store_lost(store: &Store, cause: &LockError) {
    let (backend, address) = (store.kind(), store.backend().address());
    event!(
        WARN,
        "store_lost",
        backend,
        address,
        %cause,
        "the lock store {} is unavailable: {cause}; waiting tasks keep trying until their wait \
         is over, and held locks end with their leases",
        at(store)
    );
}

/// Leases that wait for their renewal to be confirmed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Renewals {
    pub(crate) leases: usize,
    /// When the first of them ends.
    pub(crate) first_end: Duration,
}

/// The store still gives no usable answers.
fn store_still_lost(
    store: &Store,
    cause: &LockError,
    (lasts, failures): (Duration, u64),
    waits: Waits,
    renewals: Renewals,
) {
    let Waits { tasks, longest } = waits;
    let Renewals { leases, first_end } = renewals;
    let (backend, address) = (store.kind(), store.backend().address());
    let waiting = match tasks {
        0 => "nobody waits for a lock".to_owned(),
        1 => format!("1 task waits for a lock, for {}", rounded(longest)),
        _ => format!("{tasks} tasks wait for a lock, the first for {}", rounded(longest)),
    };
    let held = match leases {
        0 => "no held lock needs to be renewed".to_owned(),
        1 => format!("1 held lock needs to be renewed, and ends in {}", rounded(first_end)),
        _ => format!(
            "{leases} held locks need to be renewed, and the first ends in {}",
            rounded(first_end)
        ),
    };
    event!(
        WARN,
        "store_still_lost",
        backend,
        address,
        ?lasts,
        failures,
        waits = tasks,
        longest_wait = ?longest,
        renewals = leases,
        %cause,
        "the lock store {} has been unavailable for {}: {cause}; {waiting}; {held}",
        at(store),
        rounded(lasts)
    );
}

/// The store answers again.
fn store_back(store: &Store, lasted: Duration, failures: u64) {
    let (backend, address) = (store.kind(), store.backend().address());
    event!(
        INFO,
        "store_back",
        backend,
        address,
        ?lasted,
        failures,
        "the lock store {} is available again, after {}",
        at(store),
        rounded(lasted)
    );
}

/// Warnings that were left out, so that the log is not flooded.
pub(crate) fn left_out(store: &Store, what: Paced, count: u64) {
    let (backend, of) = (store.kind(), what.event());
    event!(
        WARN,
        "left_out",
        backend,
        of,
        count,
        "{count} more events `{of}` within {}; each of them is logged at the level DEBUG",
        rounded(WINDOW)
    );
}

/// The lock was granted.
pub(crate) fn acquired(lock: &str, backend: &str, waited: Duration, fencing: Option<FencingToken>) {
    let fencing_token = fencing.map(FencingToken::get);
    event!(DEBUG, "acquired", backend, lock, ?waited, fencing_token, "the lock was acquired");
}

/// Somebody else held the lock for the whole wait.
pub(crate) fn contended(lock: &str, backend: &str, waited: Duration) {
    event!(DEBUG, "contended", backend, lock, ?waited, "somebody else held the lock");
}

/// A task waits for long for a lock, of which the store says this. `told`: whether it is no detail,
/// and whether the wait has no end, so that a long one is meant.
pub(crate) fn long_wait(
    store: &Store,
    lock: &LockName,
    waited: Duration,
    status: Option<&LockStatus>,
    told: (bool, bool),
) {
    let holder = status.and_then(|status| status.holder.as_ref());
    let process = holder.and_then(|holder| match &holder.who {
        Who::Process(process) => Some(process),
        _ => None,
    });
    let remaining = status.and_then(|status| status.remaining);
    let ends =
        remaining.map(|left| format!("; its lease ends in {} unless it is renewed", rounded(left)));
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "long_wait",
                store.kind(),
                lock = lock.as_str(),
                ?waited,
                remaining = remaining.map(tracing::field::debug),
                waiters = status.and_then(|status| status.waiters),
                holder = holder.map(ToString::to_string),
                holder_program = process.map(|process| process.program.as_str()),
                holder_host = process.map(|process| process.host.as_str()),
                holder_pid = process.map(|process| process.pid),
                holder_since = holder.and_then(|holder| holder.since).map(utc),
                "a task has waited {} for the lock {}{}{}",
                rounded(waited),
                quoted(lock.as_str()),
                holder.map(held_by).unwrap_or_default(),
                ends.as_deref().unwrap_or_default()
            )
        };
    }
    match told {
        (false, _) => say!(DEBUG),
        (true, true) => say!(INFO),
        (true, false) => say!(WARN),
    }
}

/// As [`long_wait`], for a lock that a guard of the same service has held for so long.
pub(crate) fn long_hold(
    store: &Store,
    lock: &LockName,
    waited: Duration,
    held: Duration,
    told: (bool, bool),
) {
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "long_wait",
                store.kind(),
                lock = lock.as_str(),
                ?waited,
                ?held,
                "a task has waited {} for the lock {}, which this service holds itself: its guard was \
                 acquired {} ago",
                rounded(waited),
                quoted(lock.as_str()),
                rounded(held)
            )
        };
    }
    match told {
        (false, _) => say!(DEBUG),
        (true, true) => say!(INFO),
        (true, false) => say!(WARN),
    }
}

/// The lock could not be asked for.
pub(crate) fn failed(lock: &str, backend: &str, error: &LockError) {
    let lock = shortened(lock, MAX_KEY_BYTES);
    event!(DEBUG, "failed", backend, lock = &*lock, %error, "the lock could not be acquired: {error}");
}

/// The lease ended before its guard did.
pub(crate) fn lost(store: &Store, lock: &LockName, held: Duration, reason: &str) {
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "lost",
                store.kind(),
                lock = lock.as_str(),
                ?held,
                reason,
                "the lock {} was lost {} after it was acquired: {reason}",
                quoted(lock.as_str()),
                rounded(held)
            )
        };
    }
    if store.health().allows(Paced::Lost, store.now()) { say!(WARN) } else { say!(DEBUG) }
}

/// A lease was released that was hardly long enough.
pub(crate) fn lease_tight(store: &Store, lock: &LockName, used: Used) {
    let Used { ttl, keeps_alive, part, .. } = used;
    let (how, cure) = if keeps_alive {
        (
            "went without a confirmed renewal for",
            "find out why the store answers late, or raise the ttl",
        )
    } else {
        ("was released after", "raise the ttl, or use keep_alive")
    };
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "lease_tight",
                store.kind(),
                lock = lock.as_str(),
                ?ttl,
                part,
                "the lock {} {how} {:.0} % of its ttl of {}, and would have been lost a little later: {cure}",
                quoted(lock.as_str()),
                part * 100.0,
                exact(ttl)
            )
        };
    }
    if store.health().allows(Paced::LeaseTight, store.now()) { say!(WARN) } else { say!(DEBUG) }
}

/// The guard was turned into a token.
pub(crate) fn passed_on(store: &Store, lock: &LockName) {
    let (lock, backend) = (lock.as_str(), store.kind());
    event!(DEBUG, "passed_on", backend, lock, "the lock was turned into a token");
}

/// The lock of a token was adopted.
pub(crate) fn adopted(store: &Store, lock: &LockName, fencing: Option<FencingToken>) {
    let (lock, backend) = (lock.as_str(), store.kind());
    let fencing_token = fencing.map(FencingToken::get);
    event!(DEBUG, "adopted", backend, lock, fencing_token, "the lock of a token was adopted");
}

/// The guard released; `cause` is why the store did not confirm it.
pub(crate) fn released(
    store: &Store,
    lock: &LockName,
    outcome: ReleaseOutcome,
    cause: Option<&LockError>,
) {
    let (lock, backend) = (lock.as_str(), store.kind());
    if outcome.is_released() {
        event!(DEBUG, "released", backend, lock, ?outcome, "the lock was released");
        return;
    }
    let cause = cause.map(ToString::to_string);
    let why = match outcome {
        ReleaseOutcome::Unknown => {
            "the store has not confirmed it; the background repeats it until the lease is over"
        }
        ReleaseOutcome::HeldByOther => {
            "the lease had ended before, and somebody else holds the lock; raise the ttl, or use \
             keep_alive"
        }
        _ => "the lease had ended before; raise the ttl, or use keep_alive",
    };
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "released",
                backend,
                lock,
                ?outcome,
                cause,
                "the lock {} was released too late or without an answer: {why}{}",
                quoted(lock),
                cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default()
            )
        };
    }
    if store.health().allows(Paced::Released, store.now()) { say!(WARN) } else { say!(DEBUG) }
}

/// A release got no answer, or was refused; it is tried again.
pub(crate) fn release_failed(store: &Store, key: &LockKey, error: &LockError) {
    let (lock, backend) = (key.as_str(), store.kind());
    if error.is_retryable() {
        event!(
            DEBUG,
            "release_failed",
            backend,
            lock,
            %error,
            "a release got no answer, and is repeated: {error}"
        );
        return;
    }
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "release_refused",
                backend,
                lock,
                %error,
                "the store refused to release the lock {}, which stays taken until its lease ends \
                 unless a later try succeeds: {error}",
                quoted(lock)
            )
        };
    }
    if store.health().allows(Paced::ReleaseRefused, store.now()) { say!(WARN) } else { say!(DEBUG) }
}

/// Renewals got no answer, or were refused; they are tried again. `lock`: of one lease; otherwise
/// of a batch of them.
pub(crate) fn renewal_failed(
    store: &Store,
    lock: Option<&LockName>,
    leases: usize,
    error: &LockError,
) {
    let (lock, backend) = (lock.map(LockName::as_str), store.kind());
    if error.is_retryable() {
        event!(
            DEBUG,
            "renewal_failed",
            backend,
            lock,
            leases,
            %error,
            "a renewal got no answer, and is repeated: {error}"
        );
        return;
    }
    let which = match (lock, leases) {
        (Some(lock), _) => format!("the lock {}", quoted(lock)),
        (None, 1) => "1 lock".to_owned(),
        (None, _) => format!("{leases} locks"),
    };
    macro_rules! say {
        ($level:ident) => {
            event!(
                $level,
                "renewal_refused",
                backend,
                lock,
                leases,
                %error,
                "the store refused to renew {which}, and a lock that is not renewed is lost when its \
                 lease ends: {error}"
            )
        };
    }
    if store.health().allows(Paced::RenewalRefused, store.now()) { say!(WARN) } else { say!(DEBUG) }
}

/// What `store_lost` and its like come from.
pub(crate) fn outage(
    store: &Store,
    news: News,
    cause: Option<&LockError>,
    waits: Waits,
    renewals: Renewals,
) {
    match (news, cause) {
        (News::Lost, Some(cause)) => store_lost(store, cause),
        (News::StillLost { lasts, failures }, Some(cause)) => {
            store_still_lost(store, cause, (lasts, failures), waits, renewals);
        }
        (News::Back { lasted, failures }, _) => store_back(store, lasted, failures),
        (_, None) => {}
    }
}

/// The store, for people: its kind and its address.
fn at(store: &Store) -> String {
    let (kind, address) = (store.kind(), store.backend().address());
    if address.is_empty() { kind.to_owned() } else { format!("{kind} ({address})") }
}
