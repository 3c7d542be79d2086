//! The timers behind [`Clock::SYSTEM`](crate::backend::Clock::SYSTEM): one thread in each process
//! wakes them all.
//!
//! They need no async runtime, so a lease's deadline and a request's timeout are kept also when
//! the caller's runtime is blocked or gone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::sync::{own_thread, panics};
use crate::time::alarm::Alarm;
use crate::time::instant::Instant;
use crate::time::system;
use crate::types::error::{LockError, LockErrorKind, Result};

/// One timer; it is registered when it is first polled and forgotten when it is dropped.
pub(crate) struct Timer {
    at: Instant,
    /// Set while a waker stands in the queue under this number.
    id: Option<u64>,
}

impl Timer {
    pub(crate) const fn new(at: Instant) -> Self {
        Self { at, id: None }
    }

    /// The caller has seen that `at` is still to come.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Ok(timers) = timers() else {
            // Without the thread nobody else would wake us; asking again is slow but not wrong.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        if let Some(id) = self.id {
            return timers.wait_on((self.at, id), cx.waker());
        }
        self.id = Some(timers.enter(self.at, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let (Some(id), Ok(timers)) = (self.id, timers()) {
            // The alarm stays as it is: one needless wake-up is cheaper than a system call here.
            let waker = timers.lock().queue.remove(&(self.at, id));
            drop(waker);
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Starts the thread, if it does not run yet.
pub(crate) fn ensure_started() -> Result<()> {
    timers().map(drop).map_err(|cause| {
        LockError::new(
            LockErrorKind::Unavailable,
            format!("the timer thread could not be started: {cause}"),
        )
        .not_applied()
    })
}

struct Timers {
    state: Mutex<State>,
    alarm: Alarm,
}

#[derive(Default)]
struct State {
    queue: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
    /// When the alarm rings; never later than the first timer.
    armed: Option<Instant>,
}

impl Timers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a new timer; returns its number.
    fn enter(&self, at: Instant, waker: Waker) -> u64 {
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        state.queue.insert((at, id), waker);
        if state.armed.is_none_or(|armed| at < armed) {
            state.armed = Some(at);
            self.alarm.set(at);
        }
        id
    }

    /// Sees to it that a registered timer wakes this waker. Wakers are somebody else's code, which
    /// may use timers itself: they are cloned and dropped when nothing is locked.
    fn wait_on(&self, timer: (Instant, u64), waker: &Waker) -> Poll<()> {
        let is_known = self.lock().queue.get(&timer).map(|known| known.will_wake(waker));
        if is_known == Some(true) {
            return Poll::Pending;
        }
        let mut waker = waker.clone();
        let is_registered = match self.lock().queue.get_mut(&timer) {
            Some(known) => {
                std::mem::swap(known, &mut waker);
                true
            }
            None => false,
        };
        drop(waker);
        // If it is not there, it was taken out to be woken: the time has come.
        if is_registered { Poll::Pending } else { Poll::Ready(()) }
    }

    fn run(&self) {
        let mut due = Vec::new();
        loop {
            self.take_due(&mut due);
            for waker in due.drain(..) {
                // Somebody else's code, which must not take all other timers of the process along.
                panics::contained(|| waker.wake());
            }
            self.alarm.wait();
        }
    }

    fn take_due(&self, due: &mut Vec<Waker>) {
        let now = system::now();
        let mut state = self.lock();
        while let Some(first) = state.queue.first_entry() {
            if first.key().0 > now {
                break;
            }
            due.push(first.remove());
        }
        state.armed = state.queue.first_key_value().map(|(&(at, _), _)| at);
        if let Some(at) = state.armed {
            self.alarm.set(at);
        }
    }
}

fn timers() -> std::io::Result<&'static Timers> {
    static TIMERS: OnceLock<Timers> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let timers = TIMERS.get_or_init(|| Timers { state: Mutex::default(), alarm: Alarm::new() });
    if STARTED.get().is_some() {
        return Ok(timers);
    }
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if STARTED.get().is_none() {
        let run = move || {
            own_thread::mark();
            timers.run();
        };
        // It can succeed later, when there are fewer threads.
        std::thread::Builder::new().name("distlock-timer".into()).spawn(run)?;
        STARTED.set(()).ok();
    }
    Ok(timers)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::Arc;
    use std::task::Wake;
    use std::time::Duration;

    use super::*;
    use crate::time::clock::Clock;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on command");
        }
    }

    #[test]
    fn a_waker_that_panics_leaves_all_other_timers_alive() {
        // Not over before it is polled, on a busy machine as well.
        let (soon, later) = (Duration::from_secs(1), Duration::from_millis(1_020));
        let mut sleep = Box::pin(Clock::SYSTEM.sleep(soon));
        let waker = Waker::from(Arc::new(Panics));
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            futures_executor::block_on(Clock::SYSTEM.sleep(later));
            ended.send(()).ok();
        });
        end.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    struct SleepsWhenDropped(std::sync::mpsc::Sender<()>);

    impl Wake for SleepsWhenDropped {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for SleepsWhenDropped {
        fn drop(&mut self) {
            let mut sleep = Box::pin(Clock::SYSTEM.sleep(Duration::from_secs(60)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            self.0.send(()).ok();
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_use_timers_when_it_is_dropped() {
        let (dropped, drops) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut sleep = Box::pin(Clock::SYSTEM.sleep(Duration::from_secs(60)));
            let waker = Waker::from(Arc::new(SleepsWhenDropped(dropped)));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
        drops.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn a_timer_centuries_ahead_does_not_ring() {
        let alarm = Arc::new(Alarm::new());
        alarm.set(Instant::from_nanos(u64::MAX - 1));
        let (rang, ringing) = std::sync::mpsc::channel();
        let waiter = Arc::clone(&alarm);
        std::thread::spawn(move || {
            waiter.wait();
            rang.send(()).ok();
        });
        assert!(ringing.recv_timeout(Duration::from_millis(50)).is_err());
        alarm.set(Clock::SYSTEM.now());
        ringing.recv().unwrap();
    }
}
