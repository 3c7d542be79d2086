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
/// A release that takes so long is over within the moment, and no test ends before it by chance.
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
    block_on(backend.is_free("x"))
}

#[test]
fn whoever_drops_the_last_handle_waits_for_the_release_that_is_under_way() {
    let backend = Faulty::new();
    let (locks, guard) = held(&backend, Fault::TokioSleep(A_WHILE));
    drop(locks);
    drop(guard);
    assert!(is_free(&backend));

    // The guard is not always the last.
    let (locks, guard) = held(&backend, Fault::TokioSleep(A_WHILE));
    drop(guard);
    assert!(!is_free(&backend));
    let plan = locks.lock("y");
    drop(locks);
    assert!(!is_free(&backend));
    drop(plan);
    assert!(is_free(&backend));

    let (locks, guard) = held(&backend, Fault::TokioSleep(A_WHILE));
    let lease = guard.lease();
    drop((guard, locks));
    // What can neither acquire nor release anything is no handle.
    assert!(is_free(&backend) && !lease.is_held());
}

#[test]
fn locks_of_the_manual_pair_are_waited_for() {
    let backend = Faulty::new();
    backend.releases([Fault::TokioSleep(A_WHILE), Fault::TokioSleep(A_WHILE)]);
    let locks = LockService::new(Arc::clone(&backend));
    for name in ["x", "y"] {
        assert!(block_on(locks.try_acquire_lock(name, TTL)).unwrap());
    }
    drop(locks);
    assert!(is_free(&backend) && block_on(backend.is_free("y")));
}

#[test]
fn a_future_that_is_dropped_last_waits_for_what_it_began() {
    let backend = Faulty::new();
    backend.attempts([Fault::TokioSleep(A_WHILE)]);
    let mut asking = Box::pin(LockService::new(Arc::clone(&backend)).lock("x").ttl(TTL).acquire());
    assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(asking);
    assert!(is_free(&backend));
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 1);
}

/// The first release is carried by something that stands still while the thread waits, such as a
/// connection that its own runtime drives.
#[test]
fn a_release_that_the_waiting_thread_itself_holds_up_is_sent_again_by_the_background() {
    let backend = Faulty::new();
    let runtime = current_thread();
    let (locks, guard) = held(&backend, Fault::Gated);
    runtime.block_on(async move {
        drop(guard);
        drop(locks);
    });
    assert!(is_free(&backend));
    assert_eq!(backend.releases_made.load(Ordering::SeqCst), 2);
    // The first is not cut off.
    backend.gate.add_permits(1);
    soon(|| backend.gate.available_permits() == 0);
}

#[test]
fn a_guard_that_a_panic_drops_is_waited_for() {
    let backend = Faulty::new();
    let shared = Arc::clone(&backend);
    let thread = std::thread::spawn(move || {
        let _held = held(&shared, Fault::TokioSleep(A_WHILE));
        panic!("on purpose");
    });
    thread.join().unwrap_err();
    assert!(is_free(&backend));
}

#[test]
fn a_store_that_does_not_answer_is_waited_for_no_longer_than_the_moment() {
    let backend = Faulty::new();
    let faults = || [Fault::RequestLost; 100];
    let (locks, guard) = held(&backend, Fault::RequestLost);
    backend.releases(faults());
    let began = Instant::now();
    drop(guard);
    assert!(began.elapsed() < MOMENT / 2, "{:?}", began.elapsed());
    drop(locks);
    let took = began.elapsed();
    assert!(took >= MOMENT && took < 2 * MOMENT, "{took:?}");
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
    // Nor does one whose release has a time of its own, which comes later.
    let locks = LockService::new(Arc::clone(&backend));
    drop(block_on(locks.lock("x").ttl(TTL).min_hold(TTL / 2).acquire()).unwrap());
    drop(locks);
    assert!(began.elapsed() < MOMENT, "{:?}", began.elapsed());
    assert!(!is_free(&backend));
}

#[test]
fn with_the_time_of_tokio_nobody_waits() {
    let backend = Faulty::new();
    backend.releases([Fault::Gated]);
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
        drop(locks.lock("x").ttl(TTL).acquire().await.unwrap());
    });
    assert!(began.elapsed() < MOMENT, "{:?}", began.elapsed());
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
    for (keeps_alive, ttl) in [(true, Duration::from_millis(600)), (false, A_WHILE)] {
        let backend = Faulty::new();
        let locks = LockService::new(Arc::clone(&backend));
        let watched = locks.lock("watched").ttl(ttl);
        let watched = if keeps_alive { watched.keep_alive() } else { watched };
        let watched = block_on(watched.acquire()).unwrap();
        let mut lost = Box::pin(watched.lost());
        let last = held(&backend, Fault::Gated);
        let (told, elapsed) = channel();
        let waker = Waker::from(Arc::new(Drops(Mutex::new(Some(last)), told)));
        assert!(lost.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if keeps_alive {
            block_on(backend.forget("watched"));
        }
        let took = elapsed.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(took < MOMENT / 2, "{took:?}");
    }
}

#[test]
fn a_runtime_that_ends_with_its_tasks_waits_for_their_guards() {
    for runtime in [current_thread(), Runtime::new().unwrap()] {
        let backend = Faulty::new();
        let last = held(&backend, Fault::TokioSleep(A_WHILE));
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
        drop(runtime);
        assert!(is_free(&backend));
    }
}

#[test]
fn another_service_on_the_same_store_is_not_waited_for() {
    let backend = Faulty::new();
    let (busy, guard) = held(&backend, Fault::Gated);
    drop(guard);
    let began = Instant::now();
    drop(LockService::new(Arc::clone(&backend)));
    drop(LockService::new(MemoryBackend::new()));
    assert!(began.elapsed() < MOMENT / 2, "{:?}", began.elapsed());
    drop(busy);
    assert!(is_free(&backend));
}
