//! Whether a member answers, and what of that is told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lock_core::backend::{Clock, Instant};
use lock_core::{LockError, Result, event};

/// A member that fails and answers by turns is not told of more often than this.
const PACE: Duration = Duration::from_secs(60);

/// What is known of a member: nobody else would tell that one of several does not answer.
#[derive(Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    is_failing: bool,
    /// It was told that it fails, and not yet that it answers.
    is_told: bool,
    told_at: Option<Instant>,
}

/// What there is to tell.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Fails,
    Answers,
}

impl Health {
    /// Whether the last answer was a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_failing
    }

    /// Takes note of an answer.
    pub(crate) fn heard<T>(&self, name: &str, answer: &Result<T>) {
        let failure = answer.as_ref().err();
        let news = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if failure.is_none() && !state.is_failing {
                return;
            }
            state.heard(failure, Clock::SYSTEM.now())
        };
        match (news, failure) {
            (Some(News::Fails), Some(cause)) => event!(
                WARN,
                "quorum_member_failed",
                "quorum",
                member = name,
                "a member of the quorum fails: {cause}; the others are enough as long as they \
                 are a majority"
            ),
            (Some(News::Answers), _) => event!(
                INFO,
                "quorum_member_back",
                "quorum",
                member = name,
                "the member of the quorum answers again"
            ),
            _ => {}
        }
    }
}

impl State {
    fn heard(&mut self, failure: Option<&LockError>, now: Instant) -> Option<News> {
        let was_failing = std::mem::replace(&mut self.is_failing, failure.is_some());
        if failure.is_some() {
            let is_due = self.told_at.is_none_or(|at| now >= at + PACE);
            if was_failing && self.is_told || !is_due {
                return None;
            }
            (self.is_told, self.told_at) = (true, Some(now));
            return Some(News::Fails);
        }
        std::mem::take(&mut self.is_told).then_some(News::Answers)
    }
}

#[cfg(test)]
mod tests {
    use lock_core::LockErrorKind;

    use super::*;

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let error = LockError::new(LockErrorKind::Unavailable, "x");
        let failure = Some(&error);
        let mut state = State::default();
        let at = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
        assert_eq!(state.heard(None, at(0)), None);
        assert_eq!(state.heard(failure, at(1)), Some(News::Fails));
        assert_eq!(state.heard(failure, at(100)), None);
        assert_eq!(state.heard(None, at(101)), Some(News::Answers));
        assert_eq!(state.heard(None, at(102)), None);
        // One that comes and goes is told of once in a while.
        assert_eq!(state.heard(failure, at(161)), Some(News::Fails));
        assert_eq!(state.heard(None, at(162)), Some(News::Answers));
        assert_eq!(state.heard(failure, at(163)), None);
        assert_eq!(state.heard(None, at(164)), None);
        assert_eq!(state.heard(failure, at(165)), None);
        assert_eq!(state.heard(failure, at(222)), Some(News::Fails));
    }
}
