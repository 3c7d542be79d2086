//! The whole of it: a lock service over a real server, where the core's promises meet the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lock_core::{LockErrorKind, LockService, ReleaseOutcome};
use lock_testkit::proxy::{Cut, Direction, Scope};
use testbed::ServerKind;

use crate::common::*;

crate::on_every_server! {
    a_guard_holds_and_its_drop_gives_back,
    tasks_never_hold_at_once_and_tokens_rise,
    a_runtime_dropped_with_guards_leaves_nothing,
    connections_that_are_reset_all_the_time_cost_no_exclusion,
}

/// Waits until no lock is left on the server.
async fn settled(store: &mut Store) {
    let begin = Instant::now();
    while !store.keys().is_empty() {
        assert!(begin.elapsed() < LIMIT, "left behind: {:?}", store.keys());
        tokio::task::yield_now().await;
    }
}

async fn a_guard_holds_and_its_drop_gives_back(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = LockService::new(store.backend());
    let guard = locks.lock("x").ttl(MINUTE).try_acquire().await.unwrap().unwrap();
    assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    let left: u64 = store.run(&["PTTL", "lock:x"]);
    assert!(guard.remaining() <= Duration::from_millis(left) + Duration::from_millis(1));
    assert_eq!(guard.release().await, ReleaseOutcome::Released);
    drop(locks.lock("x").ttl(MINUTE).acquire().await.unwrap());
    settled(&mut store).await;
    locks.shutdown(Duration::ZERO).await;
    let error = locks.lock("x").try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::ShutDown);
}

/// Counts holders, and remembers the largest token that it saw.
#[derive(Default)]
struct Witness {
    holders: AtomicU64,
    largest: AtomicU64,
    sections: AtomicU64,
}

impl Witness {
    async fn section(&self, token: u64) {
        assert_eq!(self.holders.fetch_add(1, Ordering::SeqCst), 0, "two holders at once");
        let before = self.largest.fetch_max(token, Ordering::SeqCst);
        assert!(before < token, "token {token} after {before}");
        tokio::task::yield_now().await;
        self.sections.fetch_add(1, Ordering::SeqCst);
        self.holders.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn tasks_never_hold_at_once_and_tokens_rise(kind: &ServerKind) {
    let mut store = Store::start(kind);
    // Two services, as two processes would have.
    let services = [LockService::new(store.backend()), LockService::new(store.backend())];
    let witness = Arc::new(Witness::default());
    let tasks = (0..16).map(|task| {
        let (locks, witness) = (services[task % 2].clone(), Arc::clone(&witness));
        tokio::spawn(async move {
            for _ in 0..5 {
                let guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
                witness.section(guard.fencing_token().unwrap().get()).await;
                assert_eq!(guard.release().await, ReleaseOutcome::Released);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(witness.sections.load(Ordering::SeqCst), 80);
    settled(&mut store).await;
}

/// F15.
async fn a_runtime_dropped_with_guards_leaves_nothing(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let backend = store.backend();
    let elsewhere = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let locks = LockService::new(backend);
        let take = async |name: &str| locks.lock(name).ttl(MINUTE).acquire().await.unwrap();
        let outlives = runtime.block_on(take("outlives its runtime"));
        let held = runtime.block_on(take("dies with its task"));
        runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        drop(runtime);
        drop(outlives);
    };
    tokio::task::spawn_blocking(elsewhere).await.unwrap();
    settled(&mut store).await;
}

/// F4, for a shorter time.
async fn connections_that_are_reset_all_the_time_cost_no_exclusion(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let services =
        [0, 1].map(|_| LockService::new(store.backend_behind_proxy(Duration::from_millis(500))));
    let witness = Arc::new(Witness::default());
    let tasks = (0..16).map(|task| {
        let (locks, witness) = (services[task % 2].clone(), Arc::clone(&witness));
        tokio::spawn(async move {
            for _ in 0..10 {
                let guard = locks.lock("x").ttl(MINUTE).wait(LIMIT * 2).acquire().await.unwrap();
                witness.section(guard.fencing_token().unwrap().get()).await;
                drop(guard);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for round in 1..=10 {
        // In the middle of things: after so many bytes of answers, or all at once.
        store.proxy.arm(Cut::after_bytes(Direction::ToClient, round * 100));
        let enough = witness.sections.load(Ordering::SeqCst) + 5;
        while witness.sections.load(Ordering::SeqCst) < enough.min(160) {
            tokio::task::yield_now().await;
        }
        store.proxy.reset(Scope::Existing);
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(witness.sections.load(Ordering::SeqCst), 160);
    settled(&mut store).await;
}
