//! Asks who has which slots: once for all who want to know.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::{Backoff, Clock, in_time};
use tokio::sync::Notify;

use crate::topology::address::Address;
use crate::wire::failure::Failure;

/// The pauses behind rounds that were answered grow from the first to the second while one follows
/// the other.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(250));
/// The same before a round that only confirms what a node has said: while slots move, each of them
/// brings such news, which was followed already.
const PAUSE_BEFORE_CONFIRMING: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// After so long without a round, the pauses begin anew.
const QUIET: Duration = Duration::from_secs(3);
/// The pauses behind rounds that nobody answered grow from the first to the second.
const PAUSE_AFTER_FAILURE: Backoff =
    Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Which rounds are wanted, under way, and over. Somebody else carries them out.
#[derive(Default)]
pub(super) struct Rounds {
    state: Mutex<State>,
    ended: Notify,
    /// A round is wanted sooner than the one that is waited for.
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
    /// The last one that somebody needs.
    needed: u64,
    /// The one under way is for nobody who waits.
    is_confirming: bool,
    not_before: Option<Instant>,
    confirm_not_before: Option<Instant>,
    /// How many were answered, one after the other, and when the last of them was.
    answered: u32,
    answered_at: Option<Instant>,
    failures: u32,
    last: Option<Failure>,
    /// Who is to be asked first.
    first: Vec<Address>,
}

/// Why a round is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Somebody does not know where to go.
    Find,
    /// A node has said where a slot is. That was followed; other slots may have moved as well.
    Confirm,
}

/// What whoever carries rounds out has to do.
pub(super) enum Next {
    /// Nothing any more.
    End,
    WaitUntil(Instant),
    /// Ask, these nodes first.
    Round(Purpose, Vec<Address>),
}

impl Rounds {
    /// A round is wanted that begins from now on. Returns its number, and whether somebody has to begin
    /// to carry rounds out.
    pub(super) fn want(&self, purpose: Purpose, first: Option<Address>) -> (u64, bool) {
        let mut state = self.lock();
        state.wanted = state.begun + 1;
        if purpose == Purpose::Find && state.needed < state.wanted {
            state.needed = state.wanted;
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
        let (purpose, not_before) = if state.needed > state.ended {
            (Purpose::Find, state.not_before)
        } else {
            (Purpose::Confirm, state.not_before.max(state.confirm_not_before))
        };
        if let Some(at) = not_before
            && Clock::SYSTEM.now() < at
        {
            return Next::WaitUntil(at);
        }
        state.begun += 1;
        state.is_confirming = purpose == Purpose::Confirm;
        Next::Round(purpose, std::mem::take(&mut state.first))
    }

    /// Waits until then, or until somebody needs a round.
    pub(super) async fn pause(&self, until: Instant) {
        in_time(until, self.hurried.notified()).await;
    }

    /// The round that was begun last has ended.
    pub(super) fn end(&self, result: Result<(), Failure>) {
        let mut state = self.lock();
        state.ended = state.begun;
        let now = Clock::SYSTEM.now();
        let pause = match &result {
            Ok(()) => {
                state.failures = 0;
                let is_quiet = state.answered_at.is_none_or(|before| now > before + QUIET);
                state.answered = if is_quiet { 0 } else { state.answered.saturating_add(1) };
                state.answered_at = Some(now);
                let confirming = PAUSE_BEFORE_CONFIRMING.jittered(state.answered);
                state.confirm_not_before = Some(now + confirming);
                PAUSE.pause(state.answered)
            }
            // That nodes do not answer in the little time that this has is no reason to put off others.
            Err(_) if state.is_confirming => {
                state.confirm_not_before = Some(now + PAUSE_BEFORE_CONFIRMING.longest());
                drop(state);
                self.ended.notify_waiters();
                return;
            }
            Err(_) => {
                state.failures += 1;
                PAUSE_AFTER_FAILURE.jittered(state.failures - 1)
            }
        };
        state.not_before = Some(now + pause);
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
        assert_eq!(rounds.want(Purpose::Find, None), (1, true));
        assert!(matches!(rounds.next(), Next::Round(..)));
        // What was asked before they came may be old news.
        assert_eq!(rounds.want(Purpose::Find, None), (2, false));
        assert_eq!(rounds.want(Purpose::Find, None), (2, false));
        let (mut first, mut second) =
            (Box::pin(rounds.wait(1, far())), Box::pin(rounds.wait(2, far())));
        assert!(first.as_mut().now_or_never().is_none());
        rounds.end(Ok(()));
        assert!(first.now_or_never().unwrap().is_ok());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(matches!(rounds.next(), Next::WaitUntil(_)));
        rounds.lock().not_before = None;
        assert!(matches!(rounds.next(), Next::Round(..)));
        rounds.end(Err(Failure::unavailable("nobody answers")));
        assert!(second.now_or_never().unwrap().is_err());
        assert!(matches!(rounds.next(), Next::End));
        assert_eq!(rounds.want(Purpose::Find, None), (3, true));
    }

    /// How long whoever carries rounds out is told to wait; nothing for a round.
    fn pause(rounds: &Rounds) -> Duration {
        match rounds.next() {
            Next::WaitUntil(at) => at.saturating_duration_since(Clock::SYSTEM.now()),
            Next::Round(..) => Duration::ZERO,
            Next::End => panic!("a round is wanted"),
        }
    }

    #[test]
    fn while_slots_move_they_are_confirmed_once_a_second() {
        let rounds = Rounds::default();
        let far = Instant::FAR_FUTURE;
        for _ in 0..10 {
            rounds.want(Purpose::Confirm, None);
            assert!(matches!(rounds.next(), Next::Round(Purpose::Confirm, _)));
            rounds.end(Ok(()));
            rounds.lock().confirm_not_before = None;
            rounds.lock().not_before = None;
        }
        rounds.want(Purpose::Confirm, None);
        rounds.next();
        rounds.end(Ok(()));
        rounds.want(Purpose::Confirm, None);
        // Half a second at least, by the jitter; the test may have stood still for a while.
        let begun = rounds.lock().answered_at.unwrap();
        let at = rounds.lock().confirm_not_before.unwrap();
        assert!(at >= begun + Duration::from_millis(500), "{at:?}");
        assert!(at <= begun + Duration::from_secs(1), "{at:?}");
        // Whoever does not know where to go waits for a quarter of it at most.
        let at = rounds.lock().not_before.unwrap();
        assert!(at <= begun + Duration::from_millis(250), "{at:?}");
        rounds.lock().confirm_not_before = Some(far);
        let mut waiting = Box::pin(rounds.pause(far));
        assert!(waiting.as_mut().now_or_never().is_none());
        rounds.want(Purpose::Find, None);
        assert!(waiting.now_or_never().is_some());
        assert!(pause(&rounds) <= Duration::from_millis(250));
        rounds.lock().not_before = None;
        assert!(matches!(rounds.next(), Next::Round(Purpose::Find, _)));
        // After a while without any, the next one is soon.
        rounds.lock().answered_at = Some(Instant::from_nanos(0));
        rounds.end(Ok(()));
        let begun = rounds.lock().answered_at.unwrap();
        assert!(rounds.lock().confirm_not_before.unwrap() <= begun + PAUSE.first());
    }

    #[test]
    fn a_round_that_only_confirms_and_fails_puts_off_no_other() {
        let rounds = Rounds::default();
        rounds.want(Purpose::Confirm, None);
        rounds.next();
        let (number, _) = rounds.want(Purpose::Find, None);
        rounds.end(Err(Failure::unavailable("no answer in so short a time")));
        let mut waiting = Box::pin(rounds.wait(number, far()));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(matches!(rounds.next(), Next::Round(Purpose::Find, _)));
        rounds.end(Ok(()));
        assert!(waiting.now_or_never().unwrap().is_ok());
    }

    #[test]
    fn who_is_to_be_asked_first_is_asked_once() {
        let rounds = Rounds::default();
        let node = |port| Address { host: "h".into(), port };
        for port in [1, 2, 1] {
            rounds.want(Purpose::Find, Some(node(port)));
        }
        let Next::Round(_, first) = rounds.next() else { panic!() };
        assert_eq!(first, [node(1), node(2)]);
    }

    #[test]
    fn what_cannot_be_cured_is_told_without_another_round() {
        let rounds = Rounds::default();
        rounds.want(Purpose::Find, None);
        rounds.next();
        rounds.end(Err(Failure::new(lock_core::LockErrorKind::Denied, "no")));
        let (number, _) = rounds.want(Purpose::Find, None);
        assert!(rounds.wait(number, far()).now_or_never().unwrap().is_err());
    }

    #[test]
    fn whoever_waits_is_told_when_nobody_carries_rounds_out() {
        let rounds = Rounds::default();
        let (number, _) = rounds.want(Purpose::Find, None);
        rounds.stop(Failure::unavailable("no runtime"));
        assert!(rounds.wait(number, far()).now_or_never().unwrap().is_err());
        assert_eq!(rounds.want(Purpose::Find, None), (2, true));
    }
}
