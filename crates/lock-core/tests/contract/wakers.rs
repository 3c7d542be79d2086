//! Wakers are somebody else's code: they may panic, and use the very lock that woke them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use lock_core::LockService;
use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, LockBackend, LockKey, OwnerToken, ReleaseRequest, Waiting,
};
use lock_core::memory::MemoryBackend;

const TTL: Duration = Duration::from_secs(60);
const BOUND: Duration = Duration::from_secs(20);

/// Runs this on every wake and on every drop.
struct Calls<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl<F: Fn() + Send + Sync> Drop for Calls<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn waker(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Calls(call)))
}

/// Runs the test in a thread of its own, so that a deadlock is a failure.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (ended, end) = channel();
    let thread = std::thread::spawn(move || {
        test();
        ended.send(()).unwrap();
    });
    if end.recv_timeout(BOUND).is_err() {
        assert!(thread.is_finished(), "it is still not over");
        thread.join().unwrap();
    }
}

fn key() -> LockKey {
    LockKey::new("", "x").unwrap()
}

fn request(token: OwnerToken) -> AcquireRequest {
    AcquireRequest::new(key(), token, TTL, Clock::SYSTEM)
}

/// A store with a holder, and somebody in line whose waker does this.
fn in_line(store: &Arc<MemoryBackend>, waker: &Waker) -> (OwnerToken, OwnerToken, Waiting) {
    let [holder, waiter] = [(); 2].map(|()| OwnerToken::random().unwrap());
    assert!(matches!(ask(store, request(holder)), AcquireReply::Granted(_)));
    let AcquireReply::Queued(mut waiting) = ask(store, request(waiter).with_queue(None)) else {
        panic!("it is not held");
    };
    let polled = waiting.wake.as_mut().poll(&mut Context::from_waker(waker));
    assert!(polled.is_pending());
    (holder, waiter, waiting)
}

fn ask(store: &Arc<MemoryBackend>, request: AcquireRequest) -> AcquireReply {
    Arc::clone(store).acquire(request).now_or_never().unwrap().unwrap()
}

fn release(store: &Arc<MemoryBackend>, token: OwnerToken, rest: Duration) {
    let request = ReleaseRequest::new(key(), token, Clock::SYSTEM).with_min_hold(rest);
    Arc::clone(store).release(request).now_or_never().unwrap().unwrap();
}

/// A waker that asks the store for its own news.
fn asking(store: &Arc<MemoryBackend>, told: Sender<()>) -> Waker {
    let (store, told) = (Arc::clone(store), Mutex::new(told));
    waker(move || {
        Arc::clone(&store).status(key()).now_or_never().unwrap().unwrap();
        told.lock().unwrap().send(()).ok();
    })
}

#[test]
fn the_memory_store_wakes_nobody_while_it_is_locked() {
    in_time(|| {
        let store = Arc::new(MemoryBackend::new());
        let (told, tells) = channel();
        for rest in [Duration::ZERO, TTL] {
            let (holder, waiter, waiting) = in_line(&store, &asking(&store, told.clone()));
            release(&store, holder, rest);
            tells.recv().unwrap();
            drop(waiting);
            release(&store, waiter, Duration::ZERO);
            release(&store, holder, Duration::ZERO);
        }
    });
}

#[test]
fn leaving_the_line_wakes_nobody_while_the_memory_store_is_locked() {
    in_time(|| {
        let store = Arc::new(MemoryBackend::new());
        let (told, tells) = channel();
        let (_, waiter, _waiting) = in_line(&store, &asking(&store, told));
        release(&store, waiter, Duration::ZERO);
        tells.recv().unwrap();
    });
}

#[test]
fn whoever_is_told_that_its_turn_has_come_may_use_the_lock_at_once() {
    in_time(|| {
        let locks = LockService::memory();
        let guard = locks.lock("x").try_acquire().now_or_never().unwrap().unwrap().unwrap();
        let mut waiting = Box::pin(locks.lock("x").acquire());
        let (told, tells) = channel();
        let (inner, told) = (locks.clone(), Mutex::new(told));
        let asking = waker(move || {
            let asked = inner.lock("x").try_acquire().now_or_never().unwrap().unwrap();
            told.lock().unwrap().send(asked.is_none()).ok();
        });
        assert!(waiting.poll_unpin(&mut Context::from_waker(&asking)).is_pending());
        drop(guard);
        assert!(tells.recv().unwrap(), "it was passed on");
        assert!(waiting.now_or_never().unwrap().unwrap().is_held());
    });
}

fn panicking() -> Waker {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on command");
        }
    }

    Waker::from(Arc::new(Panics))
}

#[test]
fn a_guard_can_be_dropped_though_the_next_in_line_panics_when_it_is_woken() {
    let locks = LockService::memory();
    let guard = locks.lock("x").try_acquire().now_or_never().unwrap().unwrap().unwrap();
    let mut waiting = Box::pin(locks.lock("x").acquire());
    let panicking = panicking();
    assert!(waiting.poll_unpin(&mut Context::from_waker(&panicking)).is_pending());
    drop(guard);
    assert!(waiting.now_or_never().unwrap().unwrap().is_held());
}

#[test]
fn a_guard_can_be_dropped_though_whoever_watches_it_panics_when_it_is_woken() {
    let locks = LockService::memory();
    let guard = locks.lock("x").try_acquire().now_or_never().unwrap().unwrap().unwrap();
    let mut lost = Box::pin(guard.lost());
    let panicking = panicking();
    assert!(lost.poll_unpin(&mut Context::from_waker(&panicking)).is_pending());
    drop(guard);
    assert!(locks.lock("x").try_acquire().now_or_never().unwrap().unwrap().is_some());
}
