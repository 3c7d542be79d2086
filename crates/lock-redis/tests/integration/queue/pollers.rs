//! Beside those who ask for a lock again and again: other libraries, and waiters whom no
//! push reaches.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lock_core::LockService;
use lock_core::backend::{AcquireReply, Wake};
use testbed::ServerKind;
use tokio::task::JoinSet;

use super::*;
use crate::common::*;
use crate::on_every_server;

on_every_server!(
    what_a_foreigner_releases_early_is_had_soon,
    a_first_that_is_dead_does_not_keep_the_next_from_asking_often,
    a_queue_that_has_used_its_turn_leaves_the_lock_to_those_who_poll,
    a_turn_of_the_queue_is_45_ms_and_the_gap_behind_it_110_ms,
    a_poller_that_was_seen_is_known_for_a_minute,
    a_lease_that_nobody_gave_back_ends_a_turn_as_well,
    the_lock_goes_on_after_a_gap_whose_first_is_frozen,
    whoever_asked_while_a_poller_had_the_lock_is_told_of_its_release,
    a_gap_of_a_clock_that_was_set_back_is_over,
    a_poller_is_served_beside_a_queue_that_is_never_empty,
    a_waiter_whom_no_push_reaches_is_served_beside_a_queue,
    nobody_waits_for_a_gap_where_no_poller_was_seen,
);

/// A tenth of a second where all is well; it was ten seconds. A busy machine is late.
const SOON: Duration = Duration::from_secs(3);
/// Of a gap where a poller is about; none lasts longer.
const GAP: Duration = Duration::from_millis(110);
const TOKEN: &str = "00000000000000000000000000000001";

/// Says that there are pollers, and since when the queue has used the lock, in microseconds.
fn mark(store: &mut Store, began: u64, ended: u64) {
    let mark = mark_key(store);
    store.run::<()>(&["SET", &mark, &format!("{began} {ended}"), "PX", "60000"]);
    say(store, "dl*");
}

fn mark_key(store: &mut Store) -> String {
    line_key(store).replacen("dl:q:", "dl:m:", 1)
}

/// The time on the server, in microseconds.
fn server_time(store: &mut Store) -> u64 {
    let (seconds, micros): (u64, u64) = store.run(&["TIME"]);
    seconds * 1_000_000 + micros
}

fn is_queued(reply: &AcquireReply) -> bool {
    matches!(reply, AcquireReply::Queued(_))
}

async fn what_a_foreigner_releases_early_is_had_soon(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(store.backend());
    let (owner, _) = take(&backend, "x", HOUR).await;
    release(&backend, "x", owner).await.unwrap();
    for theirs in ["theirs", &"0".repeat(32)] {
        store.run::<()>(&["SET", "lock:x", theirs, "NX", "PX", "3600000"]);
        let mut waiting = JoinSet::new();
        for _ in 0..4 {
            waiting.spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
        }
        while status(&backend, "x").await.and_then(|status| status.waiters) != Some(4) {}
        store.run::<u64>(&["DEL", "lock:x"]);
        let begin = Instant::now();
        while let Some(guard) = waiting.join_next().await {
            assert!(guard.unwrap().unwrap().release().await.is_released());
        }
        assert!(begin.elapsed() < SOON, "it took {:?}", begin.elapsed());
    }
}

async fn a_first_that_is_dead_does_not_keep_the_next_from_asking_often(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let locks = strict(store.backend());
    let (owner, _) = take(&backend, "x", HOUR).await;
    release(&backend, "x", owner).await.unwrap();
    store.run::<()>(&["SET", "lock:x", "theirs", "PX", "3600000"]);
    stand(&mut store, 1, &format!("1 {TOKEN} nobody 2000"));
    let waiting = tokio::spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    until(|| entries(&mut store).iter().all(|entry| !entry.contains("nobody"))).await;
    assert_eq!(entries(&mut store).len(), 1);
    store.run::<()>(&["DEL", "lock:x"]);
    let guard = soon(SOON, waiting).await.unwrap().unwrap();
    assert!(guard.release().await.is_released());
}

async fn a_queue_that_has_used_its_turn_leaves_the_lock_to_those_who_poll(kind: &ServerKind) {
    // What comes after the gap proves nothing, and a busy machine may be late.
    while !leaves_the_lock_to_those_who_poll(&mut Store::start(kind)).await {}
}

/// Whether all that is to happen in the gap did.
async fn leaves_the_lock_to_those_who_poll(store: &mut Store) -> bool {
    let (holder, waiters) = (store.backend(), store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let (first, second) = (token(), token());
    let waiting = queue(&waiters, "x", first, None).await;
    mark(store, 1, 0);
    // Before the gap begins, which is when the server gets the release.
    let begin = Instant::now();
    release(&holder, "x", owner).await.unwrap();
    // Nobody in the queue has it, nobody who comes to stand in it gets it, and whoever polls does.
    assert_eq!(store.run::<Option<String>>(&["GET", "lock:x"]), None);
    let newcomer = ask(&holder, "x", second, None).await.unwrap();
    let poller = token();
    let polled = attempt(&holder, "x", poller, HOUR).await.unwrap();
    release(&holder, "x", poller).await.unwrap();
    if begin.elapsed() >= GAP {
        return false;
    }
    assert!(is_queued(&newcomer), "{newcomer:?}");
    assert!(matches!(polled, AcquireReply::Granted(_)), "{polled:?}");
    // The first was told when the gap ends.
    let ticket = waiting.ticket;
    assert_eq!(soon(SOON, news(waiting)).await, Wake::AskAgain);
    assert!(begin.elapsed() >= GAP, "{:?}", begin.elapsed());
    fencing(ask(&waiters, "x", first, Some(ticket)).await.unwrap());
    true
}

async fn a_turn_of_the_queue_is_45_ms_and_the_gap_behind_it_110_ms(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let (holder, waiters) = (store.backend(), store.backend());
    let (mut has_gone_on, mut has_left_a_gap) = (false, false);
    // A busy machine makes a long turn of a short one.
    for used in [45_000, 5_000].into_iter().cycle() {
        let (owner, _) = take(&holder, "x", HOUR).await;
        let waiter = token();
        let waiting = queue(&waiters, "x", waiter, None).await;
        let before = server_time(&mut store);
        mark(&mut store, before - used, 0);
        release(&holder, "x", owner).await.unwrap();
        let after = server_time(&mut store);
        if store.run::<Option<String>>(&["GET", "lock:x"]).is_some() {
            assert!(used < 45_000);
            has_gone_on = true;
        } else {
            assert!(after - before + used >= 45_000, "a gap after {} µs", after - before + used);
            let mark = mark_key(&mut store);
            let turn: String = store.run(&["GET", &mark]);
            let ends: u64 = turn.split(' ').next_back().unwrap().parse().unwrap();
            assert!((before..=after).contains(&(ends - 110_000)), "{turn}, {before} to {after}");
            has_left_a_gap = true;
        }
        drop(waiting);
        release(&waiters, "x", waiter).await.unwrap();
        if has_gone_on && has_left_a_gap {
            return;
        }
    }
}

async fn a_poller_that_was_seen_is_known_for_a_minute(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    store.run::<()>(&["SET", "lock:x", "theirs", "PX", "3600000"]);
    let _waiting = queue(&backend, "x", token(), None).await;
    let mark = mark_key(&mut store);
    let left: u64 = store.run(&["PTTL", &mark]);
    assert!((30_000..=60_000).contains(&left), "{left}");
}

async fn a_lease_that_nobody_gave_back_ends_a_turn_as_well(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, backend] = [(); 2].map(|()| store.backend());
    take(&holder, "x", HOUR).await;
    // So that it knows that others want the lock, and does not try to take it for free.
    let before = token();
    drop(queue(&backend, "x", before, None).await);
    release(&backend, "x", before).await.unwrap();
    mark(&mut store, 1, 0);
    store.run::<()>(&["DEL", "lock:x"]);
    let waiter = token();
    let waiting = queue(&backend, "x", waiter, None).await;
    let ticket = waiting.ticket;
    assert_eq!(soon(SOON, news(waiting)).await, Wake::AskAgain);
    fencing(ask(&backend, "x", waiter, Some(ticket)).await.unwrap());
}

/// It is subscribed, and neither asks nor takes up what it is granted.
async fn the_lock_goes_on_after_a_gap_whose_first_is_frozen(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let holder = store.backend();
    let locks = strict(store.backend());
    let (owner, _) = take(&holder, "x", HOUR).await;
    let _frozen = Subscriber::start(&store, "a");
    stand(&mut store, 1, &format!("1 {TOKEN} a 50"));
    let waiting = tokio::spawn(locks.lock("x").ttl(HOUR).wait(HOUR).acquire());
    until(|| entries(&mut store).len() == 2).await;
    mark(&mut store, 1, 0);
    release(&holder, "x", owner).await.unwrap();
    let guard = soon(SOON, waiting).await.unwrap().unwrap();
    assert!(guard.release().await.is_released());
}

/// In a gap, under a lease that they were told of and that is far from its end.
async fn whoever_asked_while_a_poller_had_the_lock_is_told_of_its_release(kind: &ServerKind) {
    while !is_told_of_a_release_in_a_gap(&mut Store::start(kind)).await {}
}

/// Whether the release was in the gap.
async fn is_told_of_a_release_in_a_gap(store: &mut Store) -> bool {
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", HOUR).await;
    release(&backend, "x", owner).await.unwrap();
    // As long as can be, so that none of this comes after it.
    let begin = Instant::now();
    let ends = server_time(store) + 900_000;
    mark(store, ends, ends);
    let (poller, _) = take(&backend, "x", HOUR).await;
    let waiter = token();
    let waiting = queue(&backend, "x", waiter, None).await;
    release(&backend, "x", poller).await.unwrap();
    if begin.elapsed() >= Duration::from_millis(900) {
        return false;
    }
    let ticket = waiting.ticket;
    assert_eq!(soon(SOON, news(waiting)).await, Wake::AskAgain);
    fencing(ask(&backend, "x", waiter, Some(ticket)).await.unwrap());
    true
}

async fn a_gap_of_a_clock_that_was_set_back_is_over(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let (owner, _) = take(&backend, "x", HOUR).await;
    release(&backend, "x", owner).await.unwrap();
    let in_a_year = 1_000_000 * 3_600 * 24 * 365 * 80;
    mark(&mut store, in_a_year, in_a_year);
    fencing(ask(&backend, "x", token(), None).await.unwrap());
}

/// Two services whose tasks want the lock all the time.
fn keep_busy(store: &Store, ended: &Arc<AtomicBool>) -> JoinSet<u64> {
    let mut tasks = JoinSet::new();
    for locks in [(); 2].map(|()| strict(store.backend())) {
        for _ in 0..2 {
            let (locks, ended) = (locks.clone(), Arc::clone(ended));
            tasks.spawn(async move {
                let mut sections = 0;
                while !ended.load(Ordering::Relaxed) {
                    let guard = locks.lock("x").ttl(HOUR).wait(HOUR).acquire().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    assert!(guard.release().await.is_released());
                    sections += 1;
                }
                sections
            });
        }
    }
    tasks
}

async fn a_poller_is_served_beside_a_queue_that_is_never_empty(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let ended = Arc::new(AtomicBool::new(false));
    let tasks = keep_busy(&store, &ended);
    let set = ["SET", "lock:x", "theirs", "NX", "PX", "3600000"];
    let mut longest = Duration::ZERO;
    for section in 0..10 {
        let begin = Instant::now();
        while store.run::<Option<String>>(&set).is_none() {
            assert!(begin.elapsed() < LIMIT, "nothing in {LIMIT:?}, after {section} sections");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if section > 0 {
            longest = longest.max(begin.elapsed());
        }
        // So long that somebody sees it.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(store.run::<String>(&["GET", "lock:x"]), "theirs");
        store.run::<()>(&["DEL", "lock:x"]);
    }
    assert!(longest < SOON, "{longest:?}");
    ended.store(true, Ordering::Relaxed);
    assert!(tasks.join_all().await.into_iter().all(|sections| sections > 0));
}

async fn a_waiter_whom_no_push_reaches_is_served_beside_a_queue(kind: &ServerKind) {
    let store = Store::start(kind);
    let ended = Arc::new(AtomicBool::new(false));
    let tasks = keep_busy(&store, &ended);
    let client = redis::Client::open(store.server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let locks = LockService::new(build(RedisBackend::builder().connection(connection)));
    for _ in 0..10 {
        let guard = locks.lock("x").ttl(HOUR).wait(LIMIT).acquire().await.unwrap();
        assert!(guard.release().await.is_released());
    }
    ended.store(true, Ordering::Relaxed);
    assert!(tasks.join_all().await.into_iter().all(|sections| sections > 0));
}

/// Also not of one that ended long ago, and not in vain.
async fn nobody_waits_for_a_gap_where_no_poller_was_seen(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks =
        strict(build(RedisBackend::builder().url(store.server.url()).look_out_for_pollers(false)));
    let sections = Arc::new(AtomicU64::new(0));
    let tasks = (0..4).map(|_| {
        let (locks, sections) = (locks.clone(), Arc::clone(&sections));
        tokio::spawn(async move {
            while sections.fetch_add(1, Ordering::Relaxed) < 500 {
                let guard = locks.lock("x").ttl(HOUR).wait(HOUR).acquire().await.unwrap();
                assert!(guard.release().await.is_released());
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mark = mark_key(&mut store);
    assert_eq!(store.run::<u64>(&["EXISTS", &mark]), 0);
}
