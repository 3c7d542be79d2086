//! Lock services that wait for one name.

use std::sync::Arc;
use std::time::Duration;

use lock_core::LockErrorKind;
use testbed::ServerKind;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    the_order_of_service_is_the_order_of_arrival_across_services,
    a_pushed_grant_is_claimed_and_outlasts_its_window,
    a_wait_given_up_leaves_the_line,
    a_lock_that_a_foreigner_releases_goes_to_the_first_within_the_fallback_poll,
    those_in_line_and_a_poller_exclude_each_other,
    those_who_may_not_subscribe_any_more_poll_until_they_may_again,
    a_shutdown_takes_its_waiters_out_of_the_line,
);

const WAITERS: usize = 16;

/// Waits until so many stand in line for the lock `x`.
async fn until_in_line(backend: &Arc<RedisBackend>, waiters: usize) {
    while status(backend, "x").await.and_then(|status| status.waiters) != Some(waiters as u64) {}
}

async fn the_order_of_service_is_the_order_of_arrival_across_services(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let services = [(); 2].map(|()| strict(store.backend()));
    let (owner, _) = take(&backend, "x", HOUR).await;
    let (sender, mut served) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    for place in 0..WAITERS {
        let lock = services[place % 2].lock("x").ttl(HOUR).wait(HOUR);
        let sender = sender.clone();
        tasks.spawn(async move {
            let guard = lock.acquire().await.unwrap();
            sender.send(place).unwrap();
            assert!(guard.release().await.is_released());
        });
        until_in_line(&backend, place + 1).await;
    }
    release(&backend, "x", owner).await.unwrap();
    for place in 0..WAITERS {
        assert_eq!(served.recv().await, Some(place));
    }
    tasks.join_all().await;
    for locks in services {
        locks.shutdown(Duration::ZERO).await;
    }
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// R31.
async fn a_pushed_grant_is_claimed_and_outlasts_its_window(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(store.backend());
    let (owner, _) = take(&backend, "x", HOUR).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    until_in_line(&backend, 1).await;
    release(&backend, "x", owner).await.unwrap();
    let guard = waiting.await.unwrap().unwrap();
    until(|| store.run::<i64>(&["PTTL", "lock:x"]) > 60_000).await;
    until(|| guard.remaining() > WINDOW * 10).await;
    assert!(guard.release().await.is_released());
}

async fn a_wait_given_up_leaves_the_line(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(store.backend());
    take(&backend, "x", HOUR).await;
    let waits = (0..WAITERS).map(|place| {
        // The lease is far shorter than the wait.
        let lock = locks.lock("x").ttl(Duration::from_millis(50));
        let patience = Duration::from_millis(200 + 10 * place as u64);
        tokio::spawn(async move { tokio::time::timeout(patience, lock.wait(HOUR).acquire()).await })
    });
    for wait in waits.collect::<Vec<_>>() {
        wait.await.unwrap().unwrap_err();
    }
    locks.shutdown(Duration::ZERO).await;
    assert_eq!(store.keys(), ["lock:x"]);
}

/// R35, F29.
async fn a_lock_that_a_foreigner_releases_goes_to_the_first_within_the_fallback_poll(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(store.backend());
    // The line's key is known by the tag of the counter.
    let (owner, _) = take(&backend, "x", HOUR).await;
    release(&backend, "x", owner).await.unwrap();
    for expiry in [&["PX", "3600000"][..], &[]] {
        let set = [&["SET", "lock:x", "theirs", "NX"], expiry].concat();
        assert_eq!(store.run::<Option<String>>(&set).as_deref(), Some("OK"));
        let waiting = tokio::spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
        until_in_line(&backend, 1).await;
        store.run::<()>(&["DEL", "lock:x"]);
        let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
        assert!(guard.release().await.is_released());
    }
}

async fn those_in_line_and_a_poller_exclude_each_other(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let services = [(); 2].map(|()| strict(store.backend()));
    let (sender, mut served) = mpsc::unbounded_channel();
    // Whether it gets the lock beside them again is a matter of luck.
    let set = ["SET", "lock:x", "theirs", "NX", "PX", "3600000"];
    let mut is_theirs = store.run::<Option<String>>(&set).is_some();
    let mut tasks = JoinSet::new();
    for task in 0..WAITERS {
        let (locks, sender) = (services[task % 2].clone(), sender.clone());
        tasks.spawn(async move {
            for _ in 0..10 {
                let guard = locks.lock("x").ttl(HOUR).wait(HOUR).acquire().await.unwrap();
                sender.send(guard.fencing_token().unwrap()).unwrap();
                assert!(guard.release().await.is_released());
            }
        });
    }
    drop(sender);
    let mut sections = Vec::new();
    let mut theirs = 0;
    while sections.len() < WAITERS * 10 {
        if is_theirs || store.run::<Option<String>>(&set).is_some() {
            (is_theirs, theirs) = (false, theirs + 1);
            // Whatever was handed out before is in the channel by now; while it is theirs, nothing
            // comes in.
            while let Ok(token) = served.try_recv() {
                sections.push(token);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            let held = store.run::<String>(&["GET", "lock:x"]);
            assert_eq!(held, "theirs");
            store.run::<()>(&["DEL", "lock:x"]);
        }
        match tokio::time::timeout(Duration::from_millis(5), served.recv()).await {
            Ok(Some(token)) => sections.push(token),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    tasks.join_all().await;
    assert!(sections.is_sorted(), "{sections:?}");
    assert_eq!(sections.len(), WAITERS * 10);
    assert!(theirs > 0);
}

/// F25, while they stand in line.
async fn those_who_may_not_subscribe_any_more_poll_until_they_may_again(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let url = format!("redis://app:pw@{}", store.server.address());
    let allow = |store: &mut Store, rule: &str| {
        let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "&*", "+@all", rule];
        store.run::<()>(&user);
        // As the server does by itself with some of those whose rules have changed.
        store.run::<()>(&["CLIENT", "KILL", "USER", "app"]);
    };
    allow(&mut store, "+@all");
    let limited = build(RedisBackend::builder().url(url));
    let locks = strict(Arc::clone(&limited));
    let (owner, before) = take(&backend, "x", HOUR).await;
    let mut waiting = JoinSet::new();
    for _ in 0..WAITERS {
        waiting.spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    }
    until_in_line(&backend, WAITERS).await;
    allow(&mut store, &format!("-{}", words(kind).subscribe));
    until(|| !limited.capabilities().queueing).await;
    release(&backend, "x", owner).await.unwrap();
    while let Some(guard) = soon(LIMIT, waiting.join_next()).await {
        let guard = guard.unwrap().unwrap();
        assert!(guard.fencing_token().unwrap() > before);
        assert!(guard.release().await.is_released());
    }
    assert!(!limited.capabilities().queueing);
    allow(&mut store, "+@all");
    until(|| store.run::<String>(&["CLIENT", "LIST"]).matches("user=app").count() == 0).await;
    // The connection that was lost may be met once more.
    while locks.lock("y").try_acquire().await.is_err() {}
    assert!(limited.capabilities().queueing);
    take(&backend, "x", HOUR).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    until_in_line(&backend, 1).await;
    waiting.abort();
}

/// R39, F36.
async fn a_shutdown_takes_its_waiters_out_of_the_line(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(store.backend());
    let held = locks.lock("held").ttl(HOUR).acquire().await.unwrap();
    take(&backend, "x", HOUR).await;
    let mut waiting = JoinSet::new();
    for _ in 0..WAITERS {
        waiting.spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    }
    until_in_line(&backend, WAITERS).await;
    soon(LIMIT, locks.shutdown(Duration::ZERO)).await;
    for ended in waiting.join_all().await {
        assert_eq!(ended.unwrap_err().kind(), LockErrorKind::ShutDown);
    }
    assert!(!held.is_held());
    assert_eq!(store.keys(), ["lock:x"]);
    // The administrator's connection and the other backend's stay.
    until(|| store.connections() == 2).await;
}
