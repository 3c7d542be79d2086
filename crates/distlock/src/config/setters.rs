//! The setters of [`LockConfig`].

use std::time::Duration;

use lock_core::{Handover, LockOptions};

use super::scheme::{dapr, redis, sentinel, tls};
use super::settings::{LAZY, NAMESPACE, PROGRAM, PROGRAM_HOST, PROGRAM_VERSION, RESPONSE_TIMEOUT};
use super::word::Value;
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

    /// How many replicas of the server of the Redis store have to confirm a lock before it is granted,
    /// so that a failover does not lose it. Default: none.
    pub fn replicas(mut self, count: u8) -> Self {
        self.settings.put(&redis::REPLICAS, u16::from(count));
        self
    }

    /// How long the lease of a lock is that sets no ttl itself. Default: 60 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.put(&options::TTL, ttl);
        self
    }

    /// How long a lock waits that sets no wait itself.
    ///
    /// This, [`ttl`](Self::ttl) and the other options of locks count more than the environment that was
    /// read before, as a command line does. The [defaults](Self::defaults) of a program count less.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.settings.put(&options::WAIT, wait);
        self
    }

    /// As [`wait`](Self::wait), without an end.
    pub fn wait_forever(mut self) -> Self {
        self.settings.put(&options::WAIT, Value::Choice(options::FOREVER));
        self
    }

    /// For how long a lock can be held at most that sets nothing else itself; `None` is no limit, which
    /// is the default.
    pub fn max_hold(mut self, max_hold: impl Into<Option<Duration>>) -> Self {
        let max_hold = max_hold.into().map_or(Value::Choice(options::NONE), Value::Duration);
        self.settings.put(&options::MAX_HOLD, max_hold);
        self
    }

    /// For how long the name of a lock stays taken at least that sets nothing else itself. Default:
    /// zero.
    pub fn min_hold(mut self, min_hold: Duration) -> Self {
        self.settings.put(&options::MIN_HOLD, min_hold);
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

    /// How far leases are handed over between the tasks of the service.
    /// [`Handover::OFF`](crate::Handover::OFF) gives strict order over all processes.
    pub fn handover(mut self, handover: Handover) -> Self {
        self.settings.put_handover(handover);
        self
    }

    /// Adds the label `lock` to the metrics that are about locks, as
    /// [`LockServiceBuilder::metrics_label`](crate::LockServiceBuilder::metrics_label). Default: no such
    /// label.
    #[cfg(feature = "metrics")]
    pub fn metrics_label<F>(mut self, label_of: F) -> Self
    where
        F: for<'a> Fn(&'a crate::LockName) -> &'a str + Send + Sync + 'static,
    {
        self.metrics_label = Some(std::sync::Arc::new(label_of));
        self
    }

    /// What others read of this process when they ask who holds a lock: the name of the program, as
    /// [`LockServiceBuilder::program`](crate::LockServiceBuilder::program). Default: the file name of
    /// the executable.
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.settings.put(&PROGRAM, name.into());
        self
    }

    /// As [`program`](Self::program): the version of the program. Default: none.
    pub fn program_version(mut self, version: impl Into<String>) -> Self {
        self.settings.put(&PROGRAM_VERSION, version.into());
        self
    }

    /// As [`program`](Self::program): the machine on which it runs. Default: its host name.
    pub fn program_host(mut self, host: impl Into<String>) -> Self {
        self.settings.put(&PROGRAM_HOST, host.into());
        self
    }

    /// The file with the password of the Redis store; a user name stays in the URL
    /// (`redis://USER@HOST`). It is read for each new connection.
    pub fn password_file(mut self, path: impl Into<String>) -> Self {
        self.settings.put(&redis::PASSWORD_FILE, Value::SecretFile(path.into()));
        self
    }

    /// The file with the password of the Sentinels that name the master of the Redis store. It is
    /// read for each new connection.
    pub fn sentinel_password_file(mut self, path: impl Into<String>) -> Self {
        self.settings.put(&sentinel::PASSWORD_FILE, Value::SecretFile(path.into()));
        self
    }

    /// The file with the API token of the Dapr sidecar. It is read for each request.
    pub fn api_token_file(mut self, path: impl Into<String>) -> Self {
        self.settings.put(&dapr::API_TOKEN_FILE, Value::SecretFile(path.into()));
        self
    }

    /// The file with the certificates of the authorities that are trusted, in place of the system's,
    /// in PEM form. It is read for each new connection.
    pub fn tls_ca_file(mut self, path: impl Into<String>) -> Self {
        self.settings.put(&tls::CA_FILE, path.into());
        self
    }

    /// The files with the certificate that is shown to the server, and with its private key, both in
    /// PEM form. They are read for each new connection.
    pub fn tls_client_files(
        mut self,
        certificate: impl Into<String>,
        key: impl Into<String>,
    ) -> Self {
        self.settings.put(&tls::CERT_FILE, certificate.into());
        self.settings.put(&tls::KEY_FILE, key.into());
        self
    }

    /// The name that the server's certificate has to be for, where it is not for the host that is
    /// connected to.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.settings.put(&tls::SERVER_NAME, name.into());
        self
    }

    /// Whether [`connect`](Self::connect) returns without asking the store. Default: `false`.
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.settings.put(&LAZY, lazy);
        self
    }

    /// The options that every lock starts with. Options that are set in the URL, the environment or a
    /// file count more.
    pub fn defaults(mut self, options: LockOptions) -> Self {
        self.options = options;
        self
    }
}
