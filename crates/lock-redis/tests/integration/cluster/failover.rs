//! What remains of locks and of waiting when a node dies.

use std::time::Instant;

use lock_core::backend::{Clock, LockBackend, RenewReply, RenewRequest};
use tokio::task::JoinSet;

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    a_killed_master_costs_neither_a_lock_nor_a_place_that_was_replicated,
    a_master_that_is_replaced_while_it_lives_costs_nothing,
    while_a_master_is_dead_the_leases_at_the_others_are_renewed_in_time,
    a_node_that_is_stopped_for_good_is_left_when_others_take_its_slots,
    a_plain_command_that_got_no_answer_is_ended_at_its_own_node,
);

/// Waits until the replica has everything that its master has: what is lost otherwise is no promise
/// of anybody's.
pub(super) fn await_replica(set: &ClusterSet, master: usize) {
    // A write of this very connection is what `WAIT` waits for.
    let mut admin = admin_of(&set.servers[master]);
    let name = format!("lock:{}", name_at(set, "written", master));
    redis::cmd("SET").arg(&name).arg(1).exec(&mut admin).unwrap();
    let count: u64 = redis::cmd("WAIT").arg(1).arg(0).query(&mut admin).unwrap();
    assert_eq!(count, 1);
    redis::cmd("DEL").arg(&name).exec(&mut admin).unwrap();
    let count: u64 = redis::cmd("WAIT").arg(1).arg(0).query(&mut admin).unwrap();
    assert_eq!(count, 1);
}

/// F23.
async fn a_killed_master_costs_neither_a_lock_nor_a_place_that_was_replicated(kind: &ServerKind) {
    // No node is to be taken to be down before it is.
    let settings = ClusterSettings::default().node_timeout(MINUTE);
    let mut set = ClusterSet::start_with(kind, &settings).unwrap();
    let line = "line";
    let slot = slot_of(&set, line);
    let master = set.owner(slot).unwrap();
    let kept_name = name_at(&set, "kept", master);
    let services = [(); 2].map(|()| {
        let backend = RedisBackend::builder().url(set.url()).response_timeout(RESPONSE_TIMEOUT);
        strict(backend.look_out_for_pollers(false).build().unwrap())
    });
    let kept = services[0].lock(&kept_name).ttl(LIMIT * 2).keep_alive().acquire().await.unwrap();
    let held = services[0].lock(line).ttl(LONG).acquire().await.unwrap();
    let mut waiters = JoinSet::new();
    for place in 0..4 {
        let lock = services[place % 2].lock(line).ttl(LONG).wait(LONG);
        waiters.spawn(async move {
            let guard = lock.acquire().await.unwrap();
            let number = guard.fencing_token().unwrap();
            assert!(guard.release().await.is_released());
            number
        });
    }
    // On 6.2 they do not queue.
    if !kind.name().starts_with("redis-6") {
        let status = async || services[0].lock(line).status().await.unwrap().unwrap();
        while status().await.waiters != Some(4) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    await_replica(&set, master);

    for server in 0..set.servers.len() {
        set.run(server, &["CONFIG", "SET", "cluster-node-timeout", "1000"]).unwrap();
    }
    let begin = Instant::now();
    set.servers[master].kill();
    while set.owner(slot).is_ok_and(|owner| owner == master) || set.owner(slot).is_err() {
        // The nodes need the processor to vote.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let elected = begin.elapsed();
    soon(LIMIT, async { while kept.verify().await.is_err() {} }).await;
    println!("{kind}: elected after {elected:?}, in service after {:?}", begin.elapsed());
    assert!(kept.is_held());
    let refused = services[1].lock(&kept_name).wait(LIMIT).try_acquire();
    assert!(tokio::time::timeout(RESPONSE_TIMEOUT, refused).await.is_err());

    let mut last = held.fencing_token().unwrap();
    assert!(soon(LIMIT, held.release()).await.is_released());
    let mut numbers = soon(LIMIT, waiters.join_all()).await;
    numbers.sort_unstable();
    for number in numbers {
        assert!(number > last, "{number:?} after {last:?}");
        last = number;
    }
    assert!(kept.release().await.is_released());
}

/// A failover that is asked for.
async fn a_master_that_is_replaced_while_it_lives_costs_nothing(kind: &ServerKind) {
    let set = ClusterSet::start_with(kind, &ClusterSettings::default().node_timeout(MINUTE));
    let set = set.unwrap();
    let backend = backend_with(&set, LIMIT);
    let slot = slot_of(&set, "x");
    let master = set.owner(slot).unwrap();
    let (owner, first) = take(&backend, "x", LONG).await;
    renew(&backend, "x", owner, LONG).await.unwrap();
    let replica = set.partner(master);
    await_replica(&set, master);
    set.run(replica, &["CLUSTER", "FAILOVER"]).unwrap();
    until(|| set.owner(slot).is_ok_and(|owner| owner == replica)).await;
    let renewed = renew(&backend, "x", owner, LONG * 2).await.unwrap();
    assert!(matches!(renewed, RenewReply::Renewed), "{renewed:?}");
    release(&backend, "x", owner).await.unwrap();
    let (owner, second) = take(&backend, "x", LONG).await;
    assert!(second > first);
    assert!(exists(&set.servers[replica], "x"));
    release(&backend, "x", owner).await.unwrap();
}

async fn while_a_master_is_dead_the_leases_at_the_others_are_renewed_in_time(kind: &ServerKind) {
    let mut set = masters(kind, 3);
    let backend = backend_of(&set);
    let names: Vec<String> = (0..3).map(|server| name_at(&set, "n", server)).collect();
    let owners = take_all(&backend, &names).await;
    let locks = strict(backend_of(&set));
    let mut guards = Vec::new();
    for server in 1..3 {
        let name = name_at(&set, "kept", server);
        guards.push(locks.lock(name).ttl(TTL).keep_alive().acquire().await.unwrap());
    }
    let dead = locks.lock(name_at(&set, "kept", 0)).ttl(TTL).keep_alive().acquire().await.unwrap();
    for is_killed in [false, true] {
        if is_killed {
            set.servers[0].kill();
        } else {
            set.servers[0].freeze().unwrap();
        }
        for _ in 0..4 {
            let batch = names.iter().zip(&owners).map(|(name, owner)| {
                RenewRequest::new(key(name), *owner, LONG, Clock::SYSTEM).with_within(LIMIT)
            });
            let begin = Instant::now();
            let replies = Arc::clone(&backend).renew(batch.collect()).await.unwrap();
            assert!(matches!(replies[0], RenewReply::Failed(_)), "{:?}", replies[0]);
            for reply in &replies[1..] {
                assert!(matches!(reply, RenewReply::Renewed), "{reply:?}");
            }
            assert!(begin.elapsed() < RESPONSE_TIMEOUT * 4, "{:?}", begin.elapsed());
        }
        // For longer than their leases.
        Clock::SYSTEM.sleep(TTL * 3 / 2).await;
        for guard in &guards {
            assert!(guard.is_held());
        }
    }
    assert!(!dead.is_held());
    for guard in guards {
        assert!(guard.release().await.is_released());
    }
}

/// Long enough for a busy machine to renew in.
const TTL: Duration = Duration::from_secs(6);

async fn a_node_that_is_stopped_for_good_is_left_when_others_take_its_slots(kind: &ServerKind) {
    let mut set = masters(kind, 2);
    let backend = backend_of(&set);
    let slot = slot_of(&set, "x");
    let gone = set.owner(slot).unwrap();
    let first = number_of(&backend, "x").await;
    set.servers[gone].freeze().unwrap();
    let error = soon(LIMIT, attempt(&backend, "x", token(), LONG)).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    set.servers[gone].kill();
    let error = soon(LIMIT, attempt(&backend, "x", token(), LONG)).await.unwrap_err();
    assert!(error.is_retryable() && error.is_not_applied(), "{error}");
    let address = set.servers[gone].address().to_string();
    assert!(error.to_string().contains(&address), "{error}");

    set.give_slot(slot, 1 - gone).unwrap();
    let second = soon(LIMIT, number_of(&backend, "x")).await;
    assert!(second > first);
}

async fn a_plain_command_that_got_no_answer_is_ended_at_its_own_node(kind: &ServerKind) {
    let mut set = masters(kind, 2);
    let backend = backend_of(&set);
    let names: Vec<String> = (0..2).map(|server| name_at(&set, "n", server)).collect();
    for name in &names {
        number_of(&backend, name).await;
        number_of(&backend, name).await;
    }
    for server in &set.servers {
        run::<()>(server, &["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        run::<()>(server, &["CONFIG", "SET", "slowlog-max-len", "1000"]);
    }
    set.servers[0].freeze().unwrap();
    let error = attempt(&backend, &names[0], token(), LONG).await.unwrap_err();
    assert!(!error.is_not_applied(), "{error}");
    // The other node has nothing to do with it.
    number_of(&backend, &names[1]).await;
    set.servers[0].thaw().unwrap();
    // Whether it has run or not, it does not run behind what is sent next.
    attempt(&backend, &names[0], token(), LONG).await.unwrap();
    assert_eq!((ended(&set.servers[0]), ended(&set.servers[1])), (1, 0));
}

/// How many connections the server was told to end; each greeting tries to end one that is not.
fn ended(server: &RedisServer) -> usize {
    let none = i64::MAX.to_string();
    let is_end = |words: &&Vec<String>| words.len() == 4 && words[1] == "KILL" && words[3] != none;
    slow_commands_of(server).iter().filter(is_end).count()
}
