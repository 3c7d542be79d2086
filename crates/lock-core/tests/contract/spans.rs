//! The spans around acquisitions and bodies, and what they say.
//!
//! The clock is paused and tokio's, so that the background runs in the test's own thread.

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use lock_core::LockService;
use lock_core::memory::MemoryBackend;
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::{Instrument, Level, span};

use crate::listener::{Spanned, keep_spans, spans};

const S: fn(u64) -> Duration = Duration::from_secs;

fn service(store: &Arc<MemoryBackend>) -> LockService {
    LockService::builder(Arc::clone(store)).tokio_time().build()
}

/// The only span of this name.
fn only(name: &str) -> Spanned {
    let named: Vec<_> = spans().into_iter().filter(|span| span.name == name).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    named[0].clone()
}

#[tokio::test(start_paused = true)]
async fn the_spans_of_a_body_are_within_the_one_that_holds_and_beside_the_one_that_acquires() {
    keep_spans();
    let locks = service(&Arc::default());
    let request = span!(target: "distlock", Level::INFO, "request");
    let asked = async {
        let body = async |lease: lock_core::Lease| {
            drop(span!(target: "distlock", Level::INFO, "at once"));
            sleep(S(1)).await;
            drop(span!(target: "distlock", Level::INFO, "later"));
            lease.fencing_token()
        };
        let token = locks.lock("x").execute(body).await.unwrap().unwrap();
        drop(span!(target: "distlock", Level::INFO, "afterwards"));
        token
    };
    let token = asked.instrument(request).await.unwrap().get().to_string();
    let (acquire, hold) = (only("distlock.acquire"), only("distlock.hold"));
    for span in [&acquire, &hold, &only("afterwards")] {
        assert_eq!(span.parent, Some("request"), "{span:?}");
    }
    for span in [only("at once"), only("later")] {
        assert_eq!(span.parent, Some("distlock.hold"), "{span:?}");
    }
    for span in [&acquire, &hold] {
        assert_eq!((span.field("lock"), span.field("backend")), ("x", "memory"));
        assert_eq!(span.field("fencing_token"), token);
    }
    assert_eq!((acquire.field("outcome"), acquire.field("holder")), ("acquired", ""));
}

#[test]
fn a_body_on_a_thread_and_one_under_several_locks_have_a_span_too() {
    keep_spans();
    let locks = LockService::memory();
    let set = locks.lock_all(["b", "a"]);
    block_on(set.execute(async |_| drop(span!(target: "distlock", Level::INFO, "both")))).unwrap();
    let hold = only("distlock.hold");
    assert_eq!((hold.field("locks"), hold.field("backend")), ("a, b", "memory"));
    let blocking = lock_core::blocking::LockService::from(locks);
    blocking.lock("x").execute(|_| drop(span!(target: "distlock", Level::INFO, "one"))).unwrap();
    let set = blocking.lock_all(["c"]);
    set.execute(|_| drop(span!(target: "distlock", Level::INFO, "set"))).unwrap();
    for name in ["both", "one", "set"] {
        assert_eq!(only(name).parent, Some("distlock.hold"), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_wait_says_who_holds_the_lock() {
    let store = Arc::default();
    let (locks, other) = (service(&store), service(&store));
    let guard = locks.lock("x").ttl(S(600)).acquire().await.unwrap();
    keep_spans();
    // Of its own service: known at once.
    let waiting = tokio::spawn(locks.lock("x").wait_forever().acquire());
    yield_now().await;
    let acquire = only("distlock.acquire");
    assert!(acquire.field("holder").starts_with("this process"), "{acquire:?}");
    assert_eq!(acquire.field("holder_pid"), std::process::id().to_string());
    assert_eq!(acquire.field("outcome"), "");
    waiting.abort();
    waiting.await.unwrap_err();
    assert_eq!(only("distlock.acquire").field("outcome"), "given_up");

    // Of another one: when the wait has become long.
    keep_spans();
    let waiting = tokio::spawn(other.lock("x").wait_forever().acquire());
    sleep(S(29)).await;
    assert_eq!(only("distlock.acquire").field("holder"), "");
    sleep(S(2)).await;
    assert!(only("distlock.acquire").field("holder").starts_with("this process"));
    waiting.abort();
    waiting.await.unwrap_err();

    // Or when it was in vain.
    keep_spans();
    other.lock("x").wait(S(5)).acquire().await.unwrap_err();
    let acquire = only("distlock.acquire");
    assert!(acquire.field("holder").starts_with("this process"), "{acquire:?}");
    assert_eq!(acquire.field("outcome"), "timed_out");
    keep_spans();
    assert!(other.lock("x").try_acquire().await.unwrap().is_none());
    assert_eq!(only("distlock.acquire").field("outcome"), "refused");
    drop(guard);
}
