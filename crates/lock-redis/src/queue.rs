//! The tokens of this process that wait in a server's queue: what is known of each, and how it
//! learns of its grant.
//!
//! Those that wait for locks of one cluster slot share a channel; the backend's channels differ by
//! the tag of the slot, and have the same digits, as random as a token.
//! The entries in the queues on the server name the channel, so that whoever gives a lock away can
//! ask whether it has a subscriber, and can tell the one who got the lock.
//! The names are the same on each connection of the backend, one after the other: the entries are
//! live again as soon as the next connection has subscribed.

mod look_out;

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lock_core::backend::{Clock, Grant, OwnerToken, Sleep, Wake};
use lock_core::machine::waiter::{self, Waiter};
use lock_core::{FencingToken, Instant, Result, event};
use redis::Value;

use crate::protocol::keys;
use crate::protocol::reply::{self, Holder, Place, Push};
use crate::queue::look_out::{LookOut, look_again};
use crate::wire::health::{ConnectionId, PushListener};

/// The longest lease of a grant that is pushed: a process that is frozen or dead when it is granted
/// the lock keeps the others out no longer.
const WINDOW_MAX: Duration = Duration::from_secs(2);
/// Abandoned entries are removed when there are so many more entries than after the last time.
const SWEEP_EVERY: usize = 1_024;
/// By then the core has long stopped sending releases for an abandoned token.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);

/// The lease that a pushed grant begins with.
pub(crate) fn window(ttl: Duration) -> Duration {
    ttl.min(WINDOW_MAX)
}

/// See the [module's documentation](self).
pub(crate) struct Queue {
    /// What the names of its channels end with.
    digits: Box<str>,
    /// How long after it was sent an attempt can still run.
    late_after: Duration,
    /// A grant that was pushed is asked for once more before it is believed.
    asks_again: bool,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_token: HashMap<OwnerToken, Entry>,
    look_out: Option<LookOut>,
    sweep_at: usize,
}

/// What is known of a token that may be queued on the server.
struct Entry {
    waiter: Waiter,
    window: Duration,
    /// The connection on which it was last asked for.
    asked_on: ConnectionId,
    stage: Stage,
    grant: Option<PushedGrant>,
    waker: Option<Waker>,
    /// An attempt is under way.
    is_asking: bool,
    /// An attempt ended without an answer, and may run late.
    in_doubt: bool,
    /// An attempt was answered with a place in the queue.
    has_place: bool,
    last_asked: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for news.
    Waiting,
    /// It holds the lock, and is known only because an attempt of it may still run.
    Holding,
    /// It was released, and is known only because an attempt of it may still run.
    Left,
}

/// A grant that was pushed and not picked up yet; whether it is believed is decided then.
#[derive(Clone, Copy)]
struct PushedGrant {
    number: u64,
    window: Duration,
}

/// What a release has to tell the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// The window with which the token is queued, if it may be.
    pub(crate) window: Option<Duration>,
    /// For how long nobody in the queue is to have the lock afterwards.
    pub(crate) gap: Duration,
}

impl Queue {
    pub(crate) fn new(late_after: Duration, looks_out: bool) -> Result<Self> {
        let digits = OwnerToken::random()?.to_string().into();
        let entries = Entries { look_out: looks_out.then(LookOut::default), ..Entries::default() };
        Ok(Self { digits, late_after, asks_again: false, entries: Mutex::new(entries) })
    }

    /// Says that a grant that was pushed is asked for once more before it is believed.
    pub(crate) fn asking_again(self, asks_again: bool) -> Self {
        Self { asks_again, ..self }
    }

    /// Where the pushes for those who wait for locks of this slot arrive.
    pub(crate) fn channel(&self, slot: u16) -> String {
        keys::channel(slot, &self.digits)
    }

    /// An attempt that may leave the token queued is about to be sent on this connection.
    pub(crate) fn asking(&self, token: OwnerToken, ttl: Duration, connection: ConnectionId) {
        self.asking_at(Clock::SYSTEM.now(), token, ttl, connection);
    }

    fn asking_at(&self, now: Instant, token: OwnerToken, ttl: Duration, connection: ConnectionId) {
        let mut entries = self.lock();
        entries.sweep(now);
        let entry = entries.by_token.entry(token).or_insert_with(|| Entry {
            waiter: Waiter::new(now),
            window: window(ttl),
            asked_on: connection,
            stage: Stage::Waiting,
            grant: None,
            waker: None,
            is_asking: false,
            in_doubt: false,
            has_place: false,
            last_asked: now,
        });
        // The attempt before ended without an answer.
        entry.in_doubt |= entry.is_asking;
        entry.is_asking = true;
        entry.stage = Stage::Waiting;
        entry.asked_on = connection;
        entry.last_asked = now;
        entry.waiter.asked();
    }

    /// The window with which the token is queued, if it may be.
    pub(crate) fn window_of(&self, token: OwnerToken) -> Option<Duration> {
        self.lock().by_token.get(&token).map(|entry| entry.window)
    }

    /// The attempt was answered: queued.
    pub(crate) fn queued(&self, token: OwnerToken, place: Place) {
        let now = Clock::SYSTEM.now();
        let mut entries = self.lock();
        let Some(entry) = entries.by_token.get_mut(&token) else { return };
        entry.is_asking = false;
        entry.has_place = true;
        let left = match place.holder {
            Holder::Gone => Some(Duration::ZERO),
            Holder::Has(left) => left,
        };
        let look_after = place.is_foreign.then(look_again);
        entry.waiter.queued(entry.last_asked, now, place.counter, place.rank, left, look_after);
    }

    /// The attempt was answered: granted.
    pub(crate) fn granted(&self, token: OwnerToken) {
        self.lock().begins_to_hold(token);
        self.settle(token, |entry| {
            entry.is_asking = false;
            entry.quieten(Stage::Holding);
            !entry.in_doubt
        });
    }

    /// The token, which was ready to wait, was granted the lock and never stood in a queue.
    pub(crate) fn taken(&self, token: OwnerToken) {
        self.lock().begins_to_hold(token);
    }

    /// The attempt had no effect, or got no answer.
    pub(crate) fn failed(&self, token: OwnerToken, not_applied: bool) {
        self.settle(token, |entry| {
            entry.is_asking = false;
            entry.in_doubt |= !not_applied;
            !entry.in_doubt && !entry.has_place
        });
    }

    /// A release is about to be sent.
    pub(crate) fn leaving(&self, token: OwnerToken) -> Leaving {
        let now = Clock::SYSTEM.now();
        let mut entries = self.lock();
        let look_out = entries.look_out.as_mut();
        let gap = look_out.map_or(Duration::ZERO, |look_out| look_out.released(token, now));
        let entry = entries.by_token.get_mut(&token);
        let window = entry.map(|entry| {
            entry.quieten(Stage::Left);
            entry.window
        });
        Leaving { window, gap }
    }

    /// A release that was sent at `sent` was answered: the token is not queued, unless an
    /// attempt of it runs late. The core then sends another release, which needs the entry.
    pub(crate) fn left(&self, token: OwnerToken, sent: Instant) {
        let late_after = self.late_after;
        self.settle(token, |entry| {
            !entry.is_asking && (!entry.in_doubt || sent >= entry.last_asked + late_after)
        });
    }

    /// A push has arrived.
    ///
    /// One for a token that is not known, or does not wait, is of no use: everything that such a
    /// token may own has been released, or will be when none of its attempts can run any more.
    fn pushed(&self, push: Push) {
        let now = Clock::SYSTEM.now();
        let mut entries = self.lock();
        let (granted, hinted) = match push {
            Push::Hint { token, left } => (None, Some((token, left))),
            Push::Granted { token, number, window, next } => {
                let grant = PushedGrant { number, window };
                let granted = entries.granted(now, token, grant, self.asks_again);
                (granted, next.map(|next| (next, window)))
            }
        };
        let hinted = hinted.and_then(|(token, left)| entries.hinted(now, token, left));
        drop(entries);
        // Whoever is woken last runs first: the holder.
        hinted.into_iter().chain(granted).for_each(wake);
    }

    /// Resolves when there is news for the token; instants are those of this clock.
    pub(crate) fn news(self: &Arc<Self>, token: OwnerToken, clock: Clock) -> News {
        News { queue: Arc::clone(self), token, clock, sleep: None }
    }

    fn settle(&self, token: OwnerToken, is_over: impl FnOnce(&mut Entry) -> bool) {
        let mut entries = self.lock();
        if entries.by_token.get_mut(&token).is_some_and(is_over) {
            entries.by_token.remove(&token);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that panics must not keep the next one from being woken, nor end the connection's driver.
fn wake(waker: Waker) {
    catch_unwind(AssertUnwindSafe(|| waker.wake())).ok();
}

impl PushListener for Queue {
    fn on_push(&self, message: &[Value]) {
        if let Some(push) = reply::push(message) {
            self.pushed(push);
        }
    }

    fn on_push_lost(&self, connection: ConnectionId) {
        let now = Clock::SYSTEM.now();
        let mut wakers = Vec::new();
        for entry in self.lock().by_token.values_mut() {
            if entry.asked_on == connection && entry.stage == Stage::Waiting {
                entry.waiter.push_lost(now);
                wakers.extend(entry.waker.take());
            }
        }
        wakers.into_iter().for_each(wake);
    }

    fn on_push_forbidden(&self, connection: ConnectionId, cause: &dyn fmt::Display) {
        event!(
            WARN,
            "pushes_forbidden",
            "redis",
            ?connection,
            %cause,
            "the Redis server cannot notify tasks that wait for a lock, so they poll, in no order"
        );
    }
}

impl Entry {
    /// The grant that was pushed, if it is to be believed, by this clock.
    fn believe(&mut self, clock: Clock) -> Option<Grant> {
        let PushedGrant { number, window } = self.grant.take()?;
        let now = Clock::SYSTEM.now();
        let waiter::Push::Granted { since } = self.waiter.pushed(now, number, window) else {
            return None;
        };
        let Some(fencing) = FencingToken::from_grant_number(number) else {
            // The answer to an attempt says what is wrong with it.
            self.waiter.push_lost(now);
            return None;
        };
        let since = match clock {
            Clock::SYSTEM => since,
            clock => clock.now() - now.saturating_duration_since(since),
        };
        Some(Grant::new().with_fencing(fencing).with_granted_ttl(window).with_since(since))
    }

    fn quieten(&mut self, stage: Stage) {
        self.stage = stage;
        self.grant = None;
        self.waker = None;
    }
}

impl Entries {
    /// Whom to wake for a grant.
    fn granted(
        &mut self,
        now: Instant,
        token: OwnerToken,
        grant: PushedGrant,
        asks_again: bool,
    ) -> Option<Waker> {
        let entry = self.waiting(token)?;
        let PushedGrant { number, window } = grant;
        if entry.waiter.pushed(now, number, window) == waiter::Push::Ignored {
            return None;
        }
        if asks_again {
            entry.waiter.push_lost(now);
            return entry.waker.take();
        }
        entry.grant = Some(grant);
        entry.waker.take()
    }

    /// Whom to wake for a hint.
    fn hinted(&mut self, now: Instant, token: OwnerToken, left: Duration) -> Option<Waker> {
        let entry = self.waiting(token)?;
        entry.waiter.hinted(now, left);
        entry.waker.take()
    }

    fn begins_to_hold(&mut self, token: OwnerToken) {
        if let Some(look_out) = &mut self.look_out {
            look_out.granted(token, Clock::SYSTEM.now());
        }
    }

    fn waiting(&mut self, token: OwnerToken) -> Option<&mut Entry> {
        self.by_token.get_mut(&token).filter(|entry| entry.stage == Stage::Waiting)
    }

    /// Removes tokens that were left and whose release was never answered; that is rare.
    fn sweep(&mut self, now: Instant) {
        if self.by_token.len() < self.sweep_at.max(SWEEP_EVERY) {
            return;
        }
        self.by_token.retain(|_, entry| {
            entry.stage != Stage::Left || now < entry.last_asked + FORGOTTEN_AFTER
        });
        self.sweep_at = self.by_token.len() * 2;
    }
}

/// The future of [`Queue::news`]. Dropping it forgets nothing: the token stays queued.
pub(crate) struct News {
    queue: Arc<Queue>,
    token: OwnerToken,
    clock: Clock,
    sleep: Option<Sleep>,
}

impl Future for News {
    type Output = Wake;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Wake> {
        let this = &mut *self;
        let ask_at = {
            let mut entries = this.queue.lock();
            let Some(entry) = entries.by_token.get_mut(&this.token) else {
                return Poll::Ready(Wake::AskAgain);
            };
            if let Some(grant) = entry.believe(this.clock) {
                entry.quieten(Stage::Holding);
                if !entry.in_doubt {
                    entries.by_token.remove(&this.token);
                }
                entries.begins_to_hold(this.token);
                return Poll::Ready(Wake::Granted(grant));
            }
            if entry.stage != Stage::Waiting {
                return Poll::Ready(Wake::AskAgain);
            }
            match &entry.waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => entry.waker = Some(cx.waker().clone()),
            }
            entry.waiter.ask_at()
        };
        let sleep = match &mut this.sleep {
            Some(sleep) if sleep.deadline() == ask_at => sleep,
            other => other.insert(Clock::SYSTEM.sleep_until(ask_at)),
        };
        Pin::new(sleep).poll(cx).map(|()| Wake::AskAgain)
    }
}

#[cfg(test)]
mod tests;
