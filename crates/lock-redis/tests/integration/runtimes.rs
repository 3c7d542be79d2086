//! Several tokio runtimes in one process: none of them can hold up, or end, the calls of another.

use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::common::*;
use lock_core::backend::{Clock, LockBackend, ReleaseReply};
use lock_core::{LockErrorKind, LockService};
use lock_redis::RedisBackend;
use testbed::ServerKind;
use tokio::runtime::{Builder, Runtime};

crate::on_every_server! {
    a_runtime_that_stands_still_or_has_ended_holds_up_no_other,
    short_runtimes_that_share_a_service_fail_none_of_their_calls,
    those_in_line_are_told_while_the_runtime_that_connected_stands_still,
    a_lock_dropped_in_a_runtime_that_then_stands_still_is_released,
    an_acquire_given_up_in_a_runtime_that_then_stands_still_is_undone,
    what_a_thread_without_a_runtime_drops_is_free_in_its_next_call,
    a_runtime_that_does_all_the_work_gets_the_connection_of_one_that_does_none,
    a_runtime_without_io_takes_locks_over_the_librarys_connection,
    a_waker_that_panics_costs_nobody_the_librarys_connection,
}

/// Far below the response timeout of these backends, and far above what a call takes.
const SOON: Duration = Duration::from_secs(8);

fn patient(store: &Store) -> Arc<RedisBackend> {
    build(RedisBackend::builder().url(store.server.url()).response_timeout(LIMIT * 2))
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// What a runtime does after it has used the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Computes,
    Idles,
    Ends,
}

/// A thread with a runtime of its own, which stands still until this is dropped.
struct Elsewhere {
    wake: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Elsewhere {
    /// Runs what `first` says to its end, and returns when the runtime does what it does then.
    async fn start<F>(first: impl FnOnce() -> F + Send + 'static, then: Then) -> Self
    where
        F: Future<Output = ()>,
    {
        let (wake, woken) = mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = current_thread();
            let stand_still = move || {
                begin.send(()).unwrap();
                woken.recv().ok();
            };
            match then {
                Then::Computes => runtime.block_on(async {
                    first().await;
                    stand_still();
                }),
                Then::Idles => {
                    runtime.block_on(first());
                    stand_still();
                }
                Then::Ends => {
                    runtime.block_on(first());
                    drop(runtime);
                    stand_still();
                }
            }
        });
        begun.await.unwrap();
        Self { wake: Some(wake), thread: Some(thread) }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.wake.take());
        self.thread.take().unwrap().join().ok();
    }
}

async fn a_runtime_that_stands_still_or_has_ended_holds_up_no_other(kind: &ServerKind) {
    for then in [Then::Computes, Then::Idles, Then::Ends] {
        let store = Store::start(kind);
        let backend = patient(&store);
        let theirs = Arc::clone(&backend);
        let elsewhere = Elsewhere::start(
            move || async move {
                take(&theirs, "theirs", MINUTE).await;
            },
            then,
        );
        let elsewhere = elsewhere.await;
        let calls = async {
            let (owner, _) = take(&backend, "x", MINUTE).await;
            assert!(is_held(&attempt(&backend, "theirs", token(), MINUTE).await.unwrap()));
            assert!(Arc::clone(&backend).status(key("x")).await.unwrap().is_some());
            renew(&backend, "x", owner, MINUTE).await.unwrap();
            assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
        };
        soon(SOON, calls).await;
        drop(elsewhere);
    }
}

async fn short_runtimes_that_share_a_service_fail_none_of_their_calls(kind: &ServerKind) {
    let store = Store::start(kind);
    let locks = LockService::new(store.backend());
    let threads = (0..8).map(|thread| {
        let locks = locks.clone();
        std::thread::spawn(move || {
            for round in 0..25 {
                let lock = locks.lock(format!("{thread}:{round}")).ttl(MINUTE);
                let call = async {
                    let guard = lock.try_acquire().await.unwrap().unwrap();
                    assert!(guard.release().await.is_released());
                };
                current_thread().block_on(call);
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    let join = move || threads.into_iter().filter_map(|thread| thread.join().err()).count();
    assert_eq!(tokio::task::spawn_blocking(join).await.unwrap(), 0);
}

/// Both stand in line over one backend: the one whose runtime stands still in front.
async fn those_in_line_are_told_while_the_runtime_that_connected_stands_still(kind: &ServerKind) {
    let store = Store::start(kind);
    let (holder, backend) = (patient(&store), patient(&store));
    let (x, _) = take(&holder, "x", MINUTE).await;
    let (y, _) = take(&holder, "y", MINUTE).await;
    let locks = strict(Arc::clone(&backend));
    let (theirs, watcher) = (locks.clone(), Arc::clone(&holder));
    let in_line = move || async move {
        let mut waiting = Box::pin(theirs.lock("x").ttl(MINUTE).wait_forever().acquire());
        let stands = async {
            while waiters(&watcher, "x").await != 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut waiting => panic!("the lock is held"),
            () = stands => {}
        }
        // Its place is not left: nothing polls it any more.
        std::mem::forget(waiting);
    };
    let elsewhere = Elsewhere::start(in_line, Then::Computes).await;
    let waiting = tokio::spawn(locks.lock("y").ttl(MINUTE).wait(MINUTE).acquire());
    until_waiters(&holder, "y", 1).await;
    let released = std::time::Instant::now();
    release(&holder, "y", y).await.unwrap();
    // Whoever is not told asks after 7.5 s at the earliest.
    drop(waiting.await.unwrap().unwrap());
    assert!(released.elapsed() < Duration::from_secs(6), "{:?}", released.elapsed());
    // Behind the one that stands still: its window ends, and the next is told.
    let waiting = tokio::spawn(strict(backend).lock("x").ttl(MINUTE).wait(MINUTE).acquire());
    until_waiters(&holder, "x", 2).await;
    release(&holder, "x", x).await.unwrap();
    drop(waiting.await.unwrap().unwrap());
    assert!(released.elapsed() < Duration::from_secs(6), "{:?}", released.elapsed());
    drop(elsewhere);
}

async fn waiters(backend: &Arc<RedisBackend>, name: &str) -> u64 {
    let status = Arc::clone(backend).status(key(name)).await.unwrap();
    status.and_then(|status| status.waiters).unwrap_or(0)
}

async fn until_waiters(backend: &Arc<RedisBackend>, name: &str, count: u64) {
    while waiters(backend, name).await != count {}
}

async fn a_lock_dropped_in_a_runtime_that_then_stands_still_is_released(kind: &ServerKind) {
    for then in [Then::Computes, Then::Idles, Then::Ends] {
        let store = Store::start(kind);
        let backend = patient(&store);
        let theirs = strict(Arc::clone(&backend));
        let drop_one = move || async move {
            drop(theirs.lock("x").ttl(MINUTE).acquire().await.unwrap());
        };
        let elsewhere = Elsewhere::start(drop_one, then).await;
        let ours = strict(backend);
        drop(soon(SOON, ours.lock("x").wait(MINUTE).acquire()).await.unwrap());
        drop(elsewhere);
    }
}

async fn an_acquire_given_up_in_a_runtime_that_then_stands_still_is_undone(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = build(
        RedisBackend::builder().url(store.server.url()).response_timeout(Duration::from_secs(1)),
    );
    let theirs = strict(Arc::clone(&backend));
    let give_up = move || async move {
        drop(theirs.lock("first").acquire().await.unwrap());
        let acquiring = theirs.lock("x").ttl(MINUTE).acquire();
        assert!(futures_util::poll!(std::pin::pin!(acquiring)).is_pending());
    };
    let elsewhere = Elsewhere::start(give_up, Then::Computes).await;
    drop(soon(LIMIT, strict(backend).lock("x").wait(MINUTE).acquire()).await.unwrap());
    drop(elsewhere);
    until(|| store.keys().is_empty()).await;
}

/// The thread blocks on one call after the other, and drops in between.
async fn what_a_thread_without_a_runtime_drops_is_free_in_its_next_call(kind: &ServerKind) {
    let store = Store::start(kind);
    let locks = strict(store.backend());
    let thread = std::thread::spawn(move || {
        let runtime = current_thread();
        let lock = locks.lock("x").ttl(MINUTE);
        for _ in 0..100 {
            let guard = runtime.block_on(lock.try_acquire()).unwrap();
            assert!(guard.is_some(), "the one before was dropped");
        }
    });
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap().unwrap();
}

async fn a_runtime_that_does_all_the_work_gets_the_connection_of_one_that_does_none(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    let backend = patient(&store);
    let theirs = Arc::clone(&backend);
    let ping = move || async move { theirs.ping().await.unwrap() };
    let elsewhere = Elsewhere::start(ping, Then::Idles).await;
    assert_eq!(store.connections(), 2);
    let before: u64 = newest_connection(&mut store);
    for round in 0..200 {
        take(&backend, &format!("{round}"), MINUTE).await;
    }
    // The library's own, and the one that took the other's place.
    assert_eq!(newest_connection(&mut store), before + 2);
    drop(elsewhere);
    until(|| store.connections() == 3).await;
    take(&backend, "last", MINUTE).await;
}

async fn a_waker_that_panics_costs_nobody_the_librarys_connection(kind: &ServerKind) {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("meant"));
        }
    }
    let mut store = Store::start(kind);
    let backend = patient(&store);
    let theirs = Arc::clone(&backend);
    let ping = move || async move { theirs.ping().await.unwrap() };
    let elsewhere = Elsewhere::start(ping, Then::Idles).await;
    Arc::clone(&backend).ping().await.unwrap();
    let before = newest_connection(&mut store);
    let waker = Waker::from(Arc::new(Panics));
    let mut context = Context::from_waker(&waker);
    for round in 0..5 {
        let name = format!("{round}");
        let mut acquiring = Box::pin(attempt(&backend, &name, token(), MINUTE));
        // The answer may be there before the poll is over; then nobody is woken.
        if let Poll::Ready(granted) = acquiring.as_mut().poll(&mut context) {
            fencing(granted.unwrap());
            continue;
        }
        until(|| store.keys().len() == round + 1).await;
        fencing(acquiring.await.unwrap());
    }
    assert_eq!(newest_connection(&mut store), before);
    drop(elsewhere);
}

/// The number of the newest of a server's connections.
fn newest_connection(store: &mut Store) -> u64 {
    let list: String = store.run(&["CLIENT", "LIST"]);
    let ids = list.lines().filter_map(|line| {
        let id = line.split(' ').find_map(|field| field.strip_prefix("id="))?;
        id.parse::<u64>().ok()
    });
    ids.max().unwrap()
}

async fn a_runtime_without_io_takes_locks_over_the_librarys_connection(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(Arc::clone(&backend));
    let elsewhere = move || {
        let bare = Builder::new_current_thread().build().unwrap();
        bare.block_on(async {
            for _ in 0..10 {
                let guard = locks.lock("x").wait(MINUTE).acquire().await.unwrap();
                assert!(guard.release().await.is_released());
            }
        });
    };
    std::thread::spawn(elsewhere).join().unwrap();
    assert_eq!(store.connections(), 2);
    // A server that is gone is an error, and nothing tries without a pause.
    store.server.kill();
    let begin = Clock::SYSTEM.now();
    let bare = std::thread::spawn(move || {
        let locks = LockService::new(backend);
        let bare = Builder::new_current_thread().build().unwrap();
        bare.block_on(locks.lock("x").wait(Duration::from_secs(1)).acquire()).unwrap_err()
    });
    let error = tokio::task::spawn_blocking(|| bare.join()).await.unwrap().unwrap();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(Clock::SYSTEM.now() < begin + LIMIT);
}
