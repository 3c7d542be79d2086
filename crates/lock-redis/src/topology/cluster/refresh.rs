//! Asks who has which slots: once for all who want to know.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::{Backoff, Clock, in_time};
use tokio::sync::Notify;

use crate::topology::address::Address;
use crate::wire::failure::Failure;

/// Between two rounds that were answered, if somebody waits for the next one.
const PAUSE: Duration = Duration::from_millis(50);
/// The same if nobody does. While slots are moved, one after the other, each of them is news, and a node
/// needs some time to name the owners of all slots.
const PAUSE_AFTER_NEWS: Duration = Duration::from_secs(1);
/// The pauses behind rounds that nobody answered grow from the first to the second.
const PAUSE_AFTER_FAILURE: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Which rounds are wanted, under way, and over. Somebody else carries them out.
#[derive(Default)]
pub(super) struct Rounds {
    state: Mutex<State>,
    ended: Notify,
    hurried: Notify,
}

#[derive(Default)]
struct State {
    /// Somebody carries rounds out.
    is_running: bool,
    /// The number of the last round that is wanted, has begun, and has ended.
    wanted: u64,
    begun: u64,
    ended: u64,
    /// When the next round may begin: one that somebody waits for, and one that nobody does.
    not_before: Option<Instant>,
    news_not_before: Option<Instant>,
    /// Somebody waits for the round that is wanted, or for the one that is under way.
    is_awaited: bool,
    is_awaited_now: bool,
    failures: u32,
    last: Option<Failure>,
    /// Who is to be asked first.
    first: Vec<Address>,
}

/// What whoever carries rounds out has to do.
pub(super) enum Next {
    /// Nothing any more.
    End,
    WaitUntil(Instant),
    /// Ask, these nodes first.
    Round {
        first: Vec<Address>,
        /// Somebody waits for it. Else it is only about other slots than those that are known to have
        /// moved.
        is_awaited: bool,
    },
}

impl Rounds {
    /// A round is wanted that begins from now on, because somebody waits for it.
    /// Returns its number, and whether somebody has to begin to carry rounds out.
    pub(super) fn want(&self) -> (u64, bool) {
        self.add(true, None)
    }

    /// As [`want`](Self::want), for a node that knows more; nobody waits for the round.
    pub(super) fn want_news(&self, of: Address) -> (u64, bool) {
        self.add(false, Some(of))
    }

    /// Waits until the round that is wanted may begin.
    pub(super) async fn pause(&self, until: Instant) {
        in_time(until, self.hurried.notified()).await;
    }

    fn add(&self, is_awaited: bool, first: Option<Address>) -> (u64, bool) {
        let mut state = self.lock();
        state.wanted = state.begun + 1;
        if is_awaited && !std::mem::replace(&mut state.is_awaited, true) {
            self.hurried.notify_one();
        }
        if let Some(first) = first
            && !state.first.contains(&first)
        {
            state.first.push(first);
        }
        let begins = !std::mem::replace(&mut state.is_running, true);
        (state.wanted, begins)
    }

    /// What to do next.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        if state.ended >= state.wanted {
            state.is_running = false;
            return Next::End;
        }
        let not_before = if state.is_awaited { state.not_before } else { state.news_not_before };
        if let Some(at) = not_before
            && Clock::SYSTEM.now() < at
        {
            return Next::WaitUntil(at);
        }
        state.begun += 1;
        state.is_awaited_now = std::mem::take(&mut state.is_awaited);
        let first = std::mem::take(&mut state.first);
        Next::Round { first, is_awaited: state.is_awaited_now }
    }

    /// The round that was begun last has ended.
    pub(super) fn end(&self, result: Result<(), Failure>) {
        let mut state = self.lock();
        state.ended = state.begun;
        if result.is_err() && !state.is_awaited_now {
            // That nodes do not answer in the little time that this has is no reason to put off others.
            state.news_not_before = Some(Clock::SYSTEM.now() + PAUSE_AFTER_NEWS);
            drop(state);
            self.ended.notify_waiters();
            return;
        }
        let pause = match &result {
            Ok(()) => {
                state.failures = 0;
                PAUSE
            }
            Err(_) => {
                state.failures += 1;
                PAUSE_AFTER_FAILURE.jittered(state.failures - 1)
            }
        };
        let now = Clock::SYSTEM.now();
        state.not_before = Some(now + pause);
        state.news_not_before = Some(now + pause.max(PAUSE_AFTER_NEWS));
        state.last = result.err();
        drop(state);
        self.ended.notify_waiters();
    }

    /// Nobody carries rounds out any more, for this reason.
    pub(super) fn stop(&self, failure: Failure) {
        let mut state = self.lock();
        state.is_running = false;
        state.begun = state.begun.max(state.wanted);
        state.ended = state.begun;
        state.last = Some(failure);
        drop(state);
        self.ended.notify_waiters();
    }

    /// Waits for the end of this round.
    ///
    /// What trying again cannot cure is told without waiting for another round.
    pub(super) async fn wait(&self, number: u64, deadline: Instant) -> Result<(), Failure> {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            {
                let state = self.lock();
                let is_hopeless = state.last.as_ref().is_some_and(|failure| !failure.is_passing());
                let is_too_early = state.not_before.is_some_and(|at| Clock::SYSTEM.now() < at);
                if state.ended >= number || is_hopeless && is_too_early {
                    return state.last.clone().map_or(Ok(()), Err);
                }
            }
            if in_time(deadline, ended).await.is_none() {
                let failure = match self.lock().last.clone() {
                    Some(last) => last,
                    None => Failure::unavailable("no node of the cluster answered in time"),
                };
                return Err(failure.not_applied());
            }
        }
    }

    /// Waits until any round ends.
    pub(super) async fn any(&self, until: Instant) {
        in_time(until, self.ended.notified()).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn far() -> Instant {
        Clock::SYSTEM.now() + Duration::from_secs(60)
    }

    #[test]
    fn all_who_want_a_round_while_one_is_under_way_get_one_more_and_no_other() {
        let rounds = Rounds::default();
        assert_eq!(rounds.want(), (1, true));
        assert!(matches!(rounds.next(), Next::Round { .. }));
        // What was asked before they came may be old news.
        assert_eq!(rounds.want(), (2, false));
        assert_eq!(rounds.want(), (2, false));
        let (mut first, mut second) =
            (Box::pin(rounds.wait(1, far())), Box::pin(rounds.wait(2, far())));
        assert!(first.as_mut().now_or_never().is_none());
        rounds.end(Ok(()));
        assert!(first.now_or_never().unwrap().is_ok());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(matches!(rounds.next(), Next::WaitUntil(_)));
        rounds.lock().not_before = None;
        assert!(matches!(rounds.next(), Next::Round { .. }));
        rounds.end(Err(Failure::unavailable("nobody answers")));
        assert!(second.now_or_never().unwrap().is_err());
        assert!(matches!(rounds.next(), Next::End));
        assert_eq!(rounds.want(), (3, true));
    }

    #[test]
    fn news_wait_for_a_second_unless_somebody_waits_for_them() {
        let rounds = Rounds::default();
        let node = |port| Address { host: "h".into(), port };
        rounds.want_news(node(1));
        assert!(matches!(rounds.next(), Next::Round { .. }), "the first is no flood");
        rounds.end(Ok(()));
        let ended = Clock::SYSTEM.now();
        rounds.want_news(node(2));
        let Next::WaitUntil(at) = rounds.next() else { panic!() };
        assert!(at > ended + PAUSE_AFTER_NEWS / 2, "{at:?} after {ended:?}");
        let pausing = Box::pin(rounds.pause(at));
        rounds.want();
        pausing.now_or_never().unwrap();
        rounds.lock().not_before = None;
        let Next::Round { first, .. } = rounds.next() else { panic!() };
        assert_eq!(first, [node(2)]);
        // Nobody waits for the next one.
        rounds.end(Ok(()));
        rounds.want_news(node(3));
        rounds.lock().not_before = None;
        assert!(matches!(rounds.next(), Next::WaitUntil(_)));
    }

    #[test]
    fn a_round_that_nobody_waits_for_and_that_fails_puts_off_no_other() {
        let rounds = Rounds::default();
        rounds.want_news(Address { host: "h".into(), port: 1 });
        assert!(matches!(rounds.next(), Next::Round { is_awaited: false, .. }));
        let (number, _) = rounds.want();
        rounds.end(Err(Failure::unavailable("no answer in so short a time")));
        let mut waiting = Box::pin(rounds.wait(number, far()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(matches!(rounds.next(), Next::Round { is_awaited: true, .. }));
        rounds.end(Ok(()));
        assert!(waiting.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn who_is_to_be_asked_first_is_asked_once() {
        let rounds = Rounds::default();
        let node = |port| Address { host: "h".into(), port };
        for port in [1, 2, 1] {
            rounds.want_news(node(port));
        }
        let Next::Round { first, .. } = rounds.next() else { panic!() };
        assert_eq!(first, [node(1), node(2)]);
    }

    #[test]
    fn what_cannot_be_cured_is_told_without_another_round() {
        let rounds = Rounds::default();
        rounds.want();
        rounds.next();
        rounds.end(Err(Failure::new(lock_core::LockErrorKind::Denied, "no")));
        let (number, _) = rounds.want();
        assert!(rounds.wait(number, far()).now_or_never().unwrap().is_err());
    }

    #[test]
    fn whoever_waits_is_told_when_nobody_carries_rounds_out() {
        let rounds = Rounds::default();
        let (number, _) = rounds.want();
        rounds.stop(Failure::unavailable("no runtime"));
        assert!(rounds.wait(number, far()).now_or_never().unwrap().is_err());
        assert_eq!(rounds.want(), (2, true));
    }
}
