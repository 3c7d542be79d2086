//! What all operations need.

use std::time::Duration;

use lock_core::backend::{AcquireRequest, Clock, LockKey, on_system_clock};
use lock_core::message_text::quoted;
use lock_core::{Instant, LockErrorKind};

use crate::protocol::keys;
use crate::topology::standalone::Standalone;
use crate::wire::failure::Failure;

/// What all operations need.
pub(crate) struct Parts {
    pub(crate) topology: Standalone,
    pub(crate) key_prefix: Box<str>,
    pub(crate) response_timeout: Duration,
}

impl Parts {
    /// The Redis key of a lock.
    pub(crate) fn lock_key(&self, key: &LockKey) -> Result<String, Failure> {
        keys::lock_key(&self.key_prefix, key)
    }

    /// When an operation that begins now has to be answered.
    pub(crate) fn deadline(&self) -> Instant {
        Clock::SYSTEM.now() + self.response_timeout
    }

    /// When an attempt has to be answered, by the machine's clock.
    pub(crate) fn deadline_of(&self, request: &AcquireRequest) -> Instant {
        on_system_clock(request.clock, request.asked_at + self.response_timeout)
    }
}

/// Names the key in the text of a failure that may be due to it.
pub(crate) fn about(failure: Failure, key: &str) -> Failure {
    if failure.kind == LockErrorKind::Backend {
        return failure.while_doing(&format!("at the key {}", quoted(key)));
    }
    failure
}
