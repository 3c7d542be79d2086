//! From what redis-rs and the server say to what a caller can act on.

use std::borrow::Cow;
use std::fmt;

use lock_core::{LockError, LockErrorKind};
use redis::{ErrorKind, RedisError};

/// Why a request or a connection failed; cheap to keep and to hand to several callers.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: LockErrorKind,
    message: Cow<'static, str>,
    /// The server proved that nothing ran, or nothing was sent.
    pub(crate) not_applied: bool,
    /// The connection is of no use any more.
    pub(crate) breaks_connection: bool,
    /// The server forgot the script, so nothing ran.
    pub(crate) script_is_missing: bool,
    source: Option<RedisError>,
}

impl Failure {
    pub(crate) fn new(kind: LockErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            not_applied: false,
            breaks_connection: false,
            script_is_missing: false,
            source: None,
        }
    }

    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(LockErrorKind::Unavailable, message)
    }

    pub(crate) fn not_applied(mut self) -> Self {
        self.not_applied = true;
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
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn with_source(mut self, source: RedisError) -> Self {
        self.source = Some(source);
        self
    }
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

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let failure = match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => from_server(&error),
            ErrorKind::AuthenticationFailed => wrong_password(),
            ErrorKind::RESP3NotSupported => too_old(),
            ErrorKind::InvalidClientConfig => Self::new(
                LockErrorKind::InvalidConfig,
                format!("the connection's settings are not allowed: {error}"),
            )
            .not_applied(),
            ErrorKind::Parse => {
                Self::unavailable("the server's answer is not Redis's protocol; is it a TLS port?")
                    .breaking_connection()
            }
            _ => from_transport(&error),
        };
        failure.with_source(error)
    }
}

/// The server is too old, or no Redis at all.
pub(crate) fn too_old() -> Failure {
    Failure::new(
        LockErrorKind::InvalidConfig,
        "the server does not know the command HELLO; Redis 6.2 or later, or Valkey, is needed",
    )
    .not_applied()
}

fn wrong_password() -> Failure {
    Failure::new(LockErrorKind::Denied, "the server refused the user name or the password")
        .not_applied()
}

fn from_transport(error: &RedisError) -> Failure {
    let text = error.to_string();
    if text.contains("certificate") {
        let message = format!("the server's TLS certificate was not accepted: {text}");
        return Failure::new(LockErrorKind::Denied, message).breaking_connection();
    }
    Failure::unavailable(format!("the connection failed: {text}")).breaking_connection()
}

fn from_server(error: &RedisError) -> Failure {
    use LockErrorKind::{Backend, Denied, InvalidConfig, Unavailable, Unsupported};

    let detail = error.detail().unwrap_or_default();
    let (kind, message): (_, Cow<'static, str>) = match code(error, detail) {
        "NOSCRIPT" => {
            let mut missing = Failure::unavailable("the server forgot a script").not_applied();
            missing.script_is_missing = true;
            return missing;
        }
        "NOPERM" => return no_permission(detail),
        "WRONGPASS" => return wrong_password(),
        "NOAUTH" => (Denied, "the server wants a password; give the connection one".into()),
        "DENIED" => (Denied, format!("the server refuses connections from here: {detail}").into()),
        "READONLY" => {
            // Its address may soon lead to the new master.
            let message = "the server is a read-only replica; connect to its master";
            return Failure::unavailable(message).not_applied().breaking_connection();
        }
        "OOM" => (
            Unavailable,
            "the server has no memory left for new locks; raise its maxmemory or remove keys \
             (locks can still be renewed and released)"
                .into(),
        ),
        "WRONGTYPE" => (Backend, "a key of the lock holds a value of another type".into()),
        "LOADING" => (Unavailable, "the server is loading its data".into()),
        "BUSY" => (Unavailable, "the server is busy with a long-running script".into()),
        "MASTERDOWN" => (Unavailable, "the server is a replica that lost its master".into()),
        "TRYAGAIN" | "CLUSTERDOWN" => {
            (Unavailable, format!("the cluster cannot serve the key now: {detail}").into())
        }
        "MOVED" | "ASK" | "CROSSSLOT" => (
            Unsupported,
            "the server is a node of a cluster, which this backend does not speak to".into(),
        ),
        "ERR" if error.to_string().contains("switch database") => {
            let message = format!("the server does not have the database: {detail}");
            (InvalidConfig, message.into())
        }
        "ERR" if detail.contains("max number of clients") => {
            (Unavailable, "the server has too many clients; raise its maxclients".into())
        }
        // These say nothing about what ran before them.
        code => return Failure::new(Backend, format!("the server answered {code} {detail}")),
    };
    Failure::new(kind, message).not_applied()
}

/// Redis up to 6.2 reports an error inside a script as `ERR … -CODE text`.
fn code<'a>(error: &'a RedisError, detail: &'a str) -> &'a str {
    const INSIDE: [&str; 6] = ["READONLY", "OOM", "WRONGTYPE", "NOPERM", "TRYAGAIN", "CLUSTERDOWN"];
    let code = error.code().unwrap_or("ERR");
    let is_whole = |code: &&&str| detail.split([' ', '-']).any(|word| word == **code);
    // An error that a script returns has its place in the script for a code (`@user_script:`).
    if code == "ERR" || code.starts_with('@') {
        return INSIDE.iter().find(is_whole).copied().unwrap_or(code);
    }
    code
}

fn no_permission(detail: &str) -> Failure {
    let failure = Failure::new(
        LockErrorKind::Denied,
        format!(
            "the server's access rules forbid it: {detail}; the user needs the keys of the locks, \
             ~dl:* and the commands evalsha, eval, script|load, set, get, getex, del, exists, \
             strlen, pttl, pexpire, time, ping and info, and to queue &dl:c:* and the \
             commands subscribe, publish, pubsub, zadd, zrem, zrange, zrank, zscore and zcard"
        ),
    );
    // Inside a script something may have run before.
    if detail.contains("script") && !detail.contains("'script") {
        failure
    } else {
        failure.not_applied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(code: &str, detail: &str) -> LockError {
        Failure::from(redis::make_extension_error(code.into(), Some(detail.into()))).into_error()
    }

    #[test]
    fn an_error_inside_a_script_of_redis_6_is_known_by_its_own_code() {
        for detail in [
            "Error running script (call to f_0a): @user_script:9: @user_script: 9: -READONLY You \
             can't write against a read only replica.",
            "@user_script: 4: -READONLY You can't write against a read only replica.",
        ] {
            let error = from("ERR", detail);
            assert_eq!(error.kind(), LockErrorKind::Unavailable);
            assert!(error.is_not_applied() && error.to_string().contains("replica"), "{error}");
        }
        let error = from("@user_script:", "4: -READONLY You can't write");
        assert!(error.to_string().contains("replica"), "{error}");
    }

    #[test]
    fn a_refusal_says_whether_anything_may_have_run() {
        let at_the_door = "this user has no permissions to run the 'evalsha' command";
        let inside = "The user executing the script can't access at least one of the keys";
        assert!(from("NOPERM", at_the_door).is_not_applied());
        assert!(!from("NOPERM", inside).is_not_applied());
        assert!(from("OOM", "command not allowed").is_not_applied());
        assert!(!from("ERR", "something new").is_not_applied());
    }

    #[test]
    fn only_a_change_that_was_sent_is_unknown() {
        let failure = Failure::unavailable("no answer");
        assert_eq!(failure.clone().or_unknown().kind, LockErrorKind::Unknown);
        assert_eq!(failure.not_applied().or_unknown().kind, LockErrorKind::Unavailable);
    }
}
