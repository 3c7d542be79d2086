//! The settings of a lock service.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::Mutex;
#[cfg(feature = "testing")]
use std::sync::Weak;

use crate::backend::{AnyBackend, Clock, LockBackend};
#[cfg(feature = "testing")]
use crate::engine::held::ServiceContext;
use crate::engine::metrics::LabelOf;
use crate::types::handover::Handover;
#[cfg(feature = "metrics")]
use crate::types::name::LockName;
use crate::types::options::LockOptions;
use crate::types::process::Description;

/// Builds a [`LockService`](crate::LockService); made by [`LockService::builder`](crate::LockService::builder).
#[must_use = "a builder does nothing until `build`"]
pub struct LockServiceBuilder {
    pub(crate) backend: AnyBackend,
    pub(crate) namespace: Arc<str>,
    pub(crate) defaults: LockOptions,
    pub(crate) clock: Clock,
    pub(crate) handover: Handover,
    pub(crate) process: Description,
    pub(crate) metrics_label: Option<LabelOf>,
    /// Where the service is to be noted, for tests that take a lock away from it.
    #[cfg(feature = "testing")]
    pub(crate) noted_in: Option<Arc<Mutex<Vec<Weak<ServiceContext>>>>>,
}

impl LockServiceBuilder {
    pub(crate) fn new(backend: AnyBackend) -> Self {
        Self {
            backend,
            namespace: "".into(),
            defaults: LockOptions::new(),
            clock: Clock::SYSTEM,
            handover: Handover::default(),
            process: Description::default(),
            metrics_label: None,
            #[cfg(feature = "testing")]
            noted_in: None,
        }
    }

    /// A prefix of all names, such as `shop:`. It is used as it is; no separator is added. Default:
    /// empty.
    ///
    /// Services with the same namespace on the same store exclude each other.
    pub fn namespace(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.namespace = prefix.into();
        self
    }

    /// The options that every lock of this service starts with. A lock can set each of them anew.
    ///
    /// [`LockService::check`](crate::LockService::check) checks them.
    pub fn defaults(mut self, options: LockOptions) -> Self {
        self.defaults = options;
        self
    }

    /// How often, and for how long, a lease is handed over between the tasks of this service before
    /// it goes back to the store. Default: 64 times and 5 ms. [`Handover::OFF`] gives strict order
    /// over all processes.
    ///
    /// Each task gets a guard, a deadline and a larger fencing token of its own. Nothing is handed
    /// over if the backend cannot renew leases.
    pub fn handover(mut self, handover: Handover) -> Self {
        self.handover = handover;
        self
    }

    /// The name of the program, for those who ask who holds a lock. Default: the file name of the
    /// executable.
    ///
    /// This method and the two that follow apply to the whole process, from [`build`](Self::build)
    /// on: there is one description, of which every service can set a part. Each text is cut to 64
    /// characters. Everyone who can read the store can read it, so it must not contain secrets.
    pub fn program(mut self, name: impl Into<String>) -> Self {
        self.process.program = Some(name.into());
        self
    }

    /// As [`program`](Self::program): the version of the program. Default: none.
    pub fn program_version(mut self, version: impl Into<String>) -> Self {
        self.process.version = Some(version.into());
        self
    }

    /// As [`program`](Self::program): the machine on which the program runs. Default: its host name.
    pub fn program_host(mut self, host: impl Into<String>) -> Self {
        self.process.host = Some(host.into());
        self
    }

    /// Adds the label `lock` to the metrics that are about locks, with what `label_of` makes of the
    /// lock's name. Default: no such label.
    ///
    /// In most metrics systems each value of a label is a separate time series, and it costs memory
    /// there and here until the process ends. So return one of a few values, such as the part of
    /// the name before a number. After 1,000 values, all others are counted as `(others)`.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// use distlock::{LockService, memory::MemoryBackend};
    ///
    /// let locks = LockService::builder(MemoryBackend::new())
    ///     // `order:42` and `order:43` are both counted as `order`.
    ///     .metrics_label(|name| name.as_str().split(':').next().unwrap_or_default())
    ///     .build();
    /// ```
    #[cfg(feature = "metrics")]
    pub fn metrics_label<F>(mut self, label_of: F) -> Self
    where
        F: for<'a> Fn(&'a LockName) -> &'a str + Send + Sync + 'static,
    {
        self.metrics_label = Some(Arc::new(label_of));
        self
    }

    /// For tests: leases follow [`tokio::time`], which can be paused. The background's work is done
    /// by tasks of the runtime in which the service is first used, not by a thread.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use std::time::Duration;
    /// # use distlock::{LockService, memory::MemoryBackend};
    /// # let runtime = tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().start_paused(true).build().unwrap();
    /// # runtime.block_on(async {
    /// let locks = LockService::builder(MemoryBackend::new()).tokio_time().build();
    /// let guard = locks.lock("x").ttl(Duration::from_secs(60)).acquire().await.unwrap();
    /// tokio::time::sleep(Duration::from_secs(61)).await; // takes no time while the clock is paused
    /// assert!(!guard.is_held());
    /// # });
    /// ```
    pub fn tokio_time(mut self) -> Self {
        self.clock = Clock::TOKIO;
        self
    }
}

impl fmt::Debug for LockServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockServiceBuilder")
            .field("backend", &self.backend.kind())
            .field("namespace", &self.namespace)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}
