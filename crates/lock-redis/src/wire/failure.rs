//! Why a request or a connection failed, as a caller can act on it.

use std::borrow::Cow;
use std::fmt;

use lock_core::{LockError, LockErrorKind};
use redis::RedisError;

/// Why a request or a connection failed; cheap to keep and to hand to several callers.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: LockErrorKind,
    message: Cow<'static, str>,
    /// The server proved that nothing ran, or nothing was sent.
    pub(crate) not_applied: bool,
    /// It was given up before it was sent: nothing is wrong with the server.
    is_given_up: bool,
    /// The connection is of no use any more.
    pub(crate) breaks_connection: bool,
    /// The server is a replica, and so is of no use over any connection.
    pub(crate) is_of_replica: bool,
    /// The server forgot the script, so nothing ran.
    pub(crate) script_is_missing: bool,
    /// What the server does not let us use, if that is the cause.
    pub(crate) forbidden: Option<Forbidden>,
    /// What a node of a cluster says of the slot, if that is the cause.
    pub(crate) of_cluster: Option<Box<OfCluster>>,
    /// There was no connection to send anything over.
    pub(crate) is_unconnected: bool,
    source: Option<RedisError>,
}

impl Failure {
    pub(crate) fn new(kind: LockErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            not_applied: false,
            is_given_up: false,
            breaks_connection: false,
            is_of_replica: false,
            script_is_missing: false,
            forbidden: None,
            of_cluster: None,
            is_unconnected: false,
            source: None,
        }
    }

    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(LockErrorKind::Unavailable, message)
    }

    /// Nobody waited for the answer any more, so the request was not sent.
    pub(crate) fn given_up() -> Self {
        let failure = Self::unavailable("the request was given up before it was sent");
        Self { is_given_up: true, ..failure.not_applied() }
    }

    pub(crate) fn not_applied(mut self) -> Self {
        self.not_applied = true;
        self
    }

    /// Something ran, whatever failed after it.
    pub(crate) fn applied(mut self) -> Self {
        self.not_applied = false;
        self
    }

    /// There was no connection to send anything over.
    pub(crate) fn unconnected(mut self) -> Self {
        self.is_unconnected = true;
        self
    }

    /// A node of a cluster says this of the slot.
    pub(crate) fn of_cluster(mut self, says: OfCluster) -> Self {
        self.of_cluster = Some(Box::new(says));
        self
    }

    pub(crate) fn breaking_connection(mut self) -> Self {
        self.breaks_connection = true;
        self
    }

    /// Puts before the message what was being done.
    pub(crate) fn while_doing(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message).into();
        self
    }

    /// The same with another text.
    pub(crate) fn with_message(mut self, message: String) -> Self {
        self.message = message.into();
        self
    }

    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.message = format!("{}; {hint}", self.message).into();
        self
    }

    /// For requests that change something and can be repeated: one that was sent and not answered
    /// is not known to have failed.
    pub(crate) fn or_unknown(mut self) -> Self {
        if self.kind == LockErrorKind::Unavailable && !self.not_applied {
            self.kind = LockErrorKind::Unknown;
        }
        self
    }

    /// The connection has ended, and did not only fail to answer in time.
    pub(crate) fn is_end_of_connection(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|error| error.is_unrecoverable_error() && !error.is_timeout())
    }

    /// Trying again later can help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self.kind, LockErrorKind::Unavailable | LockErrorKind::Unknown)
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The error that callers are shown. A method, because `From` would show this private type in
    /// the documentation of the public one.
    pub(crate) fn into_error(self) -> LockError {
        let mut error = LockError::new(self.kind, self.message);
        if self.not_applied {
            error = error.not_applied();
        }
        if self.is_given_up {
            error = error.given_up();
        }
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    pub(crate) fn with_source(mut self, source: RedisError) -> Self {
        self.source = Some(source);
        self
    }
}

/// What a node of a cluster says of a slot in place of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OfCluster {
    /// Another node has it.
    Moved(Elsewhere),
    /// It is on its way to another node, and the key is there, or nowhere.
    Ask(Elsewhere),
    /// It is on its way to another node, and some of the keys are there.
    TryAgain,
    /// Nobody has it, or too few nodes are up.
    Down,
}

/// Where a node of a cluster says that a slot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    pub(crate) slot: u16,
    /// None if it is the one that the speaker was asked at.
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: u16,
}

impl Elsewhere {
    /// Reads the words behind `MOVED` or `ASK`: `<slot> <host>:<port>`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (slot, address) = text.split_once(' ')?;
        let (host, port) = address.trim_end().rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = (!matches!(host, "" | "?")).then(|| host.into());
        Some(Self { slot: slot.parse().ok()?, host, port: port.parse().ok()? })
    }
}

/// What the server does not let us use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// A command, by the access rules; none if the server does not say which, as in scripts.
    Command(Option<Box<str>>),
    /// A key, by the access rules.
    Key,
    /// A channel, by the access rules.
    Channel,
    /// A command that the server does not know; none if it does not say which.
    Unknown(Option<Box<str>>),
}

/// The reply is not one that the request can have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnexpectedReply(pub(crate) &'static str);

impl fmt::Display for UnexpectedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's answer is not {}", self.0)
    }
}

impl From<UnexpectedReply> for Failure {
    fn from(reply: UnexpectedReply) -> Self {
        // Whatever answers there, the next reply would be no better.
        Self::unavailable(reply.to_string()).breaking_connection()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_names_a_slot_and_an_address() {
        let read = |text| Elsewhere::read(text).map(|it| (it.slot, it.host, it.port));
        assert_eq!(read("3999 10.0.0.1:6381"), Some((3_999, Some("10.0.0.1".into()), 6_381)));
        assert_eq!(read("0 node-1.example:1"), Some((0, Some("node-1.example".into()), 1)));
        // Redis writes an IPv6 address without brackets.
        for text in ["1 ::1:6381", "1 [::1]:6381"] {
            assert_eq!(read(text), Some((1, Some("::1".into()), 6_381)));
        }
        for text in ["1 :6381", "1 ?:6381"] {
            assert_eq!(read(text), Some((1, None, 6_381)), "{text}");
        }
        for text in ["", "1", "1 a", "x a:1", "1 a:70000", "70000 a:1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_change_that_was_sent_is_unknown() {
        let failure = Failure::unavailable("no answer");
        assert_eq!(failure.clone().or_unknown().kind, LockErrorKind::Unknown);
        assert_eq!(failure.not_applied().or_unknown().kind, LockErrorKind::Unavailable);
    }
}
