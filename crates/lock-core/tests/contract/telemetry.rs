//! What is told to a subscriber, and what may happen meanwhile.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::{Arc, Once, mpsc};
use std::time::Duration;

use futures_executor::block_on;
use lock_core::LockService;
use lock_core::backend::LockKey;
use lock_core::memory::MemoryBackend;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

type Hook = Box<dyn Fn(&str, usize)>;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls this thread back with the name of each event, and the number of spans around it.
fn listen(hook: impl Fn(&str, usize) + 'static) {
    // One subscriber for all threads: with one for each, callsites that are first met in another
    // thread meanwhile may stay silent.
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
    HOOK.set(Some(Box::new(hook)));
}

struct Listener;

struct EventName(String);

impl Visit for EventName {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "event" {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.0);
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "distlock"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut name = EventName(String::new());
        event.record(&mut name);
        HOOK.with_borrow(|hook| {
            if let Some(hook) = hook {
                hook(&name.0, DEPTH.get());
            }
        });
    }

    fn enter(&self, _: &Id) {
        DEPTH.set(DEPTH.get() + 1);
    }

    fn exit(&self, _: &Id) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

#[test]
fn what_became_of_an_acquisition_is_told_within_its_span() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let hook = Rc::clone(&told);
    listen(move |event, depth| hook.borrow_mut().push((event.to_owned(), depth)));
    let locks = LockService::memory();
    let _guard = block_on(locks.lock("x").try_acquire()).unwrap().unwrap();
    assert!(block_on(locks.lock("x").try_acquire()).unwrap().is_none());
    block_on(locks.lock("").try_acquire()).unwrap_err();
    let expected = ["acquired", "contended", "failed"].map(|event| (event.to_owned(), 1));
    assert_eq!(*told.borrow(), expected);
}

#[test]
fn a_task_that_stood_still_since_its_grant_takes_no_lock_from_its_new_holder() {
    let (acquire, locks) = (LockService::try_acquire_lock, LockService::memory());
    let (short, long) = (Duration::from_millis(20), Duration::from_secs(60));
    let (granted, is_granted) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let first = std::thread::spawn({
        let locks = locks.clone();
        move || {
            listen(move |event, _| {
                if event == "acquired" {
                    granted.send(()).unwrap();
                    goes_on.recv().unwrap();
                }
            });
            block_on(acquire(&locks, "x", short)).unwrap()
        }
    });
    is_granted.recv().unwrap();
    while !block_on(acquire(&locks, "x", long)).unwrap() {
        std::thread::yield_now();
    }
    go_on.send(()).unwrap();
    first.join().unwrap();
    assert!(!block_on(acquire(&locks, "x", long)).unwrap());
    assert!(block_on(locks.release_lock("x")).unwrap());
}

/// The background runs in the test's own thread here, so it meets the test's own subscriber.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_costs_no_other_lease() {
    let ttl = Duration::from_secs(9);
    listen(|event, _| assert_ne!(event, "lost", "on command"));
    let store = Arc::new(MemoryBackend::new());
    let locks = LockService::builder(Arc::clone(&store)).tokio_time().build();
    let kept = locks.lock("kept").ttl(ttl).keep_alive().acquire().await.unwrap();
    let ended = locks.lock("ended").ttl(ttl).max_hold(ttl).acquire().await.unwrap();
    // So the background is to look at its end.
    ended.extend(ttl * 9).await.unwrap();
    tokio::time::sleep(ttl * 3).await;
    assert!(kept.is_held());
    assert!(locks.lock("ended").try_acquire().await.unwrap().is_some());

    let removed = locks.lock("a").ttl(ttl).keep_alive().acquire().await.unwrap();
    let in_same_batch = locks.lock("b").ttl(ttl).keep_alive().acquire().await.unwrap();
    store.forget(&LockKey::new("", "a").unwrap());
    tokio::time::sleep(ttl * 3).await;
    assert!(kept.is_held() && in_same_batch.is_held() && !removed.is_held());
}
