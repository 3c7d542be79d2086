//! The setters of [`LockConfig`].

use std::time::Duration;

use lock_core::LockOptions;

use super::scheme::{dapr, redis};
use super::settings::{LAZY, NAMESPACE, RESPONSE_TIMEOUT};
use super::{LockConfig, options};

impl LockConfig {
    /// A prefix of all names, such as `shop:`. It is used as it is; no separator is added.
    pub fn namespace(mut self, prefix: impl Into<String>) -> Self {
        self.settings.put(&NAMESPACE, prefix.into());
        self
    }

    /// The prefix of the keys of the Redis store; the namespace and the name follow it. Default:
    /// `lock:`.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.put(&redis::KEY_PREFIX, prefix.into());
        self
    }

    /// How long the lease of a lock is that sets no ttl itself. Default: 60 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.put(&options::TTL, ttl);
        self
    }

    /// How long an answer of the store may take, including the time to connect. Default: 2 s for
    /// Redis, 5 s for Dapr.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.settings.put(&RESPONSE_TIMEOUT, timeout);
        self
    }

    /// The address of the Dapr sidecar: `HOST:PORT`, `http://HOST:PORT`, `https://HOST:PORT` or
    /// `unix:PATH`. Default: from the environment variables that Dapr sets.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.settings.put(&dapr::ENDPOINT, endpoint.into());
        self
    }

    /// Whether [`connect`](Self::connect) returns without asking the store. Default: `false`.
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.settings.put(&LAZY, lazy);
        self
    }

    /// How the Redis store takes locks. Default: [`Mode::Auto`](crate::redis::Mode::Auto).
    #[cfg(feature = "redis")]
    pub fn mode(mut self, mode: crate::redis::Mode) -> Self {
        self.settings.put(&redis::MODE, redis::mode(mode));
        self
    }

    /// The options that every lock starts with. Options that are set in the URL, the environment or a
    /// file count more.
    pub fn defaults(mut self, options: LockOptions) -> Self {
        self.options = options;
        self
    }
}
