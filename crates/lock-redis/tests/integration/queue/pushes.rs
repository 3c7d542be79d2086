//! Which pushes are believed, and what happens when pushes are lost or forbidden.

use std::time::Duration;

use futures_util::FutureExt;
use lock_core::backend::{Clock, LockBackend, Wake};
use lock_testkit::proxy::{Direction, Fault, Scope};
use testbed::ServerKind;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    a_push_counts_from_the_request_that_it_answers,
    a_push_from_before_the_last_answer_is_not_believed,
    a_push_that_took_half_of_its_window_is_asked_for,
    pushes_for_others_and_strange_ones_are_passed_over,
    those_whose_pushes_are_lost_ask_again_and_keep_their_places,
    whoever_may_not_subscribe_does_not_queue,
    nothing_is_sent_in_a_transaction,
);

/// The channel of the only backend that is subscribed.
fn channel(store: &mut Store) -> String {
    store.channels().remove(0)
}

/// R5, R31.
async fn a_push_counts_from_the_request_that_it_answers(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, before) = take(&holder, "x", HOUR).await;
    let asked = Clock::SYSTEM.now();
    let waiting = queue(&waiter, "x", token(), None).await;
    let answered = Clock::SYSTEM.now();
    release(&holder, "x", owner).await.unwrap();
    let grant = pushed(waiting).await;
    assert!(grant.since.unwrap() >= asked && grant.since.unwrap() <= answered);
    assert_eq!(grant.granted_ttl, Some(WINDOW));
    assert!(grant.fencing.unwrap() > before);
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) <= 2_000);
}

/// R5.
async fn a_push_from_before_the_last_answer_is_not_believed(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    take(&holder, "x", HOUR).await;
    let token = token();
    let mut waiting = queue(&waiter, "x", token, None).await;
    let (channel, old) = (channel(&mut store), waiting.ticket.get());
    let say = |store: &mut Store, number: u64| {
        assert_eq!(store.publish(&channel, &format!("g {token} {number} 2000")), 1);
    };
    for number in [old, old - 1] {
        say(&mut store, number);
        // An answer on the same connection comes behind the push.
        Arc::clone(&waiter).ping().await.unwrap();
        assert_eq!((&mut waiting.wake).now_or_never(), None);
    }
    // An hour ahead of the counter: it must be newer than the answer.
    let new = old + 3_600_000_000;
    say(&mut store, new);
    assert_eq!(pushed(waiting).await.fencing.unwrap().get() >> 10, new);
}

/// R5.
async fn a_push_that_took_half_of_its_window_is_asked_for(kind: &ServerKind) {
    let store = Store::start(kind);
    let holder = store.backend();
    let waiter = store.backend_behind_proxy(LIMIT);
    let (owner, _) = take(&holder, "x", HOUR).await;
    let token = token();
    let waiting = queue(&waiter, "x", token, None).await;
    let ticket = waiting.ticket;
    store.proxy.set(Direction::ToClient, Scope::All, Fault::Delay(WINDOW * 3 / 4));
    release(&holder, "x", owner).await.unwrap();
    assert_eq!(news(waiting).await, Wake::AskAgain);
    store.proxy.heal();
    fencing(ask(&waiter, "x", token, Some(ticket)).await.unwrap());
}

/// R29.
async fn pushes_for_others_and_strange_ones_are_passed_over(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let token = token();
    let waiting = queue(&waiter, "x", token, None).await;
    let channel = channel(&mut store);
    let other = crate::common::token();
    for message in [
        format!("g {other} 9007199254740000 2000"),
        format!("h {other} 1"),
        format!("g {token}"),
        format!("g {token} -1 2000"),
        format!("g {token} 18446744073709551616 2000"),
        format!("k {token} 9007199254740000 2000"),
        "g".to_owned(),
        String::new(),
    ] {
        store.publish(&channel, &message);
    }
    release(&holder, "x", owner).await.unwrap();
    let grant = pushed(waiting).await;
    assert!(grant.fencing.unwrap().get() >> 10 < 9_007_199_254_740_000);
    // Each backend has a channel of its own.
    assert_eq!(store.channels().len(), 1);
    drop(queue(&holder, "x", other, None).await);
    assert_eq!(store.channels().len(), 2);
}

/// R10, R12, F8.
async fn those_whose_pushes_are_lost_ask_again_and_keep_their_places(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let holder = store.backend();
    let waiter = store.backend_behind_proxy(LIMIT);
    let (owner, _) = take(&holder, "x", HOUR).await;
    let mut line = Vec::new();
    for _ in 0..16 {
        let token = token();
        line.push((token, queue(&waiter, "x", token, None).await));
    }
    let order = entries(&mut store);
    store.proxy.reset(Scope::Existing);
    let mut again = Vec::new();
    for (token, waiting) in line {
        let ticket = waiting.ticket;
        assert_eq!(news(waiting).await, Wake::AskAgain);
        again.push(queue(&waiter, "x", token, Some(ticket)).await);
    }
    assert_eq!(entries(&mut store), order);
    release(&holder, "x", owner).await.unwrap();
    pushed(again.remove(0)).await;
}

/// F25.
async fn whoever_may_not_subscribe_does_not_queue(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let url = format!("redis://app:pw@{}", store.server.address());
    let Words { subscribe, publish, .. } = words(kind);
    let commands = [subscribe, publish, "pubsub"].map(|command| format!("-{command}"));
    for rule in commands.iter().map(String::as_str).chain(["resetchannels"]) {
        let user = ["ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "&*", "+@all", rule];
        store.run::<()>(&user);
        let backend = build(RedisBackend::builder().url(url.as_str()));
        assert!(backend.capabilities().queueing);
        take(&backend, rule, HOUR).await;
        assert!(is_held(&ask(&backend, rule, token(), None).await.unwrap()), "{rule}");
        assert!(!backend.capabilities().queueing, "{rule}");
        assert!(is_held(&ask(&backend, rule, token(), None).await.unwrap()), "{rule}");
    }
}

/// R16: a push would come in the middle of its answer.
async fn nothing_is_sent_in_a_transaction(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", HOUR).await;
    let waiting = queue(&backend, "x", token(), None).await;
    let _status = status(&backend, "x").await;
    release(&backend, "x", owner).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), pushed(waiting)).await.unwrap();
    assert_eq!(store.calls_of("multi"), 0);
}
