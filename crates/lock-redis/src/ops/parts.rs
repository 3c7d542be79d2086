//! What all operations need.

use std::time::Duration;

use lock_core::backend::{AcquireRequest, Clock, LockKey, on_system_clock};
use lock_core::message_text::quoted;
use lock_core::{Instant, LockErrorKind};

use crate::contended::Contended;
use crate::protocol::keys;
use crate::topology::Topology;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::permissions::{self, Needs};

/// What all operations need.
pub(crate) struct Parts {
    pub(crate) topology: Topology,
    pub(crate) key_prefix: Box<str>,
    pub(crate) response_timeout: Duration,
    /// The locks that others have been seen to want.
    pub(crate) contended: Contended,
    /// Whether replicas have to confirm what is granted.
    pub(crate) asks_replicas: bool,
    /// What the scripts need of a server.
    pub(crate) needs: Needs,
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

impl Parts {
    /// Names what was forbidden, if that is why a request failed that named these keys.
    pub(crate) async fn named<T>(
        &self,
        result: Result<T, Failure>,
        connection: &Connection,
        keys: &[impl AsRef<str>],
        deadline: Instant,
    ) -> Result<T, Failure> {
        let rule = |key: &str| self.rule_of(key);
        match result {
            Err(failure) if failure.forbidden.is_some() => {
                let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
                let asked =
                    permissions::named(failure, connection, self.needs, (&keys, rule), deadline);
                // In a place of its own: it is rare, and the futures of requests are to be small.
                Err(Box::pin(asked).await)
            }
            result => result,
        }
    }

    /// The access rule that gives a key, and others of its kind.
    fn rule_of(&self, key: &str) -> String {
        let prefixes = [keys::RESERVED_PREFIX, &*self.key_prefix];
        let is_own = |prefix: &&str| !prefix.is_empty() && key.starts_with(*prefix);
        match prefixes.into_iter().find(is_own) {
            Some(prefix) => format!("~{prefix}*"),
            None => format!("~{key}"),
        }
    }
}

/// Names the key in the text of a failure that may be due to it.
pub(crate) fn about(failure: Failure, key: &str) -> Failure {
    if failure.kind == LockErrorKind::Backend {
        return failure.while_doing(&format!("at the key {}", quoted(key)));
    }
    failure
}
