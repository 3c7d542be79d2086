//! What a member breaks that comes back without its data, and what a delayed restart mends.

use std::time::Duration;

use lock_core::backend::{AcquireReply, Clock, LockBackend};

use crate::claims::{granted, key, request};
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
