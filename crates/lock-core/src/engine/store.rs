//! The store that a service works on: its backend, and the clock that its leases are measured by.

use crate::backend::capabilities::Capabilities;
use crate::backend::{AnyBackend, Clock, LockBackend};
use crate::time::instant::Instant;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    backend: AnyBackend,
    kind: &'static str,
    clock: Clock,
}

impl Store {
    pub(crate) fn new(backend: AnyBackend, clock: Clock) -> Self {
        let kind = backend.kind();
        Self { backend, kind, clock }
    }

    pub(crate) const fn backend(&self) -> &AnyBackend {
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
