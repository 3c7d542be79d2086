//! The store that a service works on: its backend, and the clock that its leases are measured by.

use std::sync::Arc;

use crate::backend::capabilities::Capabilities;
use crate::backend::{Clock, LockBackend};
use crate::time::instant::Instant;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    backend: Arc<dyn LockBackend>,
    kind: &'static str,
    clock: Clock,
}

impl Store {
    pub(crate) fn new(backend: Arc<dyn LockBackend>, clock: Clock) -> Self {
        let kind = backend.kind();
        Self { backend, kind, clock }
    }

    pub(crate) const fn backend(&self) -> &Arc<dyn LockBackend> {
        &self.backend
    }

    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }
}
