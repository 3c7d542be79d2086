//! What remains of locks and of waiting when the master changes.

use std::time::Instant;

use lock_core::LockErrorKind;
use lock_core::backend::RenewReply;
use testbed::{RedisServer, SentinelSet, ServerKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::on_oldest_and_newest;

on_oldest_and_newest!(
    a_killed_master_costs_neither_a_lock_nor_a_place_that_was_replicated,
    a_master_that_is_replaced_is_left_at_once_though_it_lives,
    a_frozen_master_is_left_when_another_one_is_elected,
    a_server_that_became_a_replica_leads_to_the_new_master,
);

const LONG: Duration = Duration::from_secs(3_600);

/// F22.
async fn a_killed_master_costs_neither_a_lock_nor_a_place_that_was_replicated(kind: &ServerKind) {
    let mut set = SentinelSet::start(kind).unwrap();
    let services = [(); 2].map(|()| {
        let backend = RedisBackend::builder().url(set.url()).response_timeout(RESPONSE_TIMEOUT);
        strict(backend.look_out_for_pollers(false).build().unwrap())
    });
    let kept = services[0].lock("kept").ttl(LIMIT * 2).keep_alive().acquire().await.unwrap();
    let held = services[0].lock("line").ttl(LONG).acquire().await.unwrap();
    let (sender, mut served) = mpsc::unbounded_channel();
    let mut waiters = JoinSet::new();
    for place in 0..4 {
        let lock = services[place % 2].lock("line").ttl(LONG).wait(LONG);
        let sender = sender.clone();
        waiters.spawn(async move {
            let guard = lock.acquire().await.unwrap();
            sender.send((place, guard.fencing_token().unwrap())).unwrap();
            assert!(guard.release().await.is_released());
        });
        let in_line = async || {
            let status = services[0].lock("line").status().await.unwrap().unwrap();
            status.waiters == Some(place as u64 + 1)
        };
        while !in_line().await {}
    }
    await_replicas(&set, 0);

    let begin = Instant::now();
    set.servers[0].kill();
    let master = new_master(&set, 0).await;
    let elected = begin.elapsed();
    let verified = async { while kept.verify().await.is_err() {} };
    soon(LIMIT, verified).await;
    println!("{kind}: elected after {elected:?}, in service after {:?}", begin.elapsed());
    assert!(kept.is_held());
    // The other service may still have the connection that ended with the server.
    let refused = async {
        loop {
            match services[1].lock("kept").try_acquire().await {
                Ok(refused) => return refused,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    assert!(soon(LIMIT, refused).await.is_none());

    // Both services listen again, and so are asked in their order.
    let server = &set.servers[master];
    until(|| listening(server) == 2).await;
    let mut last = held.fencing_token().unwrap();
    assert!(soon(LIMIT, held.release()).await.is_released());
    for expected in 0..4 {
        let (place, number) = soon(LIMIT, served.recv()).await.unwrap();
        assert_eq!(place, expected);
        assert!(number > last, "{number:?} after {last:?}");
        last = number;
    }
    waiters.join_all().await;
    assert!(kept.release().await.is_released());
    for locks in services {
        locks.shutdown(Duration::ZERO).await;
    }
    assert_eq!(run::<Vec<String>>(server, &["KEYS", "lock:*"]), Vec::<String>::new());
}

/// The old master goes on to accept writes, for ten seconds or so.
async fn a_master_that_is_replaced_is_left_at_once_though_it_lives(kind: &ServerKind) {
    let set = SentinelSet::start(kind).unwrap();
    let backend = backend_of(&set);
    // Both connections: that of the callers, and that of renewals.
    let (owner, first) = take(&backend, "x", LONG).await;
    renew(&backend, "x", owner, LONG).await.unwrap();
    let locks = strict(backend_of(&set));
    let waiting = tokio::spawn(locks.lock("x").ttl(LONG).wait(LONG).acquire());
    let old = &set.servers[0];
    until(|| run::<u64>(old, &["ZCARD", &queue_of(old)]) == 1).await;
    await_replicas(&set, 0);

    set.fail_over().unwrap();
    let master = new_master(&set, 0).await;
    let new = &set.servers[master];
    let begin = Instant::now();
    let mut attempts = 0;
    let moved = async {
        loop {
            attempts += 1;
            let name = format!("y{attempts}");
            let taken = attempt(&backend, &name, token(), LONG).await;
            if taken.is_ok() && run::<bool>(new, &["EXISTS", &format!("lock:{name}")]) {
                return;
            }
        }
    };
    soon(LIMIT, moved).await;
    println!("{kind}: moved after {:?} and {attempts} attempts", begin.elapsed());
    // Nothing but the news can have led there.
    assert!(is_master(old), "the old master was told too early for this test");

    let renewed = renew(&backend, "x", owner, LONG * 2).await.unwrap();
    assert!(matches!(renewed, RenewReply::Renewed));
    assert!(run::<u64>(new, &["PTTL", "lock:x"]) > 3_600_000);
    // Whoever waits for a push listens to the new one.
    until(|| listening(new) == 1).await;
    assert!(is_master(old), "the old master was told too early for this test");
    release(&backend, "x", owner).await.unwrap();
    let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
    assert!(guard.fencing_token().unwrap() > first);
    assert!(guard.release().await.is_released());
}

/// How many channels have somebody who waits for a push.
fn listening(server: &RedisServer) -> usize {
    let of_slots = server.binary().version() >= "7";
    let which = if of_slots { "SHARDCHANNELS" } else { "CHANNELS" };
    run::<Vec<String>>(server, &["PUBSUB", which, "dl:c:*"]).len()
}

fn is_master(server: &RedisServer) -> bool {
    run::<String>(server, &["INFO", "replication"]).contains("role:master")
}

fn queue_of(server: &RedisServer) -> String {
    let queues: Vec<String> = run(server, &["KEYS", "dl:q:*"]);
    queues.into_iter().next().unwrap_or_default()
}

/// F22: to its clients, it is as if it were cut off.
async fn a_frozen_master_is_left_when_another_one_is_elected(kind: &ServerKind) {
    let mut set = SentinelSet::start(kind).unwrap();
    let backend = backend_of(&set);
    let (owner, first) = take(&backend, "x", LONG).await;
    await_replicas(&set, 0);
    set.servers[0].freeze().unwrap();
    let begin = Instant::now();
    let mut failed = 0;
    let resumed = async {
        loop {
            let asked = Instant::now();
            match attempt(&backend, "y", token(), LONG).await {
                Ok(granted) => return fencing(granted),
                Err(error) => {
                    assert!(asked.elapsed() < RESPONSE_TIMEOUT * 4, "{:?}", asked.elapsed());
                    assert!(error.is_retryable(), "{error}");
                    failed += 1;
                }
            }
        }
    };
    let second = soon(LIMIT, resumed).await;
    println!("{kind}: {failed} attempts failed, in service after {:?}", begin.elapsed());
    assert!(second > first);
    let master = new_master(&set, 0).await;
    assert!(run::<bool>(&set.servers[master], &["EXISTS", "lock:y"]));
    assert!(matches!(renew(&backend, "x", owner, LONG).await.unwrap(), RenewReply::Renewed));

    // It takes itself for the master at first.
    set.servers[0].thaw().unwrap();
    for place in 0..20 {
        let name = format!("z{place}");
        take(&backend, &name, LONG).await;
        take(&backend_of(&set), &format!("{name}, another"), LONG).await;
        assert!(run::<bool>(&set.servers[master], &["EXISTS", &format!("lock:{name}")]));
    }
}

/// F21: nobody told that the master has changed.
async fn a_server_that_became_a_replica_leads_to_the_new_master(kind: &ServerKind) {
    let [old, new] = [(); 2].map(|()| RedisServer::start(kind).unwrap());
    let (settings, sentinel) = patient_sentinel(kind);
    sentinel.monitor(&settings, &old.port().to_string()).unwrap();
    let backend = backend_behind(&sentinel);
    let (owner, _) = take(&backend, "x", LONG).await;
    renew(&backend, "x", owner, LONG).await.unwrap();
    let locks = strict(backend_behind(&sentinel));
    let waiting = tokio::spawn(locks.lock("x").ttl(LONG).wait(LONG).acquire());
    until(|| run::<u64>(&old, &["ZCARD", &queue_of(&old)]) == 1).await;

    sentinel.run(&["SENTINEL", "REMOVE", SentinelSet::MASTER]).unwrap();
    sentinel.monitor(&settings, &new.port().to_string()).unwrap();
    run::<()>(&old, &["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    let error = attempt(&backend, "y", token(), LONG).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.is_not_applied() && error.is_retryable(), "{error}");
    take(&backend, "y", LONG).await;
    assert!(run::<bool>(&new, &["EXISTS", "lock:y"]));
    // The other connection has not been refused anything, and is left all the same.
    let refused = renew(&backend, "y", owner, LONG).await.unwrap();
    assert!(!matches!(refused, RenewReply::Renewed), "{refused:?}");

    // The server that follows has none of the keys of before; whoever waits asks there in time.
    run::<()>(&old, &["CLIENT", "KILL", "TYPE", "pubsub"]);
    let guard = soon(LIMIT, waiting).await.unwrap().unwrap();
    assert!(run::<bool>(&new, &["EXISTS", "lock:x"]));
    assert!(guard.release().await.is_released());
}
