//! How a place in line is taken, kept and left.

use lock_core::backend::{AcquireReply, LockBackend, ReleaseReply};
use lock_testkit::proxy::{Cut, Direction};
use testbed::{RedisServer, ServerKind};

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    an_entry_names_its_token_its_channel_and_its_window,
    tickets_rise_and_the_status_counts_places,
    a_ticket_keeps_its_place_over_lost_entries_and_a_flush,
    a_place_whose_answer_was_lost_is_found_by_asking_again,
    a_release_sent_behind_its_acquire_leaves_the_line,
    a_last_try_outside_the_line_ends_the_place,
    whoever_follows_the_first_that_leaves_watches_the_holder,
    a_line_that_nobody_stands_in_has_no_key,
    a_full_server_lets_go_and_hands_over,
    a_replica_is_an_error_for_those_in_line,
    an_existing_connection_does_not_queue,
);

/// R27: no time is in it that a clock could spoil.
async fn an_entry_names_its_token_its_channel_and_its_window(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    take(&holder, "x", HOUR).await;
    let in_line = token();
    let _waiting = queue(&waiter, "x", in_line, None).await;
    let entries = entries(&mut store);
    let words: Vec<&str> = entries[0].split(' ').collect();
    let channels = store.channels();
    assert_eq!(words, ["1", &in_line.to_string(), &channels[0], "2000"]);
    // With the tag of the lock's slot, and digits that no other backend has.
    let line = line_key(&mut store);
    let tagged = line.replacen("dl:q:", "dl:c:", 1).replace(":lock:x", ":");
    let digits = channels[0].strip_prefix(&tagged).unwrap();
    assert!(digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{channels:?}");
    let left: i64 = store.run(&["PTTL", &line]);
    assert!(left > 30_000 && left <= 60_000, "{left}");
}

async fn tickets_rise_and_the_status_counts_places(kind: &ServerKind) {
    let store = Store::start(kind);
    let backend = store.backend();
    let (owner, fencing) = take(&backend, "x", HOUR).await;
    assert_eq!(status(&backend, "x").await.unwrap().waiters, Some(0));
    let mut last = fencing.get() >> 10;
    for place in 1..=20 {
        let ticket = queue(&backend, "x", token(), None).await.ticket.get();
        assert!(ticket > last, "{ticket} after {last}");
        last = ticket;
        assert_eq!(status(&backend, "x").await.unwrap().waiters, Some(place));
    }
    release(&backend, "x", owner).await.unwrap();
    assert_eq!(status(&backend, "x").await.unwrap().waiters, Some(19));
}

/// R10.
async fn a_ticket_keeps_its_place_over_lost_entries_and_a_flush(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, one, two] = [(); 3].map(|()| store.backend());
    take(&holder, "x", HOUR).await;
    let tokens = [token(), token()];
    let first = queue(&one, "x", tokens[0], None).await.ticket;
    let second = queue(&two, "x", tokens[1], None).await.ticket;
    let order = entries(&mut store);
    let line = line_key(&mut store);
    store.run::<()>(&["ZREM", &line, &order[0]]);
    assert_eq!(queue(&one, "x", tokens[0], Some(first)).await.ticket, first);
    assert_eq!(entries(&mut store), order);

    store.run::<()>(&["FLUSHALL"]);
    let (owner, _) = take(&holder, "x", HOUR).await;
    // They come back in the wrong order.
    let _waiting = queue(&two, "x", tokens[1], Some(second)).await;
    let waiting = queue(&one, "x", tokens[0], Some(first)).await;
    assert_eq!(entries(&mut store), order);
    release(&holder, "x", owner).await.unwrap();
    pushed(waiting).await;
}

async fn a_place_whose_answer_was_lost_is_found_by_asking_again(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let holder = store.backend();
    let waiter = store.backend_behind_proxy(LIMIT);
    let (owner, _) = take(&holder, "x", HOUR).await;
    // Makes the connection, and subscribes.
    let _other = queue(&waiter, "x", token(), None).await;
    store.proxy.arm(Cut::after_bytes(Direction::ToClient, 0));
    let (lost, behind) = (token(), token());
    ask(&waiter, "x", lost, None).await.unwrap_err();
    let _behind = queue(&holder, "x", behind, None).await;
    let order = entries(&mut store);
    let _waiting = queue(&waiter, "x", lost, None).await;
    assert_eq!(entries(&mut store), order);
    assert_eq!(release(&waiter, "x", lost).await.unwrap(), ReleaseReply::HeldByOther);
    assert_eq!(entries(&mut store).len(), 2);
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
}

/// R3.
async fn a_release_sent_behind_its_acquire_leaves_the_line(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let _subscribed = queue(&waiter, "x", token(), None).await;
    for _ in 0..100 {
        let token = token();
        let asking = ask(&waiter, "x", token, None);
        let (asked, released) = tokio::join!(biased; asking, release(&waiter, "x", token));
        assert!(matches!(asked.unwrap(), AcquireReply::Queued(_)));
        assert_eq!(released.unwrap(), ReleaseReply::HeldByOther);
    }
    assert_eq!(entries(&mut store).len(), 1);
    release(&holder, "x", owner).await.unwrap();
}

async fn a_last_try_outside_the_line_ends_the_place(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    take(&holder, "x", HOUR).await;
    let in_line = token();
    drop(queue(&waiter, "x", in_line, None).await);
    store.run::<()>(&["DEL", "lock:x"]);
    fencing(attempt(&waiter, "x", in_line, HOUR).await.unwrap());
    assert_eq!(store.keys(), ["lock:x"]);
}

async fn whoever_follows_the_first_that_leaves_watches_the_holder(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    take(&backend, "x", HOUR).await;
    let leaver = token();
    let _waiting = queue(&backend, "x", leaver, None).await;
    let mut next = Subscriber::start(&store, "a");
    let follower = token().to_string();
    stand(&mut store, 1 << 52, &format!("1 {follower} a 2000"));
    assert_eq!(release(&backend, "x", leaver).await.unwrap(), ReleaseReply::HeldByOther);
    assert!(next.next_message().starts_with(&format!("h {follower} 3")));
}

async fn a_line_that_nobody_stands_in_has_no_key(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", HOUR).await;
    let tokens = [(); 3].map(|()| token());
    for token in tokens {
        drop(queue(&backend, "x", token, None).await);
    }
    for token in tokens {
        assert_eq!(release(&backend, "x", token).await.unwrap(), ReleaseReply::HeldByOther);
    }
    assert_eq!(store.keys(), ["lock:x"]);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// F19.
async fn a_full_server_lets_go_and_hands_over(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let waiting = queue(&waiter, "x", token(), None).await;
    store.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    store.run::<()>(&["CONFIG", "SET", "maxmemory", "100kb"]);
    let error = ask(&waiter, "x", token(), None).await.unwrap_err();
    assert!(error.is_not_applied() && error.to_string().contains("maxmemory"), "{error}");
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
    pushed(waiting).await;
    assert_eq!(store.keys(), ["lock:x"]);
}

/// R38.
async fn a_replica_is_an_error_for_those_in_line(kind: &ServerKind) {
    let master = RedisServer::start(kind).unwrap();
    let mut store = Store::start(kind);
    let backend = store.backend();
    take(&backend, "x", HOUR).await;
    let in_line = token();
    let ticket = queue(&backend, "x", in_line, None).await.ticket;
    store.run::<()>(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    for token in [in_line, token()] {
        for ticket in [Some(ticket), None] {
            let error = ask(&backend, "x", token, ticket).await.unwrap_err();
            assert!(error.is_not_applied() && error.to_string().contains("replica"), "{error}");
        }
        let error = release(&backend, "x", token).await.unwrap_err();
        assert!(error.is_not_applied() && error.to_string().contains("replica"), "{error}");
    }
}

/// R26.
async fn an_existing_connection_does_not_queue(kind: &ServerKind) {
    let store = Store::start(kind);
    let client = redis::Client::open(store.server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let backend = build(RedisBackend::builder().connection(connection));
    assert!(!backend.capabilities().queueing);
    assert!(store.backend().capabilities().queueing);
    take(&backend, "x", HOUR).await;
    assert!(is_held(&ask(&backend, "x", token(), None).await.unwrap()));
    // It sees those who do.
    let _waiting = queue(&store.backend(), "x", token(), None).await;
    assert_eq!(status(&backend, "x").await.unwrap().waiters, Some(1));
}
