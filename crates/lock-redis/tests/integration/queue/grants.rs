//! Who is granted a lock that becomes free, and who is not.

use std::time::Duration;

use lock_core::backend::{AcquireReply, Clock, ReleaseReply, ReleaseRequest, RenewReply, Wake};
use testbed::ServerKind;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    a_release_grants_the_first_and_tells_the_next,
    both_of_one_channel_are_told_in_one_message,
    the_grant_tells_the_next_how_long_the_holder_has,
    a_grant_is_never_pushed_where_nobody_is_subscribed,
    a_grant_that_cannot_be_pushed_stands_until_it_is_asked_for,
    the_next_is_served_when_the_first_does_not_claim,
    ten_thousand_dead_do_not_hold_up_the_living,
    an_entry_of_a_later_version_is_passed_over_and_left_alone,
    nobody_overtakes_the_line_when_a_foreigner_deletes_the_lock,
    whoever_does_not_queue_takes_a_lock_that_only_the_dead_wait_for,
    a_rest_is_not_granted_and_the_first_watches_its_end,
    a_counter_of_another_type_costs_no_place,
    a_place_that_comes_back_when_its_token_is_done_costs_a_window,
);

const TOKEN: &str = "00000000000000000000000000000001";

async fn a_release_grants_the_first_and_tells_the_next(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, fencing) = take(&backend, "x", HOUR).await;
    let (mut first, mut next) = (Subscriber::start(&store, "a"), Subscriber::start(&store, "b"));
    let tokens = [TOKEN, "00000000000000000000000000000002"];
    stand(&mut store, 1, &format!("1 {} a 1500", tokens[0]));
    stand(&mut store, 2, &format!("1 {} b 2000", tokens[1]));
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    // Of the grant: the token, its number in digits, and the window.
    let grant = first.next_message();
    let words: Vec<&str> = grant.split(' ').collect();
    assert_eq!((words[0], words[1], words[3]), ("g", tokens[0], "1500"));
    assert!(words[2].parse::<u64>().unwrap() > fencing.get() >> 10, "{grant}");
    assert_eq!(next.next_message(), format!("h {} 1500", tokens[1]));
    assert_eq!(owner_at(&mut store), Some(owned_by(tokens[0])));
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) <= 1_500);
    assert_eq!(entries(&mut store).len(), 1);
}

/// Those in line in one process have one channel.
async fn both_of_one_channel_are_told_in_one_message(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", HOUR).await;
    let mut subscriber = Subscriber::start(&store, "a");
    let next = "00000000000000000000000000000002";
    stand(&mut store, 1, &format!("1 {TOKEN} a 1500"));
    stand(&mut store, 2, &format!("1 {next} a 2000"));
    let publish = store.words().publish;
    let before = store.calls_of(publish);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    let grant = subscriber.next_message();
    let words: Vec<&str> = grant.split(' ').collect();
    assert_eq!((words[1], words[3], words[4]), (TOKEN, "1500", next));
    assert_eq!(store.calls_of(publish), before + 1);
}

/// R9: in the same process as the first, which does not take it up.
async fn the_grant_tells_the_next_how_long_the_holder_has(kind: &ServerKind) {
    let store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let window = Duration::from_millis(200);
    let asked = ask_for(&waiter, "x", token(), window, None).await.unwrap();
    let AcquireReply::Queued(_never_polled) = asked else { panic!("{asked:?}") };
    let next = token();
    let waiting = queue(&waiter, "x", next, None).await;
    let ticket = waiting.ticket;
    release(&holder, "x", owner).await.unwrap();
    assert_eq!(soon(window * 20, news(waiting)).await, Wake::AskAgain);
    fencing(ask(&waiter, "x", next, Some(ticket)).await.unwrap());
}

/// R1.
async fn a_grant_is_never_pushed_where_nobody_is_subscribed(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", HOUR).await;
    stand(&mut store, 1, &format!("1 {TOKEN} nobody 2000"));
    let publish = store.words().publish;
    let before = store.calls_of(publish);
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(store.calls_of(publish), before);
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// R17: whoever releases may not publish, and does not know.
async fn a_grant_that_cannot_be_pushed_stands_until_it_is_asked_for(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let waiters = store.backend();
    let user = format!("ACL SETUSER app on >pw ~* +@all -{}", store.words().publish);
    store.run::<()>(&user.split(' ').collect::<Vec<_>>());
    let url = format!("redis://app:pw@{}", store.server.address());
    let holder = build(RedisBackend::builder().url(url));
    let (owner, _) = take(&holder, "x", HOUR).await;
    let waiter = token();
    let waiting = queue(&waiters, "x", waiter, None).await;
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(owner_at(&mut store), Some(owned_by(waiter)));
    assert_eq!(entries(&mut store), Vec::<String>::new());
    fencing(ask(&waiters, "x", waiter, Some(waiting.ticket)).await.unwrap());
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 60_000);
}

/// R9, F11: nothing but the hint tells the next that the holder has the lock for a window only.
async fn the_next_is_served_when_the_first_does_not_claim(kind: &ServerKind) {
    let store = Store::start(kind);
    let [holder, frozen, waiter] = [(); 3].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let window = Duration::from_millis(200);
    let asked = ask_for(&frozen, "x", token(), window, None).await.unwrap();
    let AcquireReply::Queued(never_polled) = asked else { panic!("{asked:?}") };
    let next = token();
    let waiting = queue(&waiter, "x", next, None).await;
    let ticket = waiting.ticket;
    release(&holder, "x", owner).await.unwrap();
    // Long before it would have asked by itself.
    assert_eq!(soon(window * 20, news(waiting)).await, Wake::AskAgain);
    fencing(ask(&waiter, "x", next, Some(ticket)).await.unwrap());
    // What the frozen one wakes up to is not believed: half of its window is over.
    assert_eq!(news(never_polled).await, Wake::AskAgain);
}

/// R18.
async fn ten_thousand_dead_do_not_hold_up_the_living(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let waiter = store.backend();
    // All that a release does ends within one response timeout.
    let builder = RedisBackend::builder().url(store.server.url());
    let holder = build(builder.response_timeout(LIMIT));
    let (owner, _) = take(&holder, "x", HOUR).await;
    let line = line_key(&mut store);
    let mut dead = redis::cmd("ZADD");
    dead.arg(&line);
    for ticket in 1..=10_000_u64 {
        dead.arg(ticket).arg(format!("1 {ticket:032x} nobody 2000"));
    }
    dead.exec(&mut store.admin).unwrap();
    let token = token();
    let waiting = queue(&waiter, "x", token, None).await;
    let ticket = waiting.ticket;
    let before = store.calls_of("evalsha");
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
    // At most 64 in one go.
    let ran = store.calls_of("evalsha") - before;
    // The first may only find that there is more to do than to delete the lock.
    assert!((158..=159).contains(&(ran + 1)), "{ran}");
    // That may have taken so long that the push is to be asked about.
    if news(waiting).await == Wake::AskAgain {
        fencing(ask(&waiter, "x", token, Some(ticket)).await.unwrap());
    }
    assert_eq!(store.keys(), ["lock:x"]);
}

async fn an_entry_of_a_later_version_is_passed_over_and_left_alone(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let strange = ["2 later", "junk", &format!("1 {TOKEN} nobody 0")];
    for entry in strange {
        stand(&mut store, 1, entry);
    }
    let waiting = queue(&waiter, "x", token(), None).await;
    release(&holder, "x", owner).await.unwrap();
    pushed(waiting).await;
    let mut left = entries(&mut store);
    left.sort();
    let mut strange = strange.map(str::to_owned);
    strange.sort();
    assert_eq!(left, strange);
}

async fn nobody_overtakes_the_line_when_a_foreigner_deletes_the_lock(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter, poller] = [(); 3].map(|()| store.backend());
    let (_, _) = take(&holder, "x", HOUR).await;
    let waiting = queue(&waiter, "x", token(), None).await;
    store.run::<()>(&["DEL", "lock:x"]);
    // The one who came later finds the lock free, and gives it to the one who came first.
    assert!(is_held(&attempt(&poller, "x", token(), HOUR).await.unwrap()));
    pushed(waiting).await;
}

async fn whoever_does_not_queue_takes_a_lock_that_only_the_dead_wait_for(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (_, _) = take(&backend, "x", HOUR).await;
    stand(&mut store, 1, &format!("1 {TOKEN} nobody 2000"));
    store.run::<()>(&["DEL", "lock:x"]);
    // One that does not take the lock for free.
    take(&store.backend(), "x", HOUR).await;
    assert_eq!(store.keys(), ["lock:x"]);
}

/// R24.
async fn a_rest_is_not_granted_and_the_first_watches_its_end(kind: &ServerKind) {
    let store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let next = token();
    let waiting = queue(&waiter, "x", next, None).await;
    let ticket = waiting.ticket;
    let rest = Duration::from_millis(500);
    let request = ReleaseRequest::new(key("x"), owner, Clock::SYSTEM).with_min_hold(rest);
    let released = Clock::SYSTEM.now();
    assert_eq!(release_with(&holder, request).await.unwrap(), ReleaseReply::Released);
    let asked = ask(&waiter, "x", next, Some(ticket)).await.unwrap();
    let AcquireReply::Queued(waiting) = asked else { panic!("{asked:?}") };
    assert_eq!(news(waiting).await, Wake::AskAgain);
    assert!(Clock::SYSTEM.now().saturating_duration_since(released) >= rest);
    fencing(ask(&waiter, "x", next, Some(ticket)).await.unwrap());
}

/// R17.
async fn a_counter_of_another_type_costs_no_place(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiter] = [(); 2].map(|()| store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let waiting = queue(&waiter, "x", token(), None).await;
    let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
    store.run::<()>(&["DEL", &counters[0]]);
    store.run::<()>(&["LPUSH", &counters[0], "1"]);
    release(&holder, "x", owner).await.unwrap_err();
    assert_eq!(entries_of(&mut store, &counters[0]), 1);
    store.run::<()>(&["DEL", &counters[0]]);
    // The lock is as it was; the release is repeated, as the core does.
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
    pushed(waiting).await;
}

/// R30: as a replica does that missed the removal, and takes over.
async fn a_place_that_comes_back_when_its_token_is_done_costs_a_window(kind: &ServerKind) {
    let mut store = Store::start(kind);
    // None of them leaves the lock free for those who poll.
    let backend = || RedisBackend::builder().url(store.server.url()).look_out_for_pollers(false);
    let [holder, waiter, other] = [(); 3].map(|()| build(backend()));
    let (owner, _) = take(&holder, "x", HOUR).await;
    let done = token();
    let waiting = queue(&waiter, "x", done, None).await;
    let place = entries(&mut store).remove(0);
    let ticket = waiting.ticket.get();
    release(&holder, "x", owner).await.unwrap();
    pushed(waiting).await;
    // As the core does: from here on only the second grant can end by itself.
    let renewed = renew(&waiter, "x", done, HOUR).await.unwrap();
    assert!(matches!(renewed, RenewReply::Renewed), "{renewed:?}");
    stand(&mut store, ticket, &place);
    let next = token();
    let waiting = queue(&other, "x", next, None).await;
    let ticket = waiting.ticket;
    assert_eq!(release(&waiter, "x", done).await.unwrap(), ReleaseReply::Released);
    // It was granted once more, and nobody is there to take it.
    assert_eq!(owner_at(&mut store), Some(owned_by(done)));
    // Long before the next would have asked by itself.
    assert_eq!(soon(WINDOW * 3, news(waiting)).await, Wake::AskAgain);
    fencing(ask(&other, "x", next, Some(ticket)).await.unwrap());
    assert_eq!(entries(&mut store), Vec::<String>::new());
}

fn entries_of(store: &mut Store, counter: &str) -> u64 {
    store.run(&["ZCARD", &format!("{}:lock:x", counter.replacen("dl:f:", "dl:q:", 1))])
}
