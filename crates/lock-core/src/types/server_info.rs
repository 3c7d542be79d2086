//! What the servers of a store say of themselves.

use std::borrow::Cow;

/// What a server of a store says of itself, for people: its version, its role, how it is set up.
///
/// See [`LockService::servers`](crate::LockService::servers).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Where it is, such as `localhost:6379`; without secrets.
    pub address: String,
    /// Names, such as `version`, and what there is to say under each, in the order in which they are
    /// to be shown. Both are for people, and may change with any version of this library.
    pub facts: Vec<(Cow<'static, str>, String)>,
}

impl ServerInfo {
    /// A server of which nothing else is known yet. For backends.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), facts: Vec::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_fact(
        mut self,
        name: impl Into<Cow<'static, str>>,
        what: impl Into<String>,
    ) -> Self {
        self.facts.push((name.into(), what.into()));
        self
    }

    /// What there is to say under this name.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(known, _)| known == name).map(|(_, what)| what.as_str())
    }
}
