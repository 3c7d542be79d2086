//! Two never hold one lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use lock_core::backend::{AcquireReply, LockBackend};

use super::proof::{Failure, Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn a_free_lock_is_granted(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    alice.take(scene.long()).await.map(drop)
}

pub(super) async fn a_held_lock_is_refused_to_others(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    bob.is_refused(scene.long()).await?;
    bob.is_refused(scene.lease()).await
}

pub(super) async fn a_refusal_leaves_nothing_behind(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    bob.is_refused(scene.long()).await?;
    alice.give_back().await?;
    // Had bob been left in the queue, the lock would be his now.
    carol.take(scene.long()).await.map(drop)
}

pub(super) async fn of_many_at_once_one_is_granted(scene: &Scene<'_>) -> Proof {
    let all: [_; 16] = scene.contenders().await?;
    let attempts = join_all(all.iter().map(|one| one.attempt(scene.long()))).await;
    let attempts = attempts.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let granted = attempts.iter().filter(|one| matches!(one, AcquireReply::Granted(_))).count();
    ensure!(granted == 1, "of 16 attempts at once {granted} were granted");
    Ok(())
}

pub(super) async fn two_locks_do_not_exclude_each_other(scene: &Scene<'_>) -> Proof {
    let alice = scene.contender_for(&scene.other_name("/a")).await?;
    let bob = scene.contender_for(&scene.other_name("/b")).await?;
    alice.take(scene.long()).await?;
    bob.take(scene.long()).await.map(drop)
}

pub(super) async fn a_repeated_attempt_finds_its_own_grant(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    match alice.attempt(scene.long()).await? {
        AcquireReply::Granted(_) => {}
        other => fail!("the holder asked again and was answered {other:?}"),
    }
    scene.is_taken().await?;
    alice.give_back().await?;
    // The two grants were one: a single release ends both.
    scene.becomes_free().await
}

pub(super) async fn a_repeated_attempt_raises_the_lease(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.lease()).await?;
    let again = alice.take(scene.lease() * 3).await?;
    let taken = bob.take_when_free(scene.lease()).await?;
    let least = again.sent + scene.at_least(scene.lease() * 3);
    ensure!(taken.answered >= least, "the lease of the repeated attempt was not set");
    Ok(())
}

pub(super) async fn an_attempt_does_not_wait_for_the_lock(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let taken = alice.take(scene.long()).await?;
    bob.is_refused(scene.long()).await?;
    let took = scene.now().saturating_duration_since(taken.answered);
    ensure!(took < scene.long() / 2, "a refusal took {took:?}");
    Ok(())
}

pub(super) async fn a_grant_arrives_before_its_lease_ends(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    // Ten times what other claims wait for, so that a machine that stalls does not matter.
    let ttl = scene.lease() * 10;
    let taken = alice.take(ttl).await?;
    let took = taken.answered.saturating_duration_since(taken.sent);
    ensure!(took < ttl, "the answer took {took:?}, longer than the lease of {ttl:?}");
    Ok(())
}

pub(super) async fn a_late_attempt_is_not_applied(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let mut request = alice.request(scene.long());
    let late = scene.capabilities().late_after + Duration::from_secs(1);
    request.asked_at = request.asked_at - late;
    if let Ok(AcquireReply::Granted(_)) = alice.backend.acquire(request).await {
        fail!("an attempt was granted {late:?} after it was asked for");
    }
    // Nor does it take effect unseen.
    bob.take(scene.long()).await.map(drop)
}

pub(super) async fn bodies_never_overlap(scene: &Scene<'_>) -> Proof {
    let services = [scene.service().await?, scene.service().await?];
    let inside = Arc::new(AtomicBool::new(false));
    let overlaps = Arc::new(AtomicUsize::new(0));
    let workers = (0..8).map(|worker| {
        let (inside, overlaps) = (Arc::clone(&inside), Arc::clone(&overlaps));
        let lock = services[worker % 2].lock(scene.name());
        let lock = lock.ttl(scene.long()).wait(scene.wait_limit());
        async move {
            for _ in 0..3 {
                let ran = lock.execute(async |_lease| {
                    if inside.swap(true, Ordering::SeqCst) {
                        overlaps.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::task::yield_now().await;
                    inside.store(false, Ordering::SeqCst);
                });
                ensure!(ran.await?.is_some(), "a worker was not served in time");
            }
            Ok::<(), Failure>(())
        }
    });
    try_join_all(workers).await?;
    let overlaps = overlaps.load(Ordering::SeqCst);
    ensure!(overlaps == 0, "two bodies ran at once, {overlaps} times");
    Ok(())
}

pub(super) async fn a_lock_is_not_reentrant(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    let _guard = lock.acquire().await?;
    ensure!(lock.try_acquire().await?.is_none(), "a service got its own lock a second time");
    Ok(())
}
