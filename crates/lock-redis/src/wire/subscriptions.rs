//! To which channels a connection is subscribed, and which questions for that are under way.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, Shared};

use crate::wire::failure::Failure;

/// Subscribes to a channel; `false` if the server forbids that.
///
/// Whoever waits for the answer drives the question on, so that none of them depends on another
/// one.
pub(crate) type Question = Shared<BoxFuture<'static, Result<bool, Failure>>>;

/// See the [module's documentation](self).
#[derive(Default)]
pub(crate) struct Subscriptions(Mutex<State>);

#[derive(Default)]
struct State {
    /// For each channel the question that is under way; none if it was answered with yes.
    by_channel: HashMap<Box<str>, Option<Question>>,
    /// The server lets channels be used.
    is_tried: bool,
}

impl Subscriptions {
    pub(crate) fn is_subscribed(&self, channel: &str) -> bool {
        matches!(self.lock().by_channel.get(channel), Some(None))
    }

    /// The question for this channel that is under way, or a new one; none if the connection is
    /// subscribed. The new one is told whether it has to try what else channels need.
    pub(crate) fn question(
        &self,
        channel: &str,
        new: impl FnOnce(bool) -> Question,
    ) -> Option<Question> {
        let mut state = self.lock();
        if let Some(known) = state.by_channel.get(channel) {
            return known.clone();
        }
        let question = new(!state.is_tried);
        state.by_channel.insert(channel.into(), Some(question.clone()));
        Some(question)
    }

    /// The question for this channel was answered.
    pub(crate) fn answered(
        &self,
        channel: &str,
        question: &Question,
        answer: &Result<bool, Failure>,
    ) {
        let mut state = self.lock();
        let Some(known) = state.by_channel.get_mut(channel) else { return };
        // Another one may have been asked meanwhile.
        if !known.as_ref().is_some_and(|newest| newest.ptr_eq(question)) {
            return;
        }
        if matches!(answer, Ok(true)) {
            *known = None;
            state.is_tried = true;
        } else {
            state.by_channel.remove(channel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn question() -> Question {
        std::future::pending().boxed().shared()
    }

    fn is_new(subscriptions: &Subscriptions, channel: &str) -> Option<bool> {
        let mut tries = None;
        let asked = subscriptions.question(channel, |try_all| {
            tries = Some(try_all);
            question()
        });
        assert!(asked.is_some() || tries.is_none());
        tries
    }

    #[test]
    fn each_channel_is_asked_for_once_and_the_first_tries_everything() {
        let subscriptions = Subscriptions::default();
        let first = subscriptions.question("a", |try_all| {
            assert!(try_all);
            question()
        });
        let first = first.unwrap();
        assert!(subscriptions.question("a", |_| question()).unwrap().ptr_eq(&first));
        // Nothing is known before the first is answered.
        assert_eq!(is_new(&subscriptions, "b"), Some(true));
        subscriptions.answered("a", &first, &Ok(true));
        assert_eq!(is_new(&subscriptions, "a"), None);
        assert!(subscriptions.question("a", |_| question()).is_none());
        assert_eq!(is_new(&subscriptions, "c"), Some(false));
    }

    #[test]
    fn a_question_that_failed_is_asked_again_and_its_late_answer_changes_nothing() {
        for answer in [Ok(false), Err(Failure::unavailable("no answer"))] {
            let subscriptions = Subscriptions::default();
            let first = subscriptions.question("a", |_| question()).unwrap();
            subscriptions.answered("a", &first, &answer);
            assert_eq!(is_new(&subscriptions, "a"), Some(true));
            // It still has the first one in its hands.
            subscriptions.answered("a", &first, &Ok(true));
            assert!(subscriptions.question("a", |_| question()).is_some());
        }
    }
}
