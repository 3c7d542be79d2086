//! What people use who look after a quorum: lists, and releases by force.

use std::time::Duration;

use lock_core::backend::{Clock, LockKey};
use lock_core::{LockErrorKind, LockService, ReleaseOutcome};

use crate::store::{Store, Way, quorum};

const MINUTE: Duration = Duration::from_secs(60);

fn key(name: &str) -> LockKey {
    LockKey::new("", name).unwrap()
}

fn service(stores: &[Store]) -> LockService {
    LockService::builder(quorum(stores)).tokio_time().build()
}

async fn names(locks: &LockService) -> Vec<String> {
    let held = locks.list("").await.unwrap();
    held.iter().map(|held| held.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_names_what_a_majority_holds_whichever_members_have_it() {
    let stores: [_; 5] = Store::all();
    let locks = service(&stores);
    // Every majority of five, and every minority of two.
    for (number, members) in (0..32_u8).map(|bits| (bits, bits.count_ones())) {
        let name = format!("{members}:{number:02}");
        for store in stores.iter().enumerate().filter(|(place, _)| number >> place & 1 == 1) {
            store.1.take(&key(&name), MINUTE, Clock::TOKIO).await;
        }
    }
    let listed = names(&locks).await;
    assert_eq!(listed.len(), 10 + 5 + 1, "{listed:?}");
    assert!(listed.iter().all(|name| name.as_str() >= "3"), "{listed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_without_a_minority_and_not_without_a_majority() {
    let stores: [_; 3] = Store::all();
    let locks = service(&stores);
    let _guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
    stores[2].take(&key("at one"), MINUTE, Clock::TOKIO).await;
    for down in &stores {
        down.set(Way::Down);
        assert_eq!(names(&locks).await, ["x"]);
        down.set(Way::Well);
    }
    stores[0].set(Way::Down);
    stores[1].set(Way::Down);
    let error = locks.list("").await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("store-a"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_forced_release_frees_every_member_also_one_that_was_down() {
    let stores: [_; 3] = Store::all();
    let (holder, locks) = (service(&stores), service(&stores));
    let _guard = holder.lock("x").ttl(MINUTE).acquire().await.unwrap();
    let shown = locks.status("x").await.unwrap().unwrap();
    stores[1].set(Way::Down);
    let outcome = locks.force_release("x", &shown).await.unwrap();
    assert_eq!(outcome, ReleaseOutcome::Released);
    assert!(!stores[0].has(&key("x")).await && !stores[2].has(&key("x")).await);
    stores[1].set(Way::Well);
    Clock::TOKIO.sleep(Duration::from_secs(10)).await;
    assert!(!stores[1].has(&key("x")).await);
}

/// One of those that answer has the lock, one has not, and the third would decide.
#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_told_says_what_each_has_answered() {
    let stores: [_; 3] = Store::all();
    let locks = service(&stores);
    stores[0].take(&key("x"), MINUTE, Clock::TOKIO).await;
    stores[2].set(Way::Down);
    let error = locks.status("x").await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    let text = error.to_string();
    for part in ["1 said yes, 1 said no", "store-c: the connection was refused"] {
        assert!(text.contains(part), "{text}");
    }
    // It may be only for a moment: while somebody takes the lock or releases it.
    let released = async {
        Clock::SYSTEM.sleep(Duration::from_millis(5)).await;
        stores[0].memory().forget(&key("x"));
    };
    let (status, ()) = tokio::join!(locks.status("x"), released);
    assert_eq!(status.unwrap(), None);
}

/// Whoever asks for a lock in vain gives its votes back a moment later, and until then they stand
/// beside those of the holder.
#[tokio::test(start_paused = true)]
async fn a_status_names_the_holder_also_beside_the_votes_of_others() {
    let stores: [_; 5] = Store::all();
    let locks = service(&stores);
    for other in &stores[..2] {
        other.take(&key("x"), MINUTE, Clock::TOKIO).await;
    }
    let _guard = locks.lock("x").ttl(MINUTE).acquire().await.unwrap();
    for later in &stores[3..] {
        later.set(Way::Slow(Duration::from_millis(5)));
    }
    let holder = locks.status("x").await.unwrap().unwrap().holder.unwrap();
    assert!(holder.is_this_process, "{holder}");
}
