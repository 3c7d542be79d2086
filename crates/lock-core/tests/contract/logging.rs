//! What an operator reads: a few lines for an outage, and texts that say what to do.
//!
//! The clock is paused and tokio's, so that the background runs in the test's own thread.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use lock_core::{LockErrorKind, LockService};
use tracing::Level;

use crate::faulty::{Fault, Faulty};
use crate::listener::{Told, record};

const S: fn(u64) -> Duration = Duration::from_secs;

fn service(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

/// Those that are shown without debugging.
fn shown(told: &RefCell<Vec<Told>>) -> Vec<Told> {
    told.borrow().iter().filter(|told| told.level <= Level::INFO).cloned().collect()
}

fn events(told: &[Told]) -> Vec<&str> {
    told.iter().map(Told::event).collect()
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_a_few_lines_however_many_locks_are_held() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let mut guards = Vec::new();
    for number in 0..500 {
        let lock = locks.lock(format!("kept:{number}")).ttl(S(60)).keep_alive();
        guards.push(lock.acquire().await.unwrap());
    }
    backend.renewals(vec![Fault::RequestLost; 1_000_000]);
    // Its first renewal fails after 20 s, and its last one before 60 s.
    tokio::time::sleep(S(100)).await;
    backend.heal();
    locks.ping().await.unwrap();
    tokio::time::sleep(S(100)).await;

    let shown = shown(&told);
    let mut expected = vec!["store_lost", "store_still_lost"];
    expected.extend(["lost"; 5]);
    expected.extend(["store_back", "left_out"]);
    expected.sort_unstable();
    let mut names = events(&shown);
    names.sort_unstable();
    assert_eq!(names, expected);
    let still = &shown[1];
    assert_eq!(still.event(), "store_still_lost");
    assert!(still.message().contains("500 held locks need to be renewed"), "{still:?}");
    assert!(shown.iter().any(|told| told.message().starts_with("495 more events `lost`")));
    // Each is told of where details are asked for.
    let lost = told.borrow().iter().filter(|told| told.event() == "lost").count();
    assert_eq!(lost, 500);
}

#[tokio::test(start_paused = true)]
async fn renewals_that_fail_one_by_one_are_one_outage() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let mut guards = Vec::new();
    for number in 0..20 {
        let lock = locks.lock(format!("kept:{number}")).ttl(S(600)).keep_alive();
        guards.push(lock.acquire().await.unwrap());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    backend.renewals(vec![Fault::EachFails; 1_000_000]);
    tokio::time::sleep(S(240)).await;
    let shown = shown(&told);
    assert_eq!(events(&shown), ["store_lost", "store_still_lost"]);
    assert!(shown[1].message().contains("20 held locks need to be renewed"), "{shown:?}");
    // Whoever asks is told, too.
    let error = guards[0].extend(S(600)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown);
    backend.heal();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_dead_store_is_told_of() {
    let (told, backend) = (record(), Faulty::new());
    backend.attempts(vec![Fault::NotSent; 1_000_000]);
    let locks = service(&backend);
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let lock = locks.lock("x").wait(S(600));
            tokio::spawn(async move { lock.acquire().await.map(drop) })
        })
        .collect();
    tokio::time::sleep(S(100)).await;
    backend.heal();
    for wait in waits {
        wait.await.unwrap().unwrap();
    }

    let shown = shown(&told);
    let expected =
        ["store_lost", "store_still_lost", "store_still_lost", "store_still_lost", "store_back"];
    assert_eq!(events(&shown), expected);
    for told in &shown {
        assert_eq!((told.field("backend"), told.field("address")), ("faulty", "there:1"));
    }
    let lost = shown[0].message();
    assert!(
        lost.starts_with("the lock store faulty (there:1) is unavailable: not sent;"),
        "{lost}"
    );
    let still = shown[2].message();
    assert!(still.contains("has been unavailable for 6"), "{still}");
    assert!(still.contains(": not sent; 3 tasks wait for a lock, the first for 6"), "{still}");
    let back = shown[4].message();
    assert!(
        back.starts_with("the lock store faulty (there:1) is available again, after 1"),
        "{back}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_not_lost_and_does_not_flood_the_log() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let mut guards = Vec::new();
    for number in 0..20 {
        let lock = locks.lock(format!("kept:{number}")).ttl(S(60)).keep_alive();
        guards.push(lock.acquire().await.unwrap());
        // Each has a batch of its own.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    backend.renewals(vec![Fault::Refused; 1_000_000]);
    tokio::time::sleep(S(25)).await;
    let shown = shown(&told);
    assert!(shown.len() < 15, "{:?}", events(&shown));
    assert!(shown.iter().all(|told| matches!(told.event(), "renewal_refused" | "left_out")));
    let message = shown[0].message();
    assert!(message.starts_with("the store refused to renew 1 lock, and a lock "), "{message}");
    backend.heal();
}

#[test]
fn whoever_connects_is_told_which_store_was_chosen() {
    let told = record();
    let locks = LockService::builder(lock_core::memory::MemoryBackend::new())
        .namespace("shop:")
        .tokio_time()
        .build();
    locks.log_store();
    let shown = shown(&told);
    assert_eq!(events(&shown), ["store_chosen"]);
    assert_eq!(shown[0].level, Level::INFO);
    assert_eq!(shown[0].message(), "locks are stored in memory (locks of this process only)");
    assert_eq!(shown[0].field("namespace"), "shop:");
}

#[tokio::test(start_paused = true)]
async fn a_loss_names_the_setting_that_was_too_short() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let fixed = locks.lock("fixed").ttl(S(90)).acquire().await.unwrap();
    let kept = locks.lock("kept").ttl(S(30)).keep_alive().acquire().await.unwrap();
    let lock = locks.lock("max").ttl(S(30)).keep_alive().max_hold(S(45));
    let capped = lock.acquire().await.unwrap();
    tokio::time::sleep(S(50)).await;
    backend.renewals(vec![Fault::RequestLost; 1_000_000]);
    tokio::time::sleep(S(50)).await;
    for (guard, cause, cure) in [
        (&fixed, "its ttl of 90s ran out before it was released", "use keep_alive"),
        (&kept, "no renewal was confirmed within its ttl of 30s", "raise the ttl"),
        (&capped, "held for as long as max_hold allows", "raise max_hold"),
    ] {
        let error = guard.ensure_held().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Lost);
        let text = error.to_string();
        assert!(text.contains(cause) && text.contains(cure), "{text}");
        let name = guard.name().as_str();
        let told = told.borrow();
        let lost = told.iter().find(|told| told.event() == "lost" && told.field("lock") == name);
        let message = lost.unwrap().message();
        assert!(message.contains(cause) && message.contains(" after it was acquired"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_came_too_late_says_what_to_change() {
    let (told, backend) = (record(), Faulty::new());
    let locks = service(&backend);
    let guard = locks.lock("x").ttl(S(1)).acquire().await.unwrap();
    tokio::time::sleep(S(2)).await;
    guard.release().await;
    backend.releases([Fault::RequestLost]);
    locks.lock("y").acquire().await.unwrap().release().await;
    let told = told.borrow();
    let of = |lock: &str| {
        told.iter().find(|told| told.event() == "released" && told.field("lock") == lock).unwrap()
    };
    assert_eq!(of("x").level, Level::WARN);
    assert!(of("x").message().contains("raise the ttl"), "{:?}", of("x"));
    assert!(of("y").message().contains("the background repeats it"), "{:?}", of("y"));
}
