//! The last handle of a service: whoever drops it waits a moment for the releases that are under way.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use futures_executor::block_on;
use lock_core::memory::MemoryBackend;
use lock_core::{LockGuard, LockService};
use tokio::runtime::{Builder, Runtime};

use crate::faulty::{Fault, Faulty, soon};

const TTL: Duration = Duration::from_secs(3_600);
/// How long the last handle waits at most.
const MOMENT: Duration = Duration::from_millis(500);
/// What does not wait is done so often, that it is told from what does, on a busy machine as well.
const MANY: u32 = 20;
const MANY_MOMENTS: Duration = MOMENT.saturating_mul(MANY);
/// A release that takes so long is over within the moment, and not before it is waited for.
const A_WHILE: Duration = Duration::from_millis(100);

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A lock whose release suffers this.
fn held(backend: &Arc<Faulty>, fault: Fault) -> (LockService, LockGuard) {
    backend.releases([fault]);
    let locks = LockService::new(Arc::clone(backend));
    let guard = block_on(locks.lock("x").ttl(TTL).acquire()).unwrap();
    (locks, guard)
}

fn is_free(backend: &Faulty) -> bool {
    ["x", "y"].iter().all(|name| block_on(backend.is_free(name)))
}

/// Drops what this makes, and finds that the locks are free then.
///
/// Where a release takes the whole moment, because the machine stands still, nobody waits for its end,
/// and all of it is done again.
fn is_free_after<T>(mut make: impl FnMut(&Arc<Faulty>) -> T, drop: impl Fn(T)) -> Arc<Faulty> {
    for _ in 0..20 {
        let backend = Faulty::new();
        let last = make(&backend);
        let began = Instant::now();
        drop(last);
        let took = began.elapsed();
        if is_free(&backend) {
            return backend;
        }
        assert!(took >= MOMENT, "it was not waited for: {took:?}");
    }
    panic!("it was waited for in vain, again and again");
}

#[test]
fn whoever_drops_the_last_handle_waits_for_the_release_that_is_under_way() {
    let make = |backend: &Arc<Faulty>| {
        let (locks, guard) = held(backend, Fault::TokioSleep(A_WHILE));
        drop(locks);
        guard
    };
    is_free_after(make, drop);

    // The guard is not always the last.
    let make = |backend: &Arc<Faulty>| {
        let (locks, guard) = held(backend, Fault::Gated);
        drop(guard);
        assert!(!is_free(backend));
        let plan = locks.lock("y");
        drop(locks);
        assert!(!is_free(backend));
        plan
    };
    is_free_after(make, drop);

    let mut lease = None;
    let make = |backend: &Arc<Faulty>| {
        let (locks, guard) = held(backend, Fault::TokioSleep(A_WHILE));
        lease = Some(guard.lease());
        (guard, locks)
    };
    is_free_after(make, drop);
    // What can neither acquire nor release anything is no handle.
    assert!(!lease.unwrap().is_held());
}

#[test]
fn locks_of_the_manual_pair_are_waited_for() {
    let make = |backend: &Arc<Faulty>| {
        backend.releases([Fault::TokioSleep(A_WHILE), Fault::TokioSleep(A_WHILE)]);
        let locks = LockService::new(Arc::clone(backend));
        for name in ["x", "y"] {
            assert!(block_on(locks.try_acquire_lock(name, TTL)).unwrap());
        }
        locks
    };
    is_free_after(make, drop);
}

#[test]
fn a_future_that_is_dropped_last_waits_for_what_it_began() {
    let make = |backend: &Arc<Faulty>| {
        backend.attempts([Fault::AnswerTakes(A_WHILE)]);
        let locks = LockService::new(Arc::clone(backend));
        let mut asking = Box::pin(locks.lock("x").ttl(TTL).acquire());
        assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        asking
    };
    let backend = is_free_after(make, drop);
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 1);
}

/// The first release is carried by something that stands still while the thread waits, such as a
/// connection that its own runtime drives.
#[test]
fn a_release_that_the_waiting_thread_itself_holds_up_is_sent_again_by_the_background() {
    let runtime = current_thread();
    let make = |backend: &Arc<Faulty>| held(backend, Fault::Gated);
    let backend = is_free_after(make, |(locks, guard)| {
        runtime.block_on(async move {
            drop(guard);
            drop(locks);
        });
    });
    assert_eq!(backend.releases_made.load(Ordering::SeqCst), 2);
    // The first is not cut off.
    backend.gate.add_permits(1);
    soon(|| backend.gate.available_permits() == 0);
}

#[test]
fn a_guard_that_a_panic_drops_is_waited_for() {
    let make = |backend: &Arc<Faulty>| held(backend, Fault::TokioSleep(A_WHILE));
    is_free_after(make, |held| {
        let thread = std::thread::spawn(move || {
            let _held = held;
            panic!("on purpose");
        });
        thread.join().unwrap_err();
    });
}

#[test]
fn a_store_that_does_not_answer_is_waited_for_no_longer_than_the_moment() {
    let backend = Faulty::new();
    let (locks, guard) = held(&backend, Fault::RequestLost);
    backend.releases(vec![Fault::RequestLost; 100 * MANY as usize]);
    let names = (1..MANY).map(|number| format!("x{number}"));
    let others: Vec<_> =
        names.map(|name| block_on(locks.lock(name).ttl(TTL).acquire()).unwrap()).collect();
    let began = Instant::now();
    drop((guard, others));
    assert!(began.elapsed() < MANY_MOMENTS / 2, "{:?}", began.elapsed());
    drop(locks);
    let took = began.elapsed();
    assert!(took >= MOMENT && took < MANY_MOMENTS / 2, "{took:?}");
    assert!(!is_free(&backend));
}

#[test]
fn a_service_without_releases_under_way_does_not_wait() {
    let backend = Faulty::with(|capabilities| capabilities.with_min_hold(false));
    let began = Instant::now();
    for _ in 0..100 {
        let (locks, guard) = held(&backend, Fault::None);
        drop((guard, locks));
    }
    assert!(began.elapsed() < MANY_MOMENTS / 2, "{:?}", began.elapsed());
    // Nor does one whose release has a time of its own, which comes later.
    let began = Instant::now();
    for number in 0..MANY {
        let locks = LockService::new(Arc::clone(&backend));
        let lock = locks.lock(format!("y{number}")).ttl(TTL).min_hold(TTL / 2);
        drop(block_on(lock.acquire()).unwrap());
        drop(locks);
    }
    assert!(began.elapsed() < MANY_MOMENTS / 2, "{:?}", began.elapsed());
    assert!(!block_on(backend.is_free("y0")));
}

#[test]
fn with_the_time_of_tokio_nobody_waits() {
    let backend = Faulty::new();
    backend.releases([Fault::Gated; MANY as usize]);
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        for number in 0..MANY {
            let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
            drop(locks.lock(format!("x{number}")).ttl(TTL).acquire().await.unwrap());
        }
    });
    assert!(began.elapsed() < MANY_MOMENTS / 2, "{:?}", began.elapsed());
}

/// Drops what it has when it is woken.
struct Drops<T>(Mutex<Option<T>>, std::sync::mpsc::Sender<Duration>);

impl<T: Send> Wake for Drops<T> {
    fn wake(self: Arc<Self>) {
        let began = Instant::now();
        drop(self.0.lock().unwrap().take());
        self.1.send(began.elapsed()).ok();
    }
}

#[test]
fn the_library_s_own_threads_wait_for_nobody() {
    // The background tells of a lock that the store has forgotten, the timer thread of a deadline.
    for (keeps_alive, ttl) in [(true, Duration::from_secs(6)), (false, Duration::from_secs(2))] {
        let backend = Faulty::new();
        let locks = LockService::new(Arc::clone(&backend));
        let watched = locks.lock("watched").ttl(ttl);
        let watched = if keeps_alive { watched.keep_alive() } else { watched };
        let watched = block_on(watched.acquire()).unwrap();
        let mut lost = Box::pin(watched.lost());
        let last: Vec<_> = (0..MANY).map(|_| held(&Faulty::new(), Fault::Gated)).collect();
        let (told, elapsed) = channel();
        let waker = Waker::from(Arc::new(Drops(Mutex::new(Some(last)), told)));
        assert!(lost.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if keeps_alive {
            block_on(backend.forget("watched"));
        }
        let took = elapsed.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(took < MANY_MOMENTS / 2, "{took:?}");
    }
}

#[test]
fn a_runtime_that_ends_with_its_tasks_waits_for_their_guards() {
    for new_runtime in [current_thread, || Runtime::new().unwrap()] {
        let make = |backend: &Arc<Faulty>| {
            let runtime = new_runtime();
            let last = held(backend, Fault::TokioSleep(A_WHILE));
            let polled = Arc::new(AtomicUsize::new(0));
            let polls = Arc::clone(&polled);
            runtime.spawn(async move {
                let _last = last;
                polls.fetch_add(1, Ordering::SeqCst);
                pending::<()>().await;
            });
            while polled.load(Ordering::SeqCst) == 0 {
                runtime.block_on(tokio::task::yield_now());
            }
            runtime
        };
        is_free_after(make, drop);
    }
}

#[test]
fn another_service_on_the_same_store_is_not_waited_for() {
    let make = |backend: &Arc<Faulty>| {
        let (busy, guard) = held(backend, Fault::Gated);
        drop(guard);
        let began = Instant::now();
        for _ in 0..MANY {
            drop(LockService::new(Arc::clone(backend)));
            drop(LockService::new(MemoryBackend::new()));
        }
        assert!(began.elapsed() < MANY_MOMENTS / 2, "{:?}", began.elapsed());
        busy
    };
    is_free_after(make, drop);
}
