//! What every quorum has to keep, whoever wrote it.

use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Clock, LockBackend, LockKey, OwnerToken,
    ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockErrorKind, LockService};

use crate::store::{Store, TIMEOUT, Way, quorum};

/// Makes a quorum of these stores.
pub(crate) type Make = fn(&[Store]) -> AnyBackend;

/// A claim: its name, and its proof in paused time.
pub(crate) type Claim = (&'static str, fn(Make) -> Proof);

pub(crate) type Proof = std::pin::Pin<Box<dyn Future<Output = ()>>>;

macro_rules! claims {
    ($($name:ident),+ $(,)?) => {
        /// All of them.
        pub(crate) const CLAIMS: &[Claim] =
            &[$((stringify!($name), |make| Box::pin($name(make)))),+];

        mod of_this_library {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name(super::quorum).await;
                }
            )+
        }
    };
}

claims! {
    a_minority_of_votes_is_no_lock,
    a_round_that_failed_gives_its_votes_back,
    a_vote_that_comes_after_the_answer_is_given_back,
    a_vote_that_comes_after_the_release_is_given_back,
    a_vote_whose_answer_was_lost_is_given_back_when_it_comes,
    a_release_reaches_every_member,
    a_release_that_a_member_misses_is_repeated,
    a_release_that_is_lost_on_its_way_is_repeated,
    no_lease_outlives_its_votes,
    a_minority_renews_nothing,
    a_minority_does_not_end_a_lease,
    a_minority_that_is_down_costs_nothing,
    a_majority_that_is_down_is_an_error_that_names_it,
    a_majority_that_is_frozen_is_an_error_in_time,
}

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn key() -> LockKey {
    LockKey::new("", "x").unwrap()
}

pub(crate) fn request(ttl: Duration) -> AcquireRequest {
    AcquireRequest::new(key(), OwnerToken::random().unwrap(), ttl, Clock::TOKIO)
}

/// The token of a grant.
pub(crate) async fn granted(backend: &AnyBackend, ttl: Duration) -> OwnerToken {
    let request = request(ttl);
    let token = request.token;
    let reply = backend.acquire(request).await;
    assert!(matches!(reply, Ok(AcquireReply::Granted(_))), "{reply:?}");
    token
}

pub(crate) async fn refused(backend: &AnyBackend) {
    let reply = backend.acquire(request(MINUTE)).await;
    assert!(matches!(reply, Ok(AcquireReply::Held { .. })), "{reply:?}");
}

pub(crate) async fn release(backend: &AnyBackend, token: OwnerToken) -> ReleaseReply {
    backend.release(ReleaseRequest::new(key(), token, Clock::TOKIO)).await.unwrap()
}

async fn renew(backend: &AnyBackend, token: OwnerToken) -> RenewReply {
    let batch = vec![RenewRequest::new(key(), token, MINUTE, Clock::TOKIO)];
    backend.renew(batch).await.unwrap().pop().unwrap()
}

/// Nobody has the lock at this store, long before a lease could have ended.
pub(crate) async fn becomes_free(store: &Store) {
    let deadline = Clock::TOKIO.now() + TIMEOUT * 4;
    while store.has(&key()).await {
        assert!(Clock::TOKIO.now() < deadline, "the lock is left at {}", store.address());
        Clock::TOKIO.sleep(Duration::from_millis(10)).await;
    }
}

async fn a_minority_of_votes_is_no_lock(make: Make) {
    // Whether they are the first to answer or the last.
    for taken in [0..3, 2..5] {
        let stores: [_; 5] = Store::all();
        for store in &stores[taken] {
            store.take(&key(), MINUTE, Clock::TOKIO).await;
        }
        refused(&make(&stores)).await;
    }
}

async fn a_round_that_failed_gives_its_votes_back(make: Make) {
    let stores: [_; 3] = Store::all();
    for store in &stores[..2] {
        store.take(&key(), MINUTE, Clock::TOKIO).await;
    }
    refused(&make(&stores)).await;
    becomes_free(&stores[2]).await;
}

async fn a_vote_that_comes_after_the_answer_is_given_back(make: Make) {
    let stores: [_; 3] = Store::all();
    for store in &stores[..2] {
        store.take(&key(), MINUTE, Clock::TOKIO).await;
    }
    stores[2].set(Way::Deaf);
    let backend = make(&stores);
    refused(&backend).await;
    stores[2].set(Way::Well);
    becomes_free(&stores[2]).await;
}

async fn a_vote_that_comes_after_the_release_is_given_back(make: Make) {
    let stores: [_; 3] = Store::all();
    stores[2].set(Way::Frozen);
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    // The next request overtakes the one that is on its way.
    let frozen = stores[2].clone();
    frozen.set(Way::Deaf);
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
    // It arrives, and its caller is long gone.
    Clock::TOKIO.sleep(Duration::from_millis(20)).await;
    frozen.set(Way::Well);
    becomes_free(&frozen).await;
}

async fn a_vote_whose_answer_was_lost_is_given_back_when_it_comes(make: Make) {
    let stores: [_; 3] = Store::all();
    stores[0].set(Way::Reset);
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[0].set(Way::Well);
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
    Clock::TOKIO.sleep(Duration::from_millis(20)).await;
    becomes_free(&stores[0]).await;
}

async fn a_release_that_is_lost_on_its_way_is_repeated(make: Make) {
    let stores: [_; 3] = Store::all();
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[0].set(Way::Lost);
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
    Clock::TOKIO.sleep(Duration::from_millis(100)).await;
    stores[0].set(Way::Well);
    becomes_free(&stores[0]).await;
}

async fn a_release_reaches_every_member(make: Make) {
    let stores: [_; 5] = Store::all();
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    for store in &stores {
        assert!(store.has(&key()).await);
    }
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
    for store in &stores {
        assert!(!store.has(&key()).await, "the lock is left at {}", store.address());
    }
    assert_eq!(release(&backend, token).await, ReleaseReply::NotHeld);
}

async fn a_release_that_a_member_misses_is_repeated(make: Make) {
    let stores: [_; 3] = Store::all();
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[0].set(Way::Down);
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
    assert!(stores[0].has(&key()).await);
    Clock::TOKIO.sleep(Duration::from_secs(5)).await;
    stores[0].set(Way::Well);
    becomes_free(&stores[0]).await;
}

/// Each vote counts from before it was asked for, so the lease must.
async fn no_lease_outlives_its_votes(make: Make) {
    let stores: [_; 3] = Store::all();
    for store in &stores {
        store.set(Way::Slow(Duration::from_millis(400)));
    }
    let locks = LockService::builder(make(&stores)).tokio_time().build();
    let guard = locks.lock("x").ttl(Duration::from_secs(1)).try_acquire().await.unwrap().unwrap();
    assert!(guard.remaining() <= Duration::from_millis(600), "{:?}", guard.remaining());
    drop(guard);
    let late = locks.lock("x").ttl(Duration::from_millis(300)).try_acquire().await;
    assert!(late.is_err(), "a lease that was over was handed out");
}

async fn a_minority_renews_nothing(make: Make) {
    let stores: [_; 3] = Store::all();
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[0].memory().forget(&key());
    stores[1].memory().forget(&key());
    let reply = renew(&backend, token).await;
    assert!(matches!(reply, RenewReply::NotHeld), "{reply:?}");
}

async fn a_minority_does_not_end_a_lease(make: Make) {
    let stores: [_; 5] = Store::all();
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[0].memory().forget(&key());
    stores[1].set(Way::Down);
    let reply = renew(&backend, token).await;
    assert!(matches!(reply, RenewReply::Renewed), "{reply:?}");
    assert_eq!(release(&backend, token).await, ReleaseReply::Released);
}

async fn a_minority_that_is_down_costs_nothing(make: Make) {
    for way in [Way::Down, Way::Frozen, Way::Deaf, Way::Slow(TIMEOUT / 2)] {
        let stores: [_; 5] = Store::all();
        stores[0].set(way);
        stores[3].set(way);
        let backend = make(&stores);
        let began = Clock::TOKIO.now();
        let token = granted(&backend, MINUTE).await;
        assert!(matches!(renew(&backend, token).await, RenewReply::Renewed));
        refused(&backend).await;
        assert_eq!(release(&backend, token).await, ReleaseReply::Released);
        granted(&backend, MINUTE).await;
        let took = Clock::TOKIO.now().saturating_duration_since(began);
        // A refusal gives those that are left a moment; the rest takes no time.
        assert!(took <= Duration::from_millis(50), "{way:?} cost {took:?}");
    }
}

async fn a_majority_that_is_down_is_an_error_that_names_it(make: Make) {
    let stores: [_; 3] = Store::all();
    stores[0].set(Way::Down);
    stores[2].set(Way::Down);
    let backend = make(&stores);
    let error = backend.acquire(request(MINUTE)).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    for part in ["store-a: the connection was refused", "store-c: the connection was refused"] {
        assert!(text.contains(part) && !text.contains('\n'), "{text}");
    }
    becomes_free(&stores[1]).await;
}

async fn a_majority_that_is_frozen_is_an_error_in_time(make: Make) {
    let stores: [_; 3] = Store::all();
    let backend = make(&stores);
    let token = granted(&backend, MINUTE).await;
    stores[0].set(Way::Frozen);
    stores[1].set(Way::Frozen);
    let began = Clock::TOKIO.now();
    backend.acquire(request(MINUTE)).await.unwrap_err();
    let release = ReleaseRequest::new(key(), token, Clock::TOKIO);
    let error = backend.release(release).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
    let took = Clock::TOKIO.now().saturating_duration_since(began);
    assert!(took <= TIMEOUT * 2 + Duration::from_millis(100), "{took:?}");
}
