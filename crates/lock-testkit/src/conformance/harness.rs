//! What the suite has to know of a backend.

use async_trait::async_trait;
use lock_core::Result;
use lock_core::backend::{AnyBackend, LockBackend};

use super::need::Need;
use super::pace::Pace;

/// What the suite has to know of a backend. Implement it for the backend that is to be proven.
///
/// ```
/// use std::sync::Arc;
///
/// use lock_core::backend::AnyBackend;
/// use lock_core::memory::MemoryBackend;
/// use lock_testkit::conformance::{Harness, Pace, async_trait};
///
/// struct MyStore {
///     store: Arc<MemoryBackend>, // for a real one: its URL
/// }
///
/// #[async_trait]
/// impl Harness for MyStore {
///     async fn backend(&self) -> lock_core::Result<AnyBackend> {
///         Ok(AnyBackend::new(self.store.clone())) // for a real one: a new connection
///     }
///     fn pace(&self) -> Pace {
///         Pace::paused() // for a real one: Pace::real()
///     }
/// }
/// ```
#[async_trait]
pub trait Harness: Send + Sync {
    /// A new handle onto the one store, such as another process would have.
    async fn backend(&self) -> Result<AnyBackend>;

    /// How time passes.
    fn pace(&self) -> Pace {
        Pace::real()
    }

    /// What all names begin with; the suite adds something unique for each run of a claim.
    fn prefix(&self) -> String {
        "conformance:".to_owned()
    }

    /// What this backend is known to lack.
    ///
    /// A claim that needs something which the backend lacks, and which is not named here, fails:
    /// so no claim is left out by accident.
    fn lacks(&self) -> Vec<Need> {
        Vec::new()
    }
}

/// A harness of one backend that everybody shares, for stores inside the process.
///
/// ```
/// use lock_core::memory::MemoryBackend;
/// use lock_testkit::conformance::{Need, OneBackend};
///
/// let harness = OneBackend::paused(MemoryBackend::new()).lacking([Need::Lateness]);
/// # drop(harness);
/// ```
pub struct OneBackend {
    backend: AnyBackend,
    pace: Pace,
    lacks: Vec<Need>,
}

impl OneBackend {
    /// Proves the backend at this pace.
    pub fn new(backend: impl LockBackend, pace: Pace) -> Self {
        Self { backend: AnyBackend::new(backend), pace, lacks: Vec::new() }
    }

    /// Proves the backend in tokio's paused time.
    pub fn paused(backend: impl LockBackend) -> Self {
        Self::new(backend, Pace::paused())
    }

    /// Proves the backend in the machine's time.
    pub fn real(backend: impl LockBackend) -> Self {
        Self::new(backend, Pace::real())
    }

    /// Names what the backend is known to lack.
    #[must_use]
    pub fn lacking(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.lacks.extend(needs);
        self
    }
}

#[async_trait]
impl Harness for OneBackend {
    async fn backend(&self) -> Result<AnyBackend> {
        Ok(self.backend.clone())
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    fn lacks(&self) -> Vec<Need> {
        self.lacks.clone()
    }
}
