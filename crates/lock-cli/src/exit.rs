//! How the program ends: its exit codes, and its errors.

use std::error::Error;
use std::fmt;

use distlock::{LockError, LockErrorKind};

/// All is well.
pub(crate) const SUCCESS: u8 = 0;
/// `check` found something that is to be changed.
pub(crate) const TO_BE_CHANGED: u8 = 1;
/// `bench` found a lock that was held twice.
pub(crate) const HELD_TWICE: u8 = 1;
/// `release` did nothing.
pub(crate) const NOTHING_DONE: u8 = 1;
/// The store could not be asked, or refused.
pub(crate) const STORE: u8 = 122;
/// The lock was lost while the command ran.
pub(crate) const LOST: u8 = 123;
/// Somebody else held the lock for the whole wait. `timeout` uses it when the time is over.
pub(crate) const NOT_ACQUIRED: u8 = 124;
/// The command line or the configuration is wrong. This and the next two are as those of `env`,
/// `timeout` and `nohup`.
pub(crate) const USAGE: u8 = 125;
/// The command was found and could not be run.
#[cfg(unix)]
pub(crate) const CANNOT_RUN: u8 = 126;
/// The command was not found.
#[cfg(unix)]
pub(crate) const NOT_FOUND: u8 = 127;
/// What a shell adds to the number of the signal that ended a command.
#[cfg(unix)]
pub(crate) const BY_SIGNAL: u8 = 128;

/// How the program is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Code(u8),
    /// By the signal of this number, so that whoever waits for us sees what ended the command.
    #[cfg(unix)]
    Signal(i32),
}

/// Why the program ends early, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let code = match error.kind() {
            LockErrorKind::Timeout => NOT_ACQUIRED,
            LockErrorKind::Lost => LOST,
            LockErrorKind::InvalidConfig
            | LockErrorKind::InvalidName
            | LockErrorKind::Unsupported => USAGE,
            _ => STORE,
        };
        Self::new(code, text(&error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The error, and what caused it, unless it says that itself. It does not name the operation of the
/// library, which is none that the user has typed.
pub(crate) fn text(error: &LockError) -> String {
    let mut text = match error.name() {
        // Its text says what is wrong with the name.
        Some(name) if error.kind() != LockErrorKind::InvalidName => {
            format!("lock {name:?}: {}", error.message())
        }
        _ => error.message().to_owned(),
    };
    let mut cause = Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_names_the_lock_and_the_cause_and_no_operation() {
        let error = LockError::new(LockErrorKind::Unavailable, "no answer")
            .with_operation("acquire")
            .with_source(io::Error::other("connection refused"));
        let failure = Failure::from(error.clone());
        assert_eq!((failure.code, &*failure.message), (STORE, "no answer: connection refused"));
        let failure = Failure::from(error.with_name("x"));
        assert_eq!(failure.message, "lock \"x\": no answer: connection refused");
        let name = LockError::new(LockErrorKind::InvalidName, "lock name is empty").with_name("");
        assert_eq!(Failure::from(name).message, "lock name is empty");
    }
}
