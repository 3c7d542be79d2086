//! The store that a service works on: its backend, the clock that its leases are measured by, and
//! what is known of its health.

use std::sync::Arc;

use crate::backend::capabilities::Capabilities;
use crate::backend::{AnyBackend, Clock, LockBackend, RenewReply};
use crate::engine::advice::Advice;
use crate::engine::metrics::{Count, Metrics};
use crate::engine::store_health::StoreHealth;
use crate::time::instant::Instant;
use crate::types::error::{LockError, Result};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    backend: AnyBackend,
    kind: &'static str,
    clock: Clock,
    health: Arc<StoreHealth>,
    metrics: Metrics,
    advice: Arc<Advice>,
}

impl Store {
    pub(crate) fn new(backend: AnyBackend, clock: Clock, metrics: Metrics) -> Self {
        let (kind, health) = (backend.kind(), Arc::new(StoreHealth::new(metrics.clone())));
        Self { backend, kind, clock, health, metrics, advice: Arc::default() }
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

    pub(crate) const fn health(&self) -> &Arc<StoreHealth> {
        &self.health
    }

    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn advice(&self) -> &Advice {
        &self.advice
    }

    /// Takes note of what came of an exchange, whoever asked.
    pub(crate) fn heard<T>(&self, result: &Result<T>) {
        match result {
            Ok(_) => {
                if self.health.is_troubled() {
                    self.health.answered(self.now());
                }
            }
            Err(error) => self.heard_error(error),
        }
    }

    /// As [`heard`](Self::heard), for renewals: one that failed by itself is no answer.
    pub(crate) fn heard_renewals(&self, result: &Result<Vec<RenewReply>>) {
        let failed = |reply: &RenewReply| match reply {
            RenewReply::Failed(error) => Some(error.clone()),
            _ => None,
        };
        match result.as_ref().map(|replies| replies.iter().find_map(failed)) {
            Ok(Some(error)) => self.heard_error(&error),
            Ok(None) => self.heard(result),
            Err(error) => self.heard_error(error),
        }
    }

    fn heard_error(&self, error: &LockError) {
        // A refusal is told to whoever asked, and says nothing of the others. What was given up
        // before it was sent says nothing of the store.
        if error.is_retryable() && !error.is_given_up() {
            self.metrics.count(Count::StoreFailed, None);
            self.health.failed(self.now(), error);
        }
    }
}
