//! What happens to the requests of a test store.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::backend::{Clock, LockKey};
use crate::types::error::{LockError, LockErrorKind, Result};

/// A request is answered within this time, or fails.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Fail,
    Refuse,
    Freeze,
    Delay(Duration),
}

/// The troubles of one store.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    of_all: Option<Trouble>,
    of_locks: HashMap<LockKey, Trouble>,
}

impl Troubles {
    pub(super) fn set(&self, key: LockKey, trouble: Trouble) {
        self.change(|state| {
            state.of_locks.insert(key, trouble);
        });
    }

    pub(super) fn end(&self, key: &LockKey) {
        self.change(|state| {
            state.of_locks.remove(key);
        });
    }

    pub(super) fn set_all(&self, trouble: Option<Trouble>) {
        self.change(|state| state.of_all = trouble);
    }

    /// Lets a request pass, or says why not: then it has not reached the store. `key`: if it is about
    /// one lock.
    pub(super) async fn pass(&self, key: Option<&LockKey>) -> Result<()> {
        let until = Clock::TOKIO.now() + RESPONSE_TIMEOUT;
        let mut is_delayed = false;
        loop {
            // Before the look, so that no change is missed.
            let changed = self.changed.notified();
            match self.of(key) {
                None => return Ok(()),
                Some(Trouble::Delay(_)) if is_delayed => return Ok(()),
                Some(Trouble::Fail) => return Err(unavailable("the test store was told to fail")),
                Some(Trouble::Refuse) => return Err(refused()),
                Some(Trouble::Freeze) => {
                    tokio::select! {
                        () = changed => {}
                        () = Clock::TOKIO.sleep_until(until) => return Err(no_answer()),
                    }
                }
                Some(Trouble::Delay(time)) => {
                    let at = Clock::TOKIO.now() + time;
                    Clock::TOKIO.sleep_until(at.min(until)).await;
                    if at > until {
                        return Err(no_answer());
                    }
                    is_delayed = true;
                }
            }
        }
    }

    /// As [`pass`](Self::pass), for one of several in a request: it does not hold up the others.
    pub(super) async fn pass_among_others(&self, key: &LockKey) -> Result<()> {
        match self.of(Some(key)) {
            Some(Trouble::Freeze) => Err(no_answer()),
            _ => self.pass(Some(key)).await,
        }
    }

    fn of(&self, key: Option<&LockKey>) -> Option<Trouble> {
        let state = self.lock();
        state.of_all.or_else(|| state.of_locks.get(key?).copied())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_answer() -> LockError {
    unavailable("the test store did not answer within 2s")
}

fn unavailable(message: &'static str) -> LockError {
    LockError::new(LockErrorKind::Unavailable, message).not_applied()
}

fn refused() -> LockError {
    let message = "the test store was told to refuse this lock";
    LockError::new(LockErrorKind::Denied, message).not_applied()
}
