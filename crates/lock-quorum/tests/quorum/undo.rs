//! What is done for what nobody waits for any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, Clock, LockBackend, OwnerToken,
    ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockError, LockErrorKind, LockService, LossReason, Result};
use tokio::sync::watch;

use crate::claims::{becomes_free, granted, key, refused, release, request};
use crate::store::{Store, TIMEOUT, Way, quorum};

const MINUTE: Duration = Duration::from_secs(60);

async fn renew(
    backend: &AnyBackend,
    token: OwnerToken,
    ttl: Duration,
    is_exact: bool,
) -> RenewReply {
    let request = RenewRequest::new(key(), token, ttl, Clock::TOKIO);
    let request = if is_exact { request.with_exact() } else { request };
    backend.renew(vec![request]).await.unwrap().pop().unwrap()
}

/// A renewal that was sent before, and shortens, arrives later: what that member renews does not
/// count until then.
#[tokio::test(start_paused = true)]
async fn a_member_whose_lease_may_still_be_shortened_has_no_vote_in_a_renewal() {
    let stores: [_; 3] = Store::all();
    let backend = quorum(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[2].set(Way::Frozen);
    let reply = renew(&backend, token, Duration::from_secs(3), true).await;
    assert!(matches!(reply, RenewReply::Renewed), "{reply:?}");
    stores[2].set(Way::Well);
    stores[0].set(Way::Down);
    let reply = renew(&backend, token, MINUTE, false).await;
    assert!(matches!(reply, RenewReply::Failed(_)), "{reply:?}");
    Clock::TOKIO.sleep(TIMEOUT * 2).await;
    // It was shortened after all, and is over.
    assert!(!stores[2].has(&key()).await);
}

/// A vote that is being given back does not count, though its member has it at that moment.
#[tokio::test(start_paused = true)]
async fn a_vote_that_is_being_given_back_renews_nothing() {
    let stores: [_; 5] = Store::all();
    let backend = quorum(&stores);
    // A vote that is lost in the first round and comes late.
    for store in &stores[..2] {
        store.take(&key(), Duration::from_millis(5), Clock::TOKIO).await;
    }
    stores[4].set(Way::Deaf);
    let asked = request(MINUTE);
    let token = asked.token;
    let reply = backend.acquire(asked).await.unwrap();
    assert!(matches!(reply, AcquireReply::Granted(_)), "{reply:?}");
    // The majority is 0 to 3 now; the fifth has the token, too, but is to give it back.
    assert!(stores[4].has(&key()).await);
    for store in &stores[..2] {
        store.memory().forget(&key());
    }
    stores[4].set(Way::Well);
    let reply = renew(&backend, token, MINUTE, false).await;
    assert!(!matches!(reply, RenewReply::Renewed), "{reply:?}");
    becomes_free(&stores[4]).await;
}

/// Members that are down say so before the others answer; it is still known that nothing is left, so
/// nobody has to look after it.
#[tokio::test(start_paused = true)]
async fn a_request_without_a_majority_waits_a_moment_for_what_it_can_give_back() {
    let stores: [_; 5] = Store::all();
    stores[..3].iter().for_each(|store| store.set(Way::Down));
    stores[3].set(Way::Slow(Duration::from_millis(5)));
    stores[4].set(Way::Slow(Duration::from_millis(20)));
    let backend = quorum(&stores);
    let began = Clock::TOKIO.now();
    let error = backend.acquire(request(MINUTE)).await.unwrap_err();
    assert!(error.is_not_applied(), "{error}");
    assert!(Clock::TOKIO.now() < began + Duration::from_millis(200));
    for store in &stores {
        assert!(!store.has(&key()).await, "the lock is left at {}", store.address());
    }
}

/// A store that releases nothing until it is let, and counts how often it is asked to.
struct Keeps(Store, watch::Sender<bool>, Arc<AtomicUsize>);

impl LockBackend for Keeps {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn address(&self) -> String {
        self.0.address()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        self.0.acquire(request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.2.fetch_add(1, Ordering::Relaxed);
        self.1.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        self.0.release(request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.0.renew(batch).await
    }
}

/// A renewal that is sent later may come first: it goes over another connection.
#[tokio::test(start_paused = true)]
async fn a_vote_whose_release_is_still_on_its_way_renews_nothing() {
    let stores: [_; 5] = Store::all();
    let gate = watch::Sender::new(false);
    let builder = lock_quorum::QuorumBackend::builder();
    let builder = stores[..4].iter().fold(builder, |all, store| all.member(store.clone()));
    let builder = builder.member(Keeps(stores[4].clone(), gate.clone(), Arc::default()));
    let backend = AnyBackend::new(builder.build().unwrap());
    // In the first round there are two votes, of which one is given back late.
    for store in &stores[..3] {
        store.take(&key(), Duration::from_millis(5), Clock::TOKIO).await;
    }
    let token = granted(&backend, MINUTE).await;
    assert!(stores[4].has(&key()).await);
    for store in &stores[..2] {
        store.memory().forget(&key());
    }
    let reply = renew(&backend, token, MINUTE, false).await;
    assert!(!matches!(reply, RenewReply::Renewed), "{reply:?}");
    gate.send_replace(true);
    becomes_free(&stores[4]).await;
}

/// A store that refuses a request which comes too long after it was asked.
struct Hasty(Store);

impl LockBackend for Hasty {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn address(&self) -> String {
        self.0.address()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().with_late_after(Duration::from_millis(100))
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        if request.clock.now() > request.asked_at + Duration::from_millis(100) {
            let error = LockError::new(LockErrorKind::Unavailable, "the request came late");
            return Err(error.not_applied());
        }
        self.0.acquire(request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.0.release(request).await
    }
}

/// One has the lock, one gives its vote in vain again and again, and one is down.
#[tokio::test(start_paused = true)]
async fn a_vote_that_is_cast_again_is_not_late_for_the_members() {
    let stores: [_; 3] = Store::all();
    let builder = lock_quorum::QuorumBackend::builder();
    let builder = stores.iter().fold(builder, |all, store| all.member(Hasty(store.clone())));
    let backend = AnyBackend::new(builder.build().unwrap());
    stores[0].take(&key(), MINUTE, Clock::TOKIO).await;
    stores[2].set(Way::Down);
    refused(&backend).await;
}

/// Another one would only find that the lock is somebody else's by then.
#[tokio::test(start_paused = true)]
async fn a_member_that_answers_last_is_sent_one_release() {
    let stores: [_; 3] = Store::all();
    let (gate, releases) = (watch::Sender::new(false), Arc::new(AtomicUsize::new(0)));
    let builder = lock_quorum::QuorumBackend::builder();
    let builder = stores[..2].iter().fold(builder, |all, store| all.member(store.clone()));
    let last = Keeps(stores[2].clone(), gate.clone(), Arc::clone(&releases));
    let backend = AnyBackend::new(builder.member(last).build().unwrap());
    stores[2].set(Way::Slow(Duration::from_millis(10)));
    let token = granted(&backend, MINUTE).await;
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
    // The request is answered, and the release is not.
    Clock::TOKIO.sleep(Duration::from_millis(50)).await;
    gate.send_replace(true);
    Clock::TOKIO.sleep(Duration::from_secs(5)).await;
    assert_eq!(releases.load(Ordering::Relaxed), 1);
    assert!(!stores[2].has(&key()).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_frozen_member_may_still_run_is_undone_when_it_does() {
    let stores: [_; 3] = Store::all();
    let backend = quorum(&stores);
    stores[1].set(Way::Frozen);
    let token = granted(&backend, MINUTE).await;
    assert!(matches!(release(&backend, token).await, ReleaseReply::Released));
    // Both the request and the release are given up before the member goes on.
    Clock::TOKIO.sleep(TIMEOUT + Duration::from_millis(20)).await;
    stores[1].set(Way::Well);
    becomes_free(&stores[1]).await;
}

/// What stands at a member that was down is released there when the guard is gone: by whoever
/// held the lock, in the background.
#[tokio::test(start_paused = true)]
async fn a_guard_that_is_dropped_frees_a_member_that_was_down_meanwhile() {
    let stores: [_; 3] = Store::all();
    let locks = LockService::builder(quorum(&stores)).tokio_time().build();
    let guard = locks.lock("x").ttl(MINUTE).keep_alive().try_acquire().await.unwrap().unwrap();
    stores[1].set(Way::Down);
    Clock::TOKIO.sleep(MINUTE * 2).await;
    assert!(guard.is_held());
    drop(guard);
    stores[1].set(Way::Well);
    for store in &stores {
        becomes_free(store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_alive_by_a_majority_and_lost_without_one() {
    let stores: [_; 5] = Store::all();
    let locks = LockService::builder(quorum(&stores)).tokio_time().build();
    let ttl = Duration::from_secs(10);
    let guard = locks.lock("x").ttl(ttl).keep_alive().try_acquire().await.unwrap().unwrap();
    stores[0].set(Way::Frozen);
    stores[1].set(Way::Down);
    Clock::TOKIO.sleep(MINUTE).await;
    assert!(guard.is_held());
    stores[2].set(Way::Down);
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_frozen_for_long_costs_a_bounded_number_of_requests() {
    let stores: [_; 3] = Store::all();
    let backend = quorum(&stores);
    stores[0].set(Way::Frozen);
    // Each second leaves a hundred requests behind.
    for _ in 0..30 {
        for _ in 0..100 {
            let token = granted(&backend, MINUTE).await;
            release(&backend, token).await;
        }
        Clock::TOKIO.sleep(Duration::from_secs(1)).await;
    }
    assert!(stores[0].asked() < 1_200, "it was asked {} times for 3000 locks", stores[0].asked());
    stores[0].set(Way::Well);
    becomes_free(&stores[0]).await;
    Clock::TOKIO.sleep(TIMEOUT * 2).await;
    // It takes part again.
    stores[1].set(Way::Down);
    granted(&backend, MINUTE).await;
}

/// As many as there are members, so that each may get one vote.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn contenders_who_share_the_votes_are_all_served() {
    for round in 0..20 {
        let stores: [_; 5] = Store::all();
        for store in &stores {
            // Votes that take a moment are shared.
            store.set(Way::Slow(Duration::from_millis(1)));
        }
        let began = Clock::SYSTEM.now();
        let start = Arc::new(tokio::sync::Barrier::new(5));
        let contenders: Vec<_> = (0..5)
            .map(|first| {
                // Each asks another store first.
                let mut stores = stores.to_vec();
                stores.rotate_left(first);
                let (locks, start) = (LockService::new(quorum(&stores)), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    let lock = locks.lock("x").ttl(MINUTE).wait(MINUTE);
                    lock.execute(async |_lease| ()).await.unwrap().unwrap();
                })
            })
            .collect();
        for contender in contenders {
            contender.await.unwrap();
        }
        let took = Clock::SYSTEM.now().saturating_duration_since(began);
        assert!(took < Duration::from_secs(10), "round {round} took {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_is_one_member_that_fails() {
    struct Panics;
    impl LockBackend for Panics {
        fn kind(&self) -> &'static str {
            "panics"
        }
        fn address(&self) -> String {
            "panics:1".to_owned()
        }
        fn capabilities(&self) -> Capabilities {
            Store::new("x").capabilities()
        }
        async fn acquire(&self, _: AcquireRequest) -> Result<AcquireReply> {
            panic!("on purpose")
        }
        async fn release(&self, _: ReleaseRequest) -> Result<ReleaseReply> {
            panic!("on purpose")
        }
    }
    let stores: [_; 2] = Store::all();
    let with = |stores: &[Store]| {
        let builder = lock_quorum::QuorumBackend::builder().member(Panics);
        let all = stores.iter().fold(builder, |builder, store| builder.member(store.clone()));
        AnyBackend::new(all.build().unwrap())
    };
    let backend = with(&stores);
    let token = granted(&backend, MINUTE).await;
    release(&backend, token).await;
    stores[0].set(Way::Down);
    let error = backend.acquire(request(MINUTE)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(error.to_string().contains("panics:1: the backend panicked"), "{error}");
}

/// No vote is of use when the lease that it would begin is over.
#[tokio::test(start_paused = true)]
async fn votes_are_waited_for_no_longer_than_the_lease() {
    let stores: [_; 3] = Store::all();
    stores[0].set(Way::Frozen);
    stores[2].set(Way::Frozen);
    let backend = quorum(&stores);
    let began = Clock::TOKIO.now();
    let error = backend.acquire(request(Duration::from_millis(300))).await.unwrap_err();
    let took = Clock::TOKIO.now().saturating_duration_since(began);
    assert!(took <= Duration::from_millis(301), "{took:?}");
    let text = error.to_string();
    for name in ["store-a", "store-c"] {
        assert!(text.contains(&format!("{name}: it has not answered in time")), "{text}");
    }
    becomes_free(&stores[1]).await;
}

#[tokio::test(start_paused = true)]
async fn a_majority_keeps_a_name_taken_for_min_hold() {
    let stores: [_; 3] = Store::all();
    let locks = LockService::builder(quorum(&stores)).tokio_time().build();
    let lock = locks.lock("x").ttl(MINUTE).min_hold(Duration::from_secs(10));
    stores[0].set(Way::Down);
    let guard = lock.try_acquire().await.unwrap().unwrap();
    assert!(guard.release().await.is_released());
    Clock::TOKIO.sleep(Duration::from_secs(9)).await;
    stores[0].set(Way::Well);
    assert!(lock.try_acquire().await.unwrap().is_none());
    Clock::TOKIO.sleep(Duration::from_secs(1)).await;
    assert!(lock.try_acquire().await.unwrap().is_some());
}
