//! What a caller is told when no majority of the members has answered.

use std::fmt::Write as _;

use lock_core::message_text::shortened;
use lock_core::{LockError, LockErrorKind};

use crate::votes::Majority;

/// The longest cause of one member's failure that is quoted.
const MAX_CAUSE_BYTES: usize = 300;

/// Why members failed.
#[derive(Default)]
pub(crate) struct Failures(Vec<(usize, LockError)>);

impl Failures {
    pub(crate) fn add(&mut self, member: usize, error: LockError) {
        self.0.push((member, error));
    }

    /// Whether none of the requests had an effect, or will have one.
    pub(crate) fn are_not_applied(&self) -> bool {
        self.0.iter().all(|(_, error)| error.is_not_applied())
    }

    /// One line that names those that failed, and why; `name` knows what a member is called.
    ///
    /// The kind is one that trying again can help if that is so for any of them.
    pub(crate) fn into_error<'a>(
        self,
        majority: Majority,
        name: impl Fn(usize) -> &'a str,
    ) -> LockError {
        let (members, needed) = (majority.members(), majority.needed());
        let text = match self.0.len() {
            0 => format!("too few of the {members} members of the quorum answered in time"),
            failed => format!("{failed} of the {members} members of the quorum failed"),
        };
        self.listed(format!("{text}, and {needed} are needed"), name)
    }

    /// The same where a majority has answered, and what the others would have answered decides.
    pub(crate) fn into_disagreement<'a>(
        self,
        majority: Majority,
        (yes, no): (usize, usize),
        name: impl Fn(usize) -> &'a str,
    ) -> LockError {
        let members = majority.members();
        let text = format!(
            "it cannot be told whether a majority of the {members} members of the quorum has the \
             lock: {yes} said yes, {no} said no, and the rest did not answer"
        );
        self.listed(text, name)
    }

    fn listed<'a>(self, mut text: String, name: impl Fn(usize) -> &'a str) -> LockError {
        let mut mark = ": ";
        for (member, error) in &self.0 {
            let (name, cause) = (name(*member), error.to_string());
            let cause = shortened(&cause, MAX_CAUSE_BYTES);
            // Most backends name the server themselves.
            if name.contains(':') && cause.contains(name) {
                write!(text, "{mark}{cause}").ok();
            } else {
                write!(text, "{mark}{name}: {cause}").ok();
            }
            mark = "; ";
        }
        let passing = self.0.iter().find(|(_, error)| error.is_retryable());
        let worst = passing.or(self.0.first()).map(|(_, error)| error.clone());
        let kind = worst.as_ref().map_or(LockErrorKind::Unavailable, LockError::kind);
        let error = LockError::new(kind, text);
        match worst {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_that_failed_are_named_with_their_causes() {
        let name = |member: usize| ["a:1", "b:2", "c:3"][member];
        let mut failures = Failures::default();
        failures.add(0, LockError::new(LockErrorKind::Denied, "the password is wrong"));
        failures.add(2, LockError::new(LockErrorKind::Unavailable, "c:3 did not answer"));
        let error = failures.into_error(Majority::of(3), name);
        assert_eq!(
            error.to_string(),
            "2 of the 3 members of the quorum failed, and 2 are needed: a:1: the password is wrong; \
             c:3 did not answer"
        );
        // One of them may come back.
        assert_eq!(error.kind(), LockErrorKind::Unavailable);
        assert!(!error.is_not_applied());
    }

    #[test]
    fn what_no_try_can_cure_is_said_to_be_so() {
        let mut failures = Failures::default();
        for member in 0..2 {
            let error = LockError::new(LockErrorKind::Denied, "the password is wrong");
            failures.add(member, error.not_applied());
        }
        assert!(failures.are_not_applied());
        let error = failures.into_error(Majority::of(3), |_| "x");
        assert_eq!(error.kind(), LockErrorKind::Denied);
    }
}
