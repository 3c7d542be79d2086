//! Which services use a backend: the last one that is shut down closes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::backend::AnyBackend;

/// One service's use of a backend, until it is given up or dropped.
pub(crate) struct BackendUse {
    /// The backend's number, which is its own for as long as a service holds it.
    backend: usize,
    is_over: AtomicBool,
}

/// How many services use each backend of the process. A backend is the user's, and has no place to
/// count them.
static USERS: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

impl BackendUse {
    pub(crate) fn new(backend: &AnyBackend) -> Self {
        let backend = backend.identity();
        *USERS.lock().unwrap_or_else(PoisonError::into_inner).entry(backend).or_default() += 1;
        Self { backend, is_over: AtomicBool::new(false) }
    }

    /// Whether it was the last one; `false` also if it had been given up before.
    pub(crate) fn give_up(&self) -> bool {
        if self.is_over.swap(true, Ordering::SeqCst) {
            return false;
        }
        let mut users = USERS.lock().unwrap_or_else(PoisonError::into_inner);
        let left = users.get(&self.backend).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            users.remove(&self.backend);
        } else {
            users.insert(self.backend, left);
        }
        left == 0
    }
}

impl Drop for BackendUse {
    fn drop(&mut self) {
        self.give_up();
    }
}
