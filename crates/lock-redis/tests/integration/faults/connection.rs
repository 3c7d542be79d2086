//! What becomes of locks when the way to the server is broken.

use std::time::{Duration, Instant};

use lock_core::{LockErrorKind, ReleaseOutcome};
use lock_testkit::proxy::{Direction, Fault, Scope};
use testbed::ServerKind;

use super::{LONG, behind_proxy, direct, in_time, left_behind};
use crate::common::{LIMIT, Store, soon};
use crate::on_every_server;

on_every_server!(
    a_half_open_connection_is_replaced,
    a_slow_connection_never_shows_more_than_the_server_has,
    a_grant_whose_answer_is_lost_is_undone,
    a_release_whose_answer_is_lost_is_unknown_and_done,
    a_server_that_speaks_garbage_is_an_error,
);

async fn a_half_open_connection_is_replaced(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = behind_proxy(&store);
    let lock = locks.lock("x").ttl(LONG);
    assert!(lock.acquire().await.unwrap().release().await.is_released());
    store.proxy.set_both(Scope::Existing, Fault::Swallow);
    let error = in_time(lock.try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(in_time(lock.try_acquire()).await.unwrap().is_some());
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

async fn a_slow_connection_never_shows_more_than_the_server_has(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = behind_proxy(&store);
    drop(locks.lock("before").acquire().await.unwrap());
    store.proxy.set_both(Scope::All, Fault::Delay(Duration::from_millis(100)));
    let guard = locks.lock("x").ttl(Duration::from_secs(5)).acquire().await.unwrap();
    let asked = Instant::now();
    let remaining = guard.remaining();
    let left: u64 = store.run(&["PTTL", "lock:x"]);
    // Read afterwards, so the server's is the smaller one by what passed between; it counts in whole
    // milliseconds.
    let passed = asked.elapsed() + Duration::from_millis(1);
    assert!(remaining < Duration::from_millis(left) + passed);
    assert!(remaining < Duration::from_millis(4_850), "{remaining:?}");

    // A lease that is over before its answer arrives is not handed out.
    loop {
        let short = locks.lock("y").ttl(Duration::from_millis(100));
        let error = short.try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable);
        if error.to_string().contains("longer than the lease") {
            break;
        }
        // A busy machine did not even send the request in time.
        assert!(error.is_not_applied(), "{error}");
    }
}

async fn a_grant_whose_answer_is_lost_is_undone(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = behind_proxy(&store);
    drop(locks.lock("before").acquire().await.unwrap());
    store.proxy.set(Direction::ToClient, Scope::Existing, Fault::Swallow);
    let error = in_time(locks.lock("x").ttl(LONG).try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    // Somebody else gets it, as soon as the undo is through.
    let other = direct(&store);
    let guard = soon(LIMIT, other.lock("x").ttl(LONG).wait(LIMIT).acquire()).await.unwrap();
    drop(guard);
    left_behind(&other, &mut store).await;
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

async fn a_release_whose_answer_is_lost_is_unknown_and_done(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = behind_proxy(&store);
    let guard = locks.lock("x").ttl(LONG).acquire().await.unwrap();
    store.proxy.set(Direction::ToClient, Scope::Existing, Fault::Swallow);
    assert_eq!(in_time(guard.release()).await, ReleaseOutcome::Unknown);
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

async fn a_server_that_speaks_garbage_is_an_error(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = behind_proxy(&store);
    let lock = locks.lock("x").ttl(LONG);
    assert!(lock.acquire().await.unwrap().release().await.is_released());
    store.proxy.set(Direction::ToClient, Scope::Existing, Fault::Corrupt { one_in: 1 });
    assert!(in_time(lock.try_acquire()).await.is_err());
    store.proxy.heal();
    let guard = soon(LIMIT, lock.clone().wait(LIMIT).acquire()).await.unwrap();
    assert!(guard.release().await.is_released());
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}
