//! Who holds a lock, and who waits for it, as far as the store knows.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::types::process::ProcessInfo;
use crate::types::time_text::utc;

/// Who holds a lock or waits for it. The `Display` text is for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Who {
    /// A process that registered itself.
    Process(ProcessInfo),
    /// A process that uses this library and is not registered: it ended more than a minute ago, it has
    /// just begun, or it may not write to the store.
    Unregistered,
    /// A program that does not use this library, and stored this value: shortened, with control
    /// characters escaped.
    Other(String),
}

/// Who holds a lock. Part of a [`LockStatus`](crate::LockStatus).
///
/// The `Display` text is for logs:
/// `report-worker (pid 4711 on host a), which asked for it at 2026-11-26T12:03:04Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Who it is. A lock that was passed on by [`into_token`](crate::LockGuard::into_token) shows the
    /// process that acquired it.
    pub who: Who,
    /// When the holder asked for the lock, by its own clock: it has held it since then or later.
    pub since: Option<SystemTime>,
    /// Whether it is this process itself.
    pub is_this_process: bool,
    /// Whether it has released the lock, whose name stays taken for the rest of its `min_hold`.
    pub has_released: bool,
    /// By what the store knows it, for [`force_release`](crate::LockService::force_release).
    pub id: Option<HolderId>,
}

/// By what a store knows a holder: two are equal if they are of the same grant.
///
/// It is opaque, and its [`Debug`] text hides what it is made of.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HolderId(Id);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Id {
    Token([u8; 16]),
    Value(Arc<[u8]>),
}

impl HolderId {
    pub(crate) const fn of_token(token: [u8; 16]) -> Self {
        Self(Id::Token(token))
    }

    /// That of a program that does not use this library, and has stored this value. For backends.
    #[must_use]
    pub fn of_value(value: impl Into<Arc<[u8]>>) -> Self {
        Self(Id::Value(value.into()))
    }

    pub(crate) const fn token_bytes(&self) -> Option<[u8; 16]> {
        match &self.0 {
            Id::Token(token) => Some(*token),
            Id::Value(_) => None,
        }
    }

    /// The value that another program has stored. For backends.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match &self.0 {
            Id::Token(_) => None,
            Id::Value(value) => Some(value),
        }
    }
}

impl fmt::Debug for HolderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HolderId(…)")
    }
}

/// Who waits for a lock in the store's queue. Part of a [`LockStatus`](crate::LockStatus).
///
/// The `Display` text is for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiter {
    /// Who it is.
    pub who: Who,
    /// When it asked for the lock, by its own clock.
    pub since: Option<SystemTime>,
    /// Whether it is this process itself.
    pub is_this_process: bool,
}

impl Holder {
    /// Somebody of whom no more is known. For backends.
    #[must_use]
    pub const fn new(who: Who) -> Self {
        Self { who, since: None, is_this_process: false, has_released: false, id: None }
    }

    /// Says by what the store knows it.
    #[must_use]
    pub fn with_id(mut self, id: HolderId) -> Self {
        self.id = Some(id);
        self
    }

    /// Says whether it has released the lock already.
    #[must_use]
    pub const fn with_released(mut self, has_released: bool) -> Self {
        self.has_released = has_released;
        self
    }
}

impl From<Holder> for Waiter {
    fn from(holder: Holder) -> Self {
        let Holder { who, since, is_this_process, .. } = holder;
        Self { who, since, is_this_process }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => write!(f, "{process}"),
            Self::Unregistered => f.write_str("a process that is not registered"),
            Self::Other(value) => write!(f, "another program, which stored \"{value}\""),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        say(f, &self.who, self.since, self.is_this_process)
    }
}

impl fmt::Display for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        say(f, &self.who, self.since, self.is_this_process)
    }
}

/// The part of a message that names who holds a lock.
pub(crate) fn held_by(holder: &Holder) -> String {
    if holder.has_released {
        format!("; its name stays taken for the min_hold of {holder}")
    } else {
        format!("; it is held by {holder}")
    }
}

fn say(
    f: &mut fmt::Formatter<'_>,
    who: &Who,
    since: Option<SystemTime>,
    is_this_process: bool,
) -> fmt::Result {
    if is_this_process {
        f.write_str("this process, ")?;
    }
    write!(f, "{who}")?;
    match since {
        Some(since) => write!(f, ", which asked for it at {}", utc(since)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_holder_is_named_with_what_is_known_of_it() {
        let since = UNIX_EPOCH + Duration::from_millis(1_795_694_584_999);
        let process = ProcessInfo::new("report-worker", "a", 4_711);
        let known = Holder { since: Some(since), ..Holder::new(Who::Process(process)) };
        let text = "report-worker (pid 4711 on host a), which asked for it at 2026-11-26T12:03:04Z";
        assert_eq!(known.to_string(), text);
        assert_eq!(Waiter::from(known.clone()).to_string(), text);
        let own = Holder { is_this_process: true, ..known };
        assert_eq!(own.to_string(), format!("this process, {text}"));
        let other = Holder::new(Who::Other("me".to_owned()));
        assert_eq!(other.to_string(), "another program, which stored \"me\"");
        let unknown = Holder::new(Who::Unregistered);
        assert_eq!(unknown.to_string(), "a process that is not registered");
    }
}
