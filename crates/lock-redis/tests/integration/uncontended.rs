//! A lock that nobody else wants, by plain commands: what they cost, and what the scripts did besides.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, LockBackend, OwnerToken, ReleaseReply, RenewReply,
};
use lock_core::{FencingToken, LockErrorKind};
use lock_redis::RedisBackend;
use lock_testkit::proxy::{Direction, Fault, Scope};
use testbed::ServerKind;

use crate::common::*;
use crate::on_every_server;
use crate::queue::{HOUR, ask, line_key, pushed, queue};

on_every_server!(
    a_free_lock_costs_plain_commands,
    a_free_lock_without_a_number_costs_one_command_to_take,
    numbers_rise_across_locks_that_were_taken_without_one,
    without_the_right_to_end_connections_every_lock_is_taken_by_the_script,
    over_an_existing_connection_every_lock_is_taken_by_the_script,
    whoever_begins_to_wait_is_handed_a_lock_that_was_taken_plainly,
    a_lock_that_was_taken_plainly_is_renewed_looked_at_and_repeated,
    a_value_of_a_foreigner_is_left_alone_by_plain_commands,
    whoever_is_ready_to_wait_does_not_pass_the_queue_in_a_gap,
    the_first_number_of_a_connection_is_above_those_that_its_server_has_lost,
    a_plain_request_that_got_no_answer_never_runs_once_something_else_was_sent,
    a_plain_request_whose_answer_is_lost_is_undone,
);

/// Short, because some of it is waited for; long enough for a busy machine to connect anew in.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often each of these has run.
fn calls(store: &mut Store) -> [u64; 4] {
    ["set", "incr", "evalsha", "delifeq"].map(|command| store.calls_of(command))
}

async fn pairs(backend: &Arc<RedisBackend>, name: &str, count: usize) {
    for _ in 0..count {
        let (owner, _) = take(backend, name, MINUTE).await;
        assert_eq!(release(backend, name, owner).await.unwrap(), ReleaseReply::Released);
    }
}

async fn a_free_lock_costs_plain_commands(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    // The first of the slot lifts its counter, by the script.
    pairs(&backend, "x", 1).await;
    let before = calls(&mut store);
    pairs(&backend, "x", 100).await;
    let after = calls(&mut store);
    let ran: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    let compares = ran[2] + ran[3];
    assert_eq!((ran[1], compares), (100, 100), "{ran:?}");
    // Once in a while the process says who it is.
    assert!((100..=101).contains(&ran[0]), "{ran:?}");
    // What has a command for it needs no script.
    assert!(ran[2] == 0 || ran[3] == 0, "{ran:?}");
    assert_eq!(ran[3] == 100, *kind == ServerKind::VALKEY_9_1, "{ran:?}");
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// Takes a lock that is free, and has no use for a number; the number that comes all the same.
async fn take_without_number(
    backend: &Arc<RedisBackend>,
    name: &str,
) -> (OwnerToken, Option<FencingToken>) {
    let owner = token();
    let request = AcquireRequest::new(key(name), owner, MINUTE, Clock::SYSTEM).without_fencing();
    match Arc::clone(backend).acquire(request).await.unwrap() {
        AcquireReply::Granted(grant) => (owner, grant.fencing),
        other => panic!("not granted: {other:?}"),
    }
}

/// Also the first one, since no counter matters.
async fn a_free_lock_without_a_number_costs_one_command_to_take(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let all = |store: &mut Store| ["set", "incr", "mget", "time"].map(|name| store.calls_of(name));
    let mut before = None;
    for number in 0..101 {
        let (owner, fencing) = take_without_number(&backend, &format!("x{number}")).await;
        assert_eq!(fencing, None);
        if number == 0 {
            // What the greeting tried is over.
            before = Some(all(&mut store));
        }
        let released = release(&backend, &format!("x{number}"), owner).await.unwrap();
        assert_eq!(released, ReleaseReply::Released);
    }
    let [sets, counts, looks, scripts] = all(&mut store);
    let [sets_before, counts_before, looks_before, scripts_before] = before.unwrap();
    assert_eq!((sets - sets_before, counts - counts_before), (100, 0));
    assert_eq!(scripts - scripts_before, 0);
    assert_eq!(looks, looks_before);
    assert_eq!(store.run::<Vec<String>>(&["KEYS", "dl:f:*"]), Vec::<String>::new());
}

/// Whoever wants numbers and whoever does not share a lock, one after the other.
async fn numbers_rise_across_locks_that_were_taken_without_one(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [plain, other, waiter] = [(); 3].map(|()| store.backend());
    let mut last = None;
    for round in 0..6 {
        // The script, which takes what is known to be contended, draws one all the same.
        let (owner, number) = take_without_number(&plain, "x").await;
        assert!(number.is_none() || number > last, "{number:?} after {last:?}");
        last = last.max(number);
        assert!(is_held(&attempt(&other, "x", token(), MINUTE).await.unwrap()));
        let one = token();
        let waiting = queue(&waiter, "x", one, None).await;
        assert_eq!(store.run::<String>(&["GET", "lock:x"]), format!("dl+{owner}"));
        if round == 3 {
            // The counter is lost while somebody without a number holds the lock.
            let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
            store.run::<()>(&["DEL", &counters[0]]);
        }
        assert_eq!(release(&plain, "x", owner).await.unwrap(), ReleaseReply::Released);
        let number = pushed(waiting).await.fencing;
        assert!(number > last, "{number:?} after {last:?}");
        last = number;
        assert_eq!(release(&waiter, "x", one).await.unwrap(), ReleaseReply::Released);
        let (owner, number) = take(&other, "x", MINUTE).await;
        assert!(Some(number) > last, "{number} after {last:?}");
        last = Some(number);
        assert_eq!(release(&other, "x", owner).await.unwrap(), ReleaseReply::Released);
    }
    assert_eq!(store.keys(), Vec::<String>::new());
}

/// How many of so many pairs were not by plain commands.
async fn by_script(store: &mut Store, backend: &Arc<RedisBackend>) -> u64 {
    pairs(backend, "x", 1).await;
    let before = store.calls_of("time");
    pairs(backend, "x", 20).await;
    store.calls_of("time") - before
}

async fn without_the_right_to_end_connections_every_lock_is_taken_by_the_script(kind: &ServerKind) {
    let mut store = Store::start(kind);
    for (rule, expected) in [("+client", 0), ("-client", 20), ("-info", 20)] {
        let user = format!("ACL SETUSER app reset on >pw ~* &* +@all {rule}");
        store.run::<()>(&user.split(' ').collect::<Vec<_>>());
        let url = format!("redis://app:pw@{}", store.server.address());
        let backend = build(RedisBackend::builder().url(url));
        assert_eq!(by_script(&mut store, &backend).await, expected, "{rule}");
    }
}

/// It is not ours to end.
async fn over_an_existing_connection_every_lock_is_taken_by_the_script(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let client = redis::Client::open(store.server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let backend = build(RedisBackend::builder().connection(connection));
    assert_eq!(by_script(&mut store, &backend).await, 20);
}

async fn whoever_begins_to_wait_is_handed_a_lock_that_was_taken_plainly(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, first, second] = [(); 3].map(|()| store.backend());
    pairs(&holder, "x", 1).await;
    let (owner, fencing) = take(&holder, "x", HOUR).await;
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), owned_by(owner));
    let (one, two) = (token(), token());
    let waiting = queue(&first, "x", one, None).await;
    // The mark keeps the lease.
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), format!("dl+{owner}"));
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 3_000_000);
    let next = queue(&second, "x", two, None).await;
    assert_eq!(release(&holder, "x", owner).await.unwrap(), ReleaseReply::Released);
    let grant = pushed(waiting).await;
    assert!(grant.fencing.unwrap() > fencing);
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), format!("dl+{one}"));
    assert_eq!(release(&first, "x", one).await.unwrap(), ReleaseReply::Released);
    pushed(next).await;
    // Nobody waits any more.
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), owned_by(two));
    assert_eq!(release(&second, "x", two).await.unwrap(), ReleaseReply::Released);
    assert_eq!(store.keys(), Vec::<String>::new());
}

async fn a_lock_that_was_taken_plainly_is_renewed_looked_at_and_repeated(kind: &ServerKind) {
    let store = Store::start(kind);
    let [backend, other] = [(); 2].map(|()| store.backend());
    pairs(&backend, "x", 1).await;
    let (owner, fencing) = take(&backend, "x", MINUTE).await;
    for others_wait in [false, true] {
        let renewed = renew(&backend, "x", owner, HOUR).await.unwrap();
        assert!(matches!(renewed, RenewReply::Renewed), "{others_wait}: {renewed:?}");
        let status = Arc::clone(&backend).status(key("x")).await.unwrap().unwrap();
        assert!(status.remaining.unwrap() > MINUTE);
        // The same grant, under a number above.
        let again = attempt(&backend, "x", owner, MINUTE).await.unwrap();
        assert!(crate::common::fencing(again) > fencing, "{others_wait}");
        if !others_wait {
            drop(queue(&other, "x", token(), None).await);
        }
    }
    assert!(is_held(&attempt(&other, "x", token(), MINUTE).await.unwrap()));
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
}

async fn a_value_of_a_foreigner_is_left_alone_by_plain_commands(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    pairs(&backend, "x", 1).await;
    for theirs in ["theirs", "", &"0".repeat(32)] {
        store.run::<()>(&["SET", "lock:x", theirs, "PX", "3600000"]);
        let owner = token();
        assert!(is_held(&attempt(&backend, "x", owner, MINUTE).await.unwrap()));
        let AcquireReply::Queued(_) = ask(&backend, "x", owner, None).await.unwrap() else {
            panic!("{theirs}: not in the queue")
        };
        assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::HeldByOther);
        assert_eq!(store.run::<String>(&["GET", "lock:x"]), theirs);
        store.run::<()>(&["DEL", "lock:x"]);
        pairs(&backend, "x", 10).await;
    }
}

/// The queue leaves the lock free for those who ask again and again, and no script is asked for it.
async fn whoever_is_ready_to_wait_does_not_pass_the_queue_in_a_gap(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let [holder, waiters, newcomer, poller] = [(); 4].map(|()| store.backend());
    for backend in [&newcomer, &poller] {
        pairs(backend, "x", 1).await;
    }
    take(&holder, "x", HOUR).await;
    let waiting = queue(&waiters, "x", token(), None).await;
    // As in a gap.
    let mark = line_key(&mut store).replacen("dl:q:", "dl:m:", 1);
    let (seconds, _): (u64, u64) = store.run(&["TIME"]);
    let end = (seconds + 1_000_000) * 1_000_000;
    store.run::<()>(&["SET", &mark, &format!("{end} {end}"), "PX", "60000"]);
    store.run::<u64>(&["DEL", "lock:x"]);
    let second = token();
    let AcquireReply::Queued(behind) = ask(&newcomer, "x", second, None).await.unwrap() else {
        panic!("it has passed the queue")
    };
    assert!(behind.ticket > waiting.ticket);
    assert_eq!(store.calls_of("mget"), 1, "it did not try to take the lock plainly");
    drop(behind);
    // Whoever does not wait may have it.
    store.run::<u64>(&["DEL", "lock:x"]);
    fencing(attempt(&poller, "x", token(), MINUTE).await.unwrap());
}

/// As after a failover to a replica that missed the last increments.
async fn the_first_number_of_a_connection_is_above_those_that_its_server_has_lost(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    pairs(&backend, "x", 50).await;
    let (owner, last) = take(&backend, "x", MINUTE).await;
    release(&backend, "x", owner).await.unwrap();
    let counters: Vec<String> = store.run(&["KEYS", "dl:f:*"]);
    let lost = (last.get() >> 10) - 40;
    store.run::<()>(&["SET", &counters[0], &lost.to_string()]);
    store.run::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    // Until the new connection is there.
    let (owner, next) = loop {
        let owner = token();
        match attempt(&backend, "x", owner, MINUTE).await {
            Ok(granted) => break (owner, fencing(granted)),
            Err(error) => assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}"),
        }
    };
    assert!(next > last, "{next} after {last}");
    release(&backend, "x", owner).await.unwrap();
}

/// The bytes of the request lie on the way when its sender gives up, and arrive later.
async fn a_plain_request_that_got_no_answer_never_runs_once_something_else_was_sent(
    kind: &ServerKind,
) {
    let mut store = Store::start(kind);
    let backend = store.backend_behind_proxy(RESPONSE_TIMEOUT);
    pairs(&backend, "x", 1).await;
    store.proxy.set(Direction::ToServer, Scope::Existing, Fault::Hold);
    let owner = token();
    let error = attempt(&backend, "x", owner, MINUTE).await.unwrap_err();
    assert!(!error.is_not_applied(), "{error}");
    let held_back = store.connections();
    // As the core does; over another connection, since the first one is given up.
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::NotHeld);
    // Of those that were there, the one with the request in it is gone, and a new one has come.
    until(|| store.connections() <= held_back).await;
    let sets = store.calls_of("set");
    store.proxy.heal();
    pairs(&backend, "y", 20).await;
    assert_eq!(store.keys(), Vec::<String>::new());
    assert!(store.calls_of("set") <= sets + 41, "nothing but what was asked for since");
    assert!(!store.run::<bool>(&["EXISTS", "lock:x"]));
}

/// The request has run when its sender gives up.
async fn a_plain_request_whose_answer_is_lost_is_undone(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend_behind_proxy(RESPONSE_TIMEOUT);
    pairs(&backend, "x", 1).await;
    store.proxy.set(Direction::ToClient, Scope::Existing, Fault::Hold);
    let owner = token();
    let error = attempt(&backend, "x", owner, HOUR).await.unwrap_err();
    assert!(!error.is_not_applied(), "{error}");
    assert_eq!(store.run::<String>(&["GET", "lock:x"]), owned_by(owner));
    assert_eq!(release(&backend, "x", owner).await.unwrap(), ReleaseReply::Released);
    assert_eq!(store.keys(), Vec::<String>::new());
}
