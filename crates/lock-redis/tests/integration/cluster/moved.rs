//! Slots that were moved from one node to another.

use std::time::Instant;

use lock_core::backend::{Clock, LockBackend, RenewReply, RenewRequest};
use tokio::task::JoinSet;

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    a_slot_that_was_moved_is_followed_and_no_request_is_sent_to_the_wrong_node_twice,
    leases_at_all_nodes_are_renewed_in_one_batch_also_when_a_slot_was_moved,
    a_counter_is_not_trusted_after_its_slot_was_elsewhere,
    a_slot_on_its_way_costs_the_other_locks_of_its_node_nothing,
    who_waits_for_a_lock_whose_slot_is_moved_gets_it_at_its_new_node,
    slots_that_are_moved_one_after_the_other_are_followed_without_a_table_for_each,
    a_node_that_left_the_cluster_is_forgotten,
);

async fn a_slot_that_was_moved_is_followed_and_no_request_is_sent_to_the_wrong_node_twice(
    kind: &ServerKind,
) {
    let set = masters(kind, 2);
    let backend = backend_of(&set);
    // All of them are in one slot.
    let name = |number: u64| format!("{{moved}}{number}");
    let slot = slot_of(&set, &name(0));
    let from = set.owner(slot).unwrap();
    let to = 1 - from;
    let (held, _) = take(&backend, &name(0), LONG).await;
    renew(&backend, &name(0), held, LONG).await.unwrap();
    take(&backend, &name_at(&set, "there", to), LONG).await;
    let before = sent_elsewhere(&set.servers[from]);

    set.move_slot(slot, from, to).unwrap();
    let mut tasks = JoinSet::new();
    for number in 1..=20 {
        let backend = Arc::clone(&backend);
        tasks.spawn(async move { number_of(&backend, &name(number)).await });
    }
    tasks.join_all().await;
    let moved = sent_elsewhere(&set.servers[from]) - before;
    println!("{kind}: 20 requests sent {moved} commands to the node before");
    // A plain request is three commands in one write.
    assert!((1..=60).contains(&moved), "{moved}");

    // From now on none is.
    for number in 1..=20 {
        number_of(&backend, &name(number)).await;
    }
    assert!(matches!(renew(&backend, &name(0), held, LONG).await.unwrap(), RenewReply::Renewed));
    release(&backend, &name(0), held).await.unwrap();
    assert_eq!(sent_elsewhere(&set.servers[from]) - before, moved);
    assert!(!exists(&set.servers[to], &name(0)));
}

async fn leases_at_all_nodes_are_renewed_in_one_batch_also_when_a_slot_was_moved(
    kind: &ServerKind,
) {
    let set = masters(kind, 3);
    let backend = backend_with(&set, LIMIT);
    let mut names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
    names.extend((0..3).map(|number| format!("{{moved}}{number}")));
    let owners = take_all(&backend, &names).await;
    let slot = slot_of(&set, "{moved}0");
    let from = set.owner(slot).unwrap();
    for step in 0..2 {
        let batch = names.iter().zip(&owners).map(|(name, owner)| {
            RenewRequest::new(key(name), *owner, LONG * (step + 2), Clock::SYSTEM)
        });
        let replies = Arc::clone(&backend).renew(batch.collect()).await.unwrap();
        assert_eq!(replies.len(), names.len());
        for (name, reply) in names.iter().zip(replies) {
            assert!(matches!(reply, RenewReply::Renewed), "{name}: {reply:?}");
        }
        if step == 0 {
            set.move_slot(slot, from, (from + 1) % 3).unwrap();
        }
    }
    let home = &set.servers[set.owner(slot).unwrap()];
    assert!(run::<u64>(home, &["PTTL", "lock:{moved}0"]) > 7_200_000);
}

/// A failover at the node where it was can have lost its last numbers.
async fn a_counter_is_not_trusted_after_its_slot_was_elsewhere(kind: &ServerKind) {
    let set = masters(kind, 2);
    let backend = backend_of(&set);
    let slot = slot_of(&set, "x");
    let from = set.owner(slot).unwrap();
    let to = 1 - from;
    let first = number_of(&backend, "x").await;
    let counter: u64 = run(&set.servers[from], &["GET", &counter_of(&set.servers[from])]);
    // By a plain command, since the counter is known by now.
    let second = number_of(&backend, "x").await;
    set.move_slot(slot, from, to).unwrap();
    let last = number_of(&backend, "x").await;
    assert!(first < second && second < last);
    let server = &set.servers[to];
    let lost = counter - 2;
    run::<()>(server, &["SET", &counter_of(server), &lost.to_string()]);
    set.move_slot(slot, to, from).unwrap();
    for _ in 0..3 {
        let number = number_of(&backend, "x").await;
        assert!(number > last, "{number} after {last}");
    }
}

/// Their numbers are drawn by plain commands as before.
async fn a_slot_on_its_way_costs_the_other_locks_of_its_node_nothing(kind: &ServerKind) {
    let set = masters(kind, 2);
    let slot = slot_of(&set, "x");
    let from = set.owner(slot).unwrap();
    let mut others = (0..).map(|number| name_at(&set, &format!("other{number}of"), from));
    let other = others.find(|name| slot_of(&set, name) != slot).unwrap();
    // No script reads keys by this command.
    let plain = || calls_of(&set.servers[from], "mget");
    loop {
        let (begin, backend) = (Instant::now(), backend_of(&set));
        for name in ["x", &other] {
            number_of(&backend, name).await;
        }
        set.begin_to_move(slot, from, 1 - from).unwrap();
        attempt(&backend, "x", token(), LONG).await.unwrap_err();
        let before = plain();
        for _ in 0..3 {
            number_of(&backend, &other).await;
        }
        let others = plain() - before;
        // The slot itself is looked at anew.
        set.run(from, &["CLUSTER", "SETSLOT", &slot.to_string(), "STABLE"]).unwrap();
        let before = plain();
        number_of(&backend, "x").await;
        assert_eq!(plain() - before, 0);
        // Counters are looked at anew after 10 s, which a busy machine may need.
        if begin.elapsed() < Duration::from_secs(9) {
            assert_eq!(others, 3);
            return;
        }
    }
}

async fn who_waits_for_a_lock_whose_slot_is_moved_gets_it_at_its_new_node(kind: &ServerKind) {
    let set = masters(kind, 2);
    let (holder, waiter) = (backend_of(&set), strict(backend_of(&set)));
    let slot = slot_of(&set, "x");
    let from = set.owner(slot).unwrap();
    let to = 1 - from;
    let (owner, first) = take(&holder, "x", LONG).await;
    let waiting = tokio::spawn(waiter.lock("x").ttl(LONG).wait(LIMIT).acquire());
    let marked = || run::<String>(&set.servers[from], &["GET", "lock:x"]).starts_with("dl:");
    until(|| !marked()).await;
    set.move_slot(slot, from, to).unwrap();
    // Whoever is queued there listens there, so that the release can tell it.
    if !kind.name().starts_with("redis-6") {
        let list = ["PUBSUB", "SHARDCHANNELS", "dl:c:*"];
        until(|| run::<Vec<String>>(&set.servers[to], &list).len() == 1).await;
    }
    release(&holder, "x", owner).await.unwrap();
    let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
    assert!(guard.fencing_token().unwrap() > first);
    assert!(exists(&set.servers[to], "x"));
    assert!(guard.release().await.is_released());
}

/// A table names the owners of all slots, so a node takes long to write it.
async fn slots_that_are_moved_one_after_the_other_are_followed_without_a_table_for_each(
    kind: &ServerKind,
) {
    let set = masters(kind, 2);
    let backend = backend_of(&set);
    let is_at_first = |name: &str| set.owner(slot_of(&set, name)).unwrap() == 0;
    let names: Vec<String> =
        (0..40).map(|number| format!("n{number}")).filter(|name| is_at_first(name)).collect();
    for name in &names {
        number_of(&backend, name).await;
    }
    // Redis 6.2 counts all that begins with `CLUSTER` together.
    let tables = || set.servers.iter().map(|it| calls_of(it, "cluster|slots")).sum::<u64>();
    let (begin, before) = (Instant::now(), (tables(), sent_elsewhere(&set.servers[0])));
    for name in &names {
        set.move_slot(slot_of(&set, name), 0, 1).unwrap();
        number_of(&backend, name).await;
    }
    let moved = sent_elsewhere(&set.servers[0]) - before.1;
    assert!(moved >= names.len() as u64, "only {moved} requests met a slot that was moved");
    // Two nodes are asked each time.
    let rounds = begin.elapsed().as_secs() + 2;
    let asked = tables() - before.0;
    println!("{kind}: {} slots, {asked} tables in {:?}", names.len(), begin.elapsed());
    assert!(asked <= 2 * rounds, "{asked} tables in {:?}", begin.elapsed());
}

async fn a_node_that_left_the_cluster_is_forgotten(kind: &ServerKind) {
    let set = masters_of_whom_the_last_has(kind, SLOTS_OF_THE_LAST.len());
    let backend = backend_of(&set);
    let mut names: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    names.push(name_at(&set, "last", 2));
    for name in &names {
        number_of(&backend, name).await;
    }
    for slot in SLOTS_OF_THE_LAST {
        let keys: u64 = run(&set.servers[2], &["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]);
        if keys > 0 { set.move_slot(slot, 2, 0) } else { set.give_slot(slot, 0) }.unwrap();
    }
    for server in [0, 1] {
        set.run(server, &["CLUSTER", "FORGET", set.name(2)]).unwrap();
    }
    set.run(2, &["CLUSTER", "RESET"]).unwrap();
    for name in &names {
        number_of(&backend, name).await;
    }
    let (old, new) = (backend, backend_of(&set));
    for name in &names {
        number_of(&new, name).await;
        number_of(&old, name).await;
    }
}

/// Those of the third of three masters.
const SLOTS_OF_THE_LAST: std::ops::Range<u16> = 16_128..16_384;
