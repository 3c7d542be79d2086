//! A claim: one sentence of the contract, and the proof of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use lock_core::backend::Capabilities;

use super::need::Need;
use super::proof::Proof;
use super::scene::Scene;

/// A proof under way.
pub(super) type Proving<'a> = Pin<Box<dyn Future<Output = Proof> + Send + 'a>>;

/// One sentence of the contract that a backend, or the lock service over it, has to keep.
#[derive(Clone, Copy)]
pub struct Claim {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) needs: &'static [Need],
    pub(super) prove: for<'a> fn(&'a Scene<'a>) -> Proving<'a>,
    pub(super) counter: Option<Counter>,
}

/// What is claimed in place of a claim whose needs are not met.
#[derive(Clone, Copy)]
pub(super) struct Counter {
    pub(super) name: &'static str,
    pub(super) prove: for<'a> fn(&'a Scene<'a>) -> Proving<'a>,
}

impl Claim {
    /// The group: `exclusion`, `expiry`, `renewal` and so on.
    #[must_use]
    pub const fn group(&self) -> &'static str {
        self.group
    }

    /// The name within the group, which says the claim in short.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The sentence of the contract.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// What a backend must be able to do for this claim to apply.
    #[must_use]
    pub const fn needs(&self) -> &'static [Need] {
        self.needs
    }

    /// The name of what is claimed instead where a need is not met, such as that asking for it is
    /// refused.
    #[must_use]
    pub fn counter_claim(&self) -> Option<&'static str> {
        self.counter.map(|counter| counter.name)
    }

    /// The path by which [`find`](super::find) finds it, such as `exclusion::a_free_lock_is_granted`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}::{}", self.group, self.name)
    }

    pub(super) fn missing(&self, capabilities: &Capabilities) -> Vec<Need> {
        self.needs.iter().copied().filter(|need| !need.is_met(capabilities)).collect()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.text)
    }
}
