//! What a lock run is checked for.

use std::collections::BTreeSet;
use std::time::Duration;

/// What a run claims beyond the claims that hold for every lock.
///
/// Always checked: valid leases of one name never overlap; fencing tokens, where there are any,
/// never repeat and rise in the order of grants; every attempt was answered; nobody released a
/// lease that was over.
///
/// ```
/// use std::time::Duration;
///
/// use lock_testkit::history::Claims;
///
/// let claims = Claims::new().require_tokens().longest_wait(Duration::from_secs(5)).killed("p2");
/// # drop(claims);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Claims {
    pub(super) tokens_required: bool,
    pub(super) longest_wait: Option<Duration>,
    pub(super) late_use: Duration,
    pub(super) killed: BTreeSet<String>,
}

impl Claims {
    /// The claims that hold for every lock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Claims that every lease has a fencing token.
    #[must_use]
    pub fn require_tokens(mut self) -> Self {
        self.tokens_required = true;
        self
    }

    /// Claims that nobody waits longer for an answer of any kind.
    #[must_use]
    pub fn longest_wait(mut self, bound: Duration) -> Self {
        self.longest_wait = Some(bound);
        self
    }

    /// Lets a worker use its lease for so long after its deadline; without it, not at all.
    ///
    /// A worker can be suspended between its last look at the deadline and its release, so a run
    /// on a busy machine whose sections come close to their deadline needs some.
    #[must_use]
    pub fn tolerate_late_use(mut self, tolerance: Duration) -> Self {
        self.late_use = tolerance;
        self
    }

    /// Names a process that was killed: its attempts may stay unanswered.
    #[must_use]
    pub fn killed(mut self, process: impl Into<String>) -> Self {
        self.killed.insert(process.into());
        self
    }
}
