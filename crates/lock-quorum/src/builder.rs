//! How a [`QuorumBackend`] is set up.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use lock_core::backend::{AnyBackend, LockBackend};
use lock_core::{LockError, LockErrorKind, Result, event};

use crate::absent::Absent;
use crate::backend::QuorumBackend;
use crate::jobs::Together;
use crate::member::Member;
use crate::members::MAX_MEMBERS;

/// With fewer, the failure of one stops everything.
const MIN_MEMBERS: usize = 3;

/// Builds a [`QuorumBackend`]; see [`QuorumBackend::builder`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct QuorumBackendBuilder {
    members: Vec<(String, AnyBackend)>,
}

impl QuorumBackendBuilder {
    /// Adds a member, named after its [address](LockBackend::address).
    pub fn member(self, backend: impl LockBackend) -> Self {
        let name = backend.address();
        self.named_member(name, backend)
    }

    /// Adds a member under a name of its own: for stores whose addresses do not tell them apart,
    /// such as existing connections.
    ///
    /// The name is shown in errors and logs. Two members of one name are refused, since one store
    /// with two votes makes a majority of its own; no two names may lead to the same store.
    pub fn named_member(mut self, name: impl Into<String>, backend: impl LockBackend) -> Self {
        self.members.push((name.into(), AnyBackend::new(backend)));
        self
    }

    /// Builds the backend. It connects at the first operation.
    ///
    /// An even number of members is allowed and logged as a warning: the last one costs requests,
    /// and no more members can fail than without it.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](LockErrorKind::InvalidConfig) if there are fewer than 3 members or more
    /// than 15, or if two have the same name.
    pub fn build(self) -> Result<QuorumBackend> {
        let count = self.members.len();
        if count < MIN_MEMBERS {
            return Err(invalid(format!(
                "the quorum has {count} members, so that none of them may fail; give it at least \
                 {MIN_MEMBERS}"
            )));
        }
        if count > MAX_MEMBERS {
            return Err(invalid(format!(
                "the quorum has {count} members; at most {MAX_MEMBERS} are allowed, since each lock \
                 asks all of them"
            )));
        }
        let mut names = BTreeSet::new();
        if let Some((twice, _)) = self.members.iter().find(|(name, _)| !names.insert(name)) {
            return Err(invalid(format!(
                "two members of the quorum are at {twice}: one store would have two votes; name \
                 each store once, and stores without an address with `named_member`"
            )));
        }
        if count.is_multiple_of(2) {
            event!(
                WARN,
                "quorum_is_even",
                "quorum",
                members = count,
                "the quorum has {count} members, of which {} may fail, as with {}: use an odd number",
                (count - 1) / 2,
                count - 1
            );
        }
        let together = Together::default();
        let member = |(name, backend)| Arc::new(Member::new(name, backend, together.clone()));
        let members = self.members.into_iter().map(member).collect();
        Ok(QuorumBackend { members, absent: Absent::default() })
    }
}

impl fmt::Debug for QuorumBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(|(name, _)| name).collect();
        f.debug_struct("QuorumBackendBuilder").field("members", &members).finish()
    }
}

fn invalid(message: String) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use lock_core::memory::MemoryBackend;

    use super::*;

    fn of(names: &[&str]) -> Result<QuorumBackend> {
        let builder = QuorumBackend::builder();
        let add = |builder: QuorumBackendBuilder, name: &&str| {
            builder.named_member(*name, MemoryBackend::new())
        };
        names.iter().fold(builder, add).build()
    }

    #[test]
    fn what_could_not_survive_a_failure_or_counts_a_store_twice_is_refused() {
        for (names, cause) in [
            (&["a", "b"][..], "has 2 members, so that none of them may fail; give it at least 3"),
            (&[], "has 0 members"),
            (
                &["a", "b", "a"],
                "two members of the quorum are at a: one store would have two votes",
            ),
            (&["x"; 16], "at most 15 are allowed"),
        ] {
            let error = of(names).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains(cause), "{error}");
        }
        of(&["a", "b", "c"]).unwrap();
        of(&["a", "b", "c", "d"]).unwrap();
    }

    #[test]
    fn stores_that_share_an_address_need_names() {
        let two_in_memory = QuorumBackend::builder()
            .member(MemoryBackend::new())
            .member(MemoryBackend::new())
            .member(MemoryBackend::new());
        let error = two_in_memory.build().unwrap_err().to_string();
        assert!(error.contains("`named_member`"), "{error}");
    }
}
