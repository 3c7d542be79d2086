//! What a member breaks that comes back without its data, and what a delayed restart mends.

use std::time::Duration;

use lock_core::backend::{AcquireReply, Clock, LockBackend};
use lock_core::{LockService, LossReason};
use lock_quorum::{QuorumBackend, QuorumBackendBuilder};
use lock_redis::RedisBackend;
use tempfile::TempDir;
use testbed::{RedisServer, ServerKind};

use crate::claims::{granted, key, request};
use crate::servers::LIMIT;
use crate::store::{Store, Way, quorum};

const LEASE: Duration = Duration::from_secs(30);

/// One member is down, so the lock has no vote to spare; then one that granted it loses its data.
async fn after_a_restart(delay: Duration) -> AcquireReply {
    let stores: [_; 3] = Store::all();
    let backend = quorum(&stores);
    stores[2].set(Way::Down);
    granted(&backend, LEASE).await;
    stores[1].set(Way::Down);
    stores[1].empty();
    stores[2].set(Way::Well);
    // All others are up; the lease of the first holder still has some time.
    let early = backend.acquire(request(LEASE)).await.unwrap();
    assert!(matches!(early, AcquireReply::Held { .. }), "{early:?}");
    Clock::TOKIO.sleep(delay).await;
    stores[1].set(Way::Well);
    let is_first_held = stores[0].has(&key()).await;
    assert_eq!(is_first_held, delay < LEASE);
    backend.acquire(request(LEASE)).await.unwrap()
}

/// Not a promise but a warning: this is what the documentation says goes wrong.
#[tokio::test(start_paused = true)]
async fn a_member_that_comes_back_empty_at_once_lets_two_hold_one_lock() {
    let second = after_a_restart(Duration::from_secs(1)).await;
    assert!(matches!(second, AcquireReply::Granted(_)), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stays_away_for_the_longest_lease_breaks_nothing() {
    let second = after_a_restart(LEASE + Duration::from_secs(1)).await;
    // The first lease is over by then.
    assert!(matches!(second, AcquireReply::Granted(_)), "{second:?}");
}

on_the_oldest_and_the_newest! {
    a_server_that_is_back_empty_at_once_lets_two_hold_one_lock,
    a_holder_whose_votes_were_lost_learns_it_from_its_next_renewal,
    a_server_that_stays_away_for_the_longest_lease_breaks_nothing,
    a_server_that_stores_each_write_may_be_back_at_once,
}

/// A service with connections of its own, to each server directly.
fn locks(all: &[RedisServer]) -> LockService {
    let member = |server: &RedisServer| {
        let backend = RedisBackend::builder().url(server.url()).response_timeout(LIMIT);
        backend.build().unwrap()
    };
    let add = |builder: QuorumBackendBuilder, server| builder.member(member(server));
    LockService::new(all.iter().fold(QuorumBackend::builder(), add).build().unwrap())
}

fn start(kind: &ServerKind) -> [RedisServer; 3] {
    std::array::from_fn(|_| RedisServer::start(kind).unwrap())
}

/// Not a promise but a warning: nothing tells a server that has lost its data from one that has not.
async fn a_server_that_is_back_empty_at_once_lets_two_hold_one_lock(kind: &ServerKind) {
    let mut all = start(kind);
    all[2].kill();
    let locks = locks(&all);
    let first = locks.lock("x").ttl(LEASE * 10).try_acquire().await.unwrap().unwrap();
    all[1].kill();
    all[2].restart().unwrap();
    let others = self::locks(&all);
    let early = others.lock("x").ttl(LEASE * 10).try_acquire().await.unwrap();
    assert!(early.is_none(), "one server that has lost nothing is enough to refuse");
    all[1].restart().unwrap();
    let second = others.lock("x").ttl(LEASE * 10).wait(LIMIT).acquire().await.unwrap();
    assert!(first.is_held() && second.is_held());
    // Until the first one asks.
    first.verify().await.unwrap_err();
    assert_eq!(first.lost().await, Some(LossReason::HeldByOther));
    second.verify().await.unwrap();
}

async fn a_holder_whose_votes_were_lost_learns_it_from_its_next_renewal(kind: &ServerKind) {
    let mut all = start(kind);
    all[2].kill();
    let locks = locks(&all);
    let lock = locks.lock("x").ttl(LEASE).keep_alive();
    let guard = lock.try_acquire().await.unwrap().unwrap();
    for server in [1, 2] {
        all[server].restart().unwrap();
    }
    let reason = guard.lost().await;
    assert_eq!(reason, Some(LossReason::Removed));
}

async fn a_server_that_stays_away_for_the_longest_lease_breaks_nothing(kind: &ServerKind) {
    let lease = Duration::from_secs(3);
    let mut all = start(kind);
    all[2].kill();
    let locks = locks(&all);
    let first = locks.lock("x").ttl(lease).try_acquire().await.unwrap().unwrap();
    all[1].kill();
    all[2].restart().unwrap();
    let others = self::locks(&all);
    let (lock, lease) = (others.lock("x").ttl(LEASE).wait(LIMIT), first.lease());
    let waiting = tokio::spawn(async move {
        let second = lock.acquire().await.unwrap();
        assert!(!lease.is_held(), "two hold one lock");
        second
    });
    let reason = first.lost().await;
    assert_eq!(reason, Some(LossReason::Expired));
    all[1].restart().unwrap();
    let second = waiting.await.unwrap();
    second.verify().await.unwrap();
}

async fn a_server_that_stores_each_write_may_be_back_at_once(kind: &ServerKind) {
    let directories: [_; 3] = std::array::from_fn(|_| TempDir::new().unwrap());
    let start = |directory: &TempDir| {
        let directory = directory.path().to_str().unwrap();
        let stores = ["--appendonly", "yes", "--appendfsync", "always", "--dir", directory];
        RedisServer::start_with(kind, &stores).unwrap()
    };
    let mut all = directories.each_ref().map(start);
    all[2].kill();
    let locks = locks(&all);
    let first = locks.lock("x").ttl(LEASE * 10).try_acquire().await.unwrap().unwrap();
    for server in [1, 2] {
        all[server].restart().unwrap();
    }
    let others = self::locks(&all);
    let early = others.lock("x").ttl(LEASE * 10).try_acquire().await.unwrap();
    assert!(early.is_none());
    first.verify().await.unwrap();
}
