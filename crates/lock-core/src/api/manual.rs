//! The manual pair: locks that a service keeps between two calls.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::guard::LockGuard;
use crate::api::lock::Lock;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::LockName;
use crate::types::status::ReleaseOutcome;

/// The guards behind `try_acquire_lock`, by name.
#[derive(Default)]
pub(crate) struct ManualLocks {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    guards: HashMap<LockName, LockGuard>,
    /// Guards whose lease is over are thrown out when there are this many.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 64;

impl ManualLocks {
    pub(crate) async fn acquire(&self, lock: &Lock) -> Result<bool> {
        let acquired =
            lock.try_acquire().await.map_err(|e| e.with_operation("try_acquire_lock"))?;
        let Some(guard) = acquired else { return Ok(false) };
        let (before, expired) = {
            let mut held = self.lock();
            (held.insert(guard), held.sweep())
        };
        // Dropped outside the mutex, since each drop talks to the store.
        drop((before, expired));
        Ok(true)
    }

    pub(crate) async fn release(&self, lock: &Lock) -> Result<bool> {
        let guard = self.lock().guards.remove(lock.name());
        let Some(guard) = guard else {
            // What could not be taken is a mistake, and not merely not held.
            return lock
                .check_name()
                .map(|()| false)
                .map_err(|error| error.with_operation("release_lock").with_name(lock.name()));
        };
        match guard.release_with_cause().await {
            (ReleaseOutcome::Released, _) => Ok(true),
            (ReleaseOutcome::AlreadyExpired | ReleaseOutcome::HeldByOther, _) => Ok(false),
            (ReleaseOutcome::Unknown, cause) => {
                Err(not_confirmed(cause).with_operation("release_lock").with_name(lock.name()))
            }
        }
    }

    /// Gives all guards out, for the shutdown to end.
    pub(crate) fn take_all(&self) -> Vec<LockGuard> {
        self.lock().guards.drain().map(|(_, guard)| guard).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A release of which nothing is known, and why.
fn not_confirmed(cause: Option<LockError>) -> LockError {
    const MESSAGE: &str =
        "the store did not confirm the release; it is repeated until the lease is over";
    match cause {
        // What does not pass by itself is for the caller to act on.
        Some(cause) if !cause.is_retryable() => {
            LockError::new(cause.kind(), format!("{MESSAGE}: {cause}"))
        }
        Some(cause) => LockError::new(LockErrorKind::Unknown, format!("{MESSAGE}: {cause}")),
        None => LockError::new(LockErrorKind::Unknown, MESSAGE),
    }
}

impl Held {
    /// Keeps a guard; returns the one that it replaces.
    fn insert(&mut self, guard: LockGuard) -> Option<LockGuard> {
        let is_taken = self.guards.get(guard.name()).is_some_and(LockGuard::is_held);
        if is_taken && !guard.is_held() {
            // Its task stood still since the grant, and another one holds the lock by now.
            return Some(guard);
        }
        self.guards.insert(guard.name().clone(), guard)
    }

    fn sweep(&mut self) -> Vec<LockGuard> {
        if self.guards.len() < self.sweep_at.max(SWEEP_MIN) {
            return Vec::new();
        }
        let expired = self.guards.extract_if(|_, guard| !guard.is_held());
        let expired: Vec<_> = expired.map(|(_, guard)| guard).collect();
        self.sweep_at = self.guards.len() * 2;
        expired
    }
}
