//! Which channels a backend is subscribed to, and what comes over them.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use lock_core::backend::Wake;
use lock_testkit::proxy::Scope;
use testbed::ServerKind;
use tokio::task::JoinSet;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    whoever_waits_is_subscribed_in_the_slot_of_the_lock_and_in_no_other,
    those_who_wait_in_one_slot_are_subscribed_once_and_pushes_are_tried_once,
    a_new_connection_subscribes_where_somebody_waits,
    a_push_over_the_channel_of_another_slot_is_believed,
    a_thousand_names_are_waited_for_in_a_thousand_slots,
    whoever_may_not_subscribe_in_many_slots_is_told_once,
);

/// What is between the braces, and what is behind them.
fn parts(channel: &str) -> (&str, &str) {
    channel.strip_prefix("dl:c:{").unwrap().split_once("}:").unwrap()
}

async fn whoever_waits_is_subscribed_in_the_slot_of_the_lock_and_in_no_other(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, one, two] = [(); 3].map(|()| store.backend());
    for name in ["x", "y"] {
        take(&holder, name, HOUR).await;
    }
    assert_eq!(store.channels(), Vec::<String>::new());
    let _x = queue(&one, "x", token(), None).await;
    let in_x = store.channels().remove(0);
    let _y = queue(&one, "y", token(), None).await;
    let mut both = store.channels();
    both.retain(|channel| *channel != in_x);
    let [in_y] = &both[..] else { panic!("{both:?}") };
    let (tags, digits) = ([parts(&in_x).0, parts(in_y).0], parts(&in_x).1);
    assert_ne!(tags[0], tags[1]);
    assert_eq!(digits, parts(in_y).1);
    // Another backend waits in one of the slots only.
    let _y = queue(&two, "y", token(), None).await;
    let mut others = store.channels();
    others.retain(|channel| !channel.ends_with(digits));
    let [other] = &others[..] else { panic!("{others:?}") };
    assert_eq!(parts(other).0, tags[1]);
}

async fn those_who_wait_in_one_slot_are_subscribed_once_and_pushes_are_tried_once(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let Words { subscribe, publish, .. } = store.words();
    let mut waiting = Vec::new();
    // What is in braces decides about the slot.
    for (name, subscriptions) in [("{a}1", 1), ("{a}2", 1), ("{b}1", 2), ("{a}1", 2), ("{b}2", 2)] {
        attempt(&holder, name, token(), HOUR).await.unwrap();
        waiting.push(queue(&waiter, name, token(), None).await);
        assert_eq!(store.calls_of(subscribe), subscriptions, "{name}");
        assert_eq!(store.channels().len() as u64, subscriptions, "{name}");
        assert_eq!(store.calls_of(publish), 1, "{name}");
    }
}

/// Under the same names: the places of those who wait live again.
async fn a_new_connection_subscribes_where_somebody_waits(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let holder = store.backend();
    let waiter = store.backend_behind_proxy(LIMIT);
    let mut waiting = Vec::new();
    for name in ["x", "y"] {
        take(&holder, name, HOUR).await;
        let token = token();
        waiting.push((name, token, queue(&waiter, name, token, None).await));
    }
    let before: HashSet<String> = store.channels().into_iter().collect();
    store.proxy.reset(Scope::Existing);
    until(|| store.channels().is_empty()).await;
    for (place, (name, token, waiting)) in waiting.into_iter().enumerate() {
        let ticket = waiting.ticket;
        assert_eq!(news(waiting).await, Wake::AskAgain);
        drop(queue(&waiter, name, token, Some(ticket)).await);
        assert_eq!(store.channels().len(), place + 1);
    }
    assert_eq!(store.channels().into_iter().collect::<HashSet<_>>(), before);
}

/// The token says whom it is for.
async fn a_push_over_the_channel_of_another_slot_is_believed(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    for name in ["x", "y"] {
        take(&holder, name, HOUR).await;
    }
    let token = token();
    let _other = queue(&waiter, "y", crate::common::token(), None).await;
    let channel = store.channels().remove(0);
    let waiting = queue(&waiter, "x", token, None).await;
    let number = waiting.ticket.get() + 1;
    assert_eq!(store.publish(&channel, &format!("g {token} {number} 2000")), 1);
    assert_eq!(pushed(waiting).await.fencing.unwrap().get() >> 10, number);
}

async fn a_thousand_names_are_waited_for_in_a_thousand_slots(kind: &ServerKind) {
    const SLOTS: usize = 1_000;
    let mut store = Store::start(kind);
    let holder = store.backend();
    let locks = strict(store.backend());
    let mut held = Vec::new();
    // Whoever meets a slot for the first time leaves a counter there.
    let counters = |store: &mut Store| store.run::<Vec<String>>(&["KEYS", "dl:f:*"]).len();
    for number in 0.. {
        let name = format!("name-{number}");
        let (owner, _) = take(&holder, &name, HOUR).await;
        if counters(&mut store) > held.len() {
            held.push((name, owner));
        }
        if held.len() == SLOTS {
            break;
        }
    }
    let mut waiting = JoinSet::new();
    for (name, _) in &held {
        let lock = locks.lock(name.as_str()).ttl(HOUR).wait(HOUR);
        waiting.spawn(async move { lock.acquire().await.unwrap().release().await });
    }
    let in_line = |store: &mut Store| store.run::<Vec<String>>(&["KEYS", "dl:q:*"]).len();
    while in_line(&mut store) < SLOTS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.channels().len(), SLOTS);
    let publish = store.words().publish;
    let before = store.calls_of(publish);
    for (name, owner) in &held {
        release(&holder, name, *owner).await.unwrap();
    }
    assert_eq!(store.calls_of(publish) - before, SLOTS as u64);
    for released in waiting.join_all().await {
        assert!(released.is_released(), "{released}");
    }
    locks.shutdown(Duration::ZERO).await;
}

/// The questions are under way at the same time.
async fn whoever_may_not_subscribe_in_many_slots_is_told_once(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let user = format!("ACL SETUSER app on >pw ~* &* +@all -{}", words(kind).subscribe);
    store.run::<()>(&user.split(' ').collect::<Vec<_>>());
    let holder = store.backend();
    let names: Vec<String> = (0..16).map(|number| format!("name-{number}")).collect();
    for name in &names {
        take(&holder, name, HOUR).await;
    }
    let log = Log::default();
    log.of(async {
        let url = format!("redis://app:pw@{}", store.server.address());
        let backend = build(RedisBackend::builder().url(url));
        for _ in 0..2 {
            let asked = join_all(names.iter().map(|name| ask(&backend, name, token(), None)));
            assert!(asked.await.iter().all(|asked| is_held(asked.as_ref().unwrap())));
        }
        assert!(!backend.capabilities().queueing);
    });
    assert_eq!(log.text().matches("WARN").count(), 1, "{}", log.text());
}
