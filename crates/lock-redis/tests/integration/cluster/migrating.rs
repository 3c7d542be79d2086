//! Slots that are on their way from one node to another.

use std::sync::atomic::{AtomicBool, Ordering};

use lock_core::LockErrorKind;
use lock_core::backend::{Clock, LockBackend, ReleaseReply, RenewReply, RenewRequest};
use lock_testkit::contention::Contention;
use lock_testkit::history::{Claims, Recorder};

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    while_a_slot_is_on_its_way_its_leases_are_renewed_wherever_they_are,
    the_first_slot_of_a_node_is_renewed_there_while_it_is_on_its_way,
    a_lock_whose_key_is_on_its_way_is_given_back_where_it_is,
    a_request_in_a_slot_on_its_way_waits_for_the_end_and_fails_in_time_without_one,
    sixteen_tasks_take_turns_while_their_slot_is_moved_to_and_fro,
);

async fn while_a_slot_is_on_its_way_its_leases_are_renewed_wherever_they_are(kind: &ServerKind) {
    let set = masters(kind, 2);
    let from = set.owner(slot_of(&set, "{x}0")).unwrap();
    are_renewed_wherever_they_are(&set, 1 - from).await;
}

async fn the_first_slot_of_a_node_is_renewed_there_while_it_is_on_its_way(kind: &ServerKind) {
    are_renewed_wherever_they_are(&masters_of_whom_the_last_has(kind, 0), 2).await;
}

/// While their slot is moved to this node.
async fn are_renewed_wherever_they_are(set: &ClusterSet, to: usize) {
    let backend = backend_with(set, LIMIT);
    let names: Vec<String> = (0..4).map(|number| format!("{{x}}{number}")).collect();
    let slot = slot_of(set, &names[0]);
    let from = set.owner(slot).unwrap();
    let owners = take_all(&backend, &names).await;
    set.begin_to_move(slot, from, to).unwrap();
    let renewed = async |ttl: Duration| {
        let batch = names.iter().zip(&owners);
        let batch = batch.map(|(name, owner)| {
            RenewRequest::new(key(name), *owner, ttl, Clock::SYSTEM).with_within(LIMIT)
        });
        let replies = Arc::clone(&backend).renew(batch.collect()).await.unwrap();
        for (name, reply) in names.iter().zip(replies) {
            assert!(matches!(reply, RenewReply::Renewed), "{name}: {reply:?}");
        }
    };
    renewed(LONG * 2).await;
    let port = set.servers[to].port().to_string();
    let move_key = |name: &str| {
        let key = format!("lock:{name}");
        run::<()>(&set.servers[from], &["MIGRATE", "127.0.0.1", &port, &key, "0", "10000"]);
    };
    // Some are there, and some are here.
    move_key(&names[1]);
    renewed(LONG * 3).await;
    names.iter().filter(|name| **name != names[1]).for_each(|name| move_key(name));
    renewed(LONG * 4).await;
    assert!(matches!(renew(&backend, &names[0], owners[0], LONG).await, Ok(RenewReply::Renewed)));
    // One that nobody has is at neither.
    let refused = renew(&backend, &names[0], token(), LONG).await.unwrap();
    assert!(matches!(refused, RenewReply::HeldByOther), "{refused:?}");
    while set.move_keys(slot, from, to).unwrap() > 0 {}
    set.give_slot(slot, to).unwrap();
    renewed(LONG * 5).await;
    let left: u64 = run(&set.servers[to], &["PTTL", &format!("lock:{}", names[3])]);
    assert!(left > 4 * 3_600_000, "{left}");
    for (name, owner) in names.iter().zip(owners) {
        assert!(release(&backend, name, owner).await.is_ok());
    }
}

/// Also if the move never ends.
async fn a_lock_whose_key_is_on_its_way_is_given_back_where_it_is(kind: &ServerKind) {
    let set = masters(kind, 2);
    let backend = backend_of(&set);
    let names: Vec<String> = (0..2).map(|number| format!("{{x}}{number}")).collect();
    let owners = take_all(&backend, &names).await;
    let slot = slot_of(&set, &names[0]);
    let from = set.owner(slot).unwrap();
    let (to, theirs) = (1 - from, "{x}2");
    run::<()>(&set.servers[from], &["SET", &format!("lock:{theirs}"), "theirs"]);
    set.begin_to_move(slot, from, to).unwrap();
    let port = set.servers[to].port().to_string();
    for name in [&names[1], theirs] {
        let key = format!("lock:{name}");
        run::<()>(&set.servers[from], &["MIGRATE", "127.0.0.1", &port, &key, "0", "10000"]);
    }
    for (name, owner) in names.iter().zip(owners) {
        let reply = release(&backend, name, owner).await.unwrap();
        assert!(matches!(reply, ReleaseReply::Released), "{name}: {reply:?}");
        assert!(set.servers.iter().all(|server| !exists(server, name)), "{name}");
    }
    // What is another's there stays.
    release(&backend, theirs, token()).await.unwrap_err();
    assert!(exists(&set.servers[to], theirs));
}

async fn a_request_in_a_slot_on_its_way_waits_for_the_end_and_fails_in_time_without_one(
    kind: &ServerKind,
) {
    let set = masters(kind, 2);
    let (hasty, patient) = (backend_of(&set), backend_with(&set, LIMIT));
    let slot = slot_of(&set, "{x}");
    let from = set.owner(slot).unwrap();
    let to = 1 - from;
    let (held, first) = take(&patient, "{x}held", LONG).await;
    set.begin_to_move(slot, from, to).unwrap();
    let begin = std::time::Instant::now();
    let error = attempt(&hasty, "{x}", token(), LONG).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.is_not_applied() && error.is_retryable(), "{error}");
    assert!(error.to_string().contains("moving the slot"), "{error}");
    assert!(begin.elapsed() < RESPONSE_TIMEOUT * 4, "{:?}", begin.elapsed());

    let acquiring = {
        let patient = Arc::clone(&patient);
        tokio::spawn(async move { take(&patient, "{x}", LONG).await })
    };
    let releasing = {
        let patient = Arc::clone(&patient);
        tokio::spawn(async move { release(&patient, "{x}held", held).await })
    };
    while set.move_keys(slot, from, to).unwrap() > 0 {}
    assert!(!acquiring.is_finished());
    set.give_slot(slot, to).unwrap();
    let (owner, second) = soon(LIMIT, acquiring).await.unwrap();
    assert!(second > first);
    soon(LIMIT, releasing).await.unwrap().unwrap();
    assert!(exists(&set.servers[to], "{x}"));
    assert!(!exists(&set.servers[to], "{x}held"));
    release(&patient, "{x}", owner).await.unwrap();
}

const ROUNDS: u64 = 400;
/// A holder keeps the lock for a quarter of it now and then.
const TTL: Duration = Duration::from_secs(2);

/// F23.
async fn sixteen_tasks_take_turns_while_their_slot_is_moved_to_and_fro(kind: &ServerKind) {
    let set = masters(kind, 2);
    let slot = slot_of(&set, "x");
    let (recorder, stop) = (Recorder::new("this"), AtomicBool::new(false));
    let backends = vec![backend_with(&set, LIMIT), backend_with(&set, LIMIT)];
    let contention = Contention::new("x").rounds(ROUNDS).ttl(TTL).overstay_every(0);
    let load = async {
        let tally = contention.run(backends, &recorder).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        tally
    };
    let moves = async {
        let mut moves = 0;
        while !stop.load(Ordering::Relaxed) {
            let from = set.owner(slot).unwrap();
            tokio::task::block_in_place(|| set.move_slot(slot, from, 1 - from).unwrap());
            moves += 1;
            // The load runs on between the moves, and this is for how long.
            Clock::SYSTEM.sleep(Duration::from_millis(500)).await;
        }
        moves
    };
    let (tally, moves) = tokio::join!(load, moves);
    println!("{kind}: {tally:?} in {moves} moves");
    assert!(moves >= 2, "{moves}");
    assert_eq!((tally.served, tally.timed_out), (ROUNDS, 0), "{tally:?}");
    let claims = Claims::new().require_tokens().tolerate_late_use(TTL);
    let report = recorder.history().check(&claims);
    assert!(report.is_clean(), "{report}");
}
