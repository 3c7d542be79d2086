//! A lease that is over says so, in time, and for good.

use lock_core::{LockErrorKind, LockGuard, LossReason};

use super::proof::{Proof, ensure, fail};
use super::renewal::is_unsupported;
use super::scene::Scene;

pub(super) async fn a_lease_is_lost_at_its_deadline(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let guard = service.lock(scene.name()).ttl(scene.lease()).acquire().await?;
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Expired), "a lease that ran out was lost with {reason:?}");
    is_lost(&guard, LossReason::Expired)
}

pub(super) async fn a_loss_is_final(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let guard = service.lock(scene.name()).ttl(scene.lease()).acquire().await?;
    guard.lost().await;
    if scene.capabilities().renew {
        match guard.extend(scene.long()).await {
            Err(error) if error.kind() == LockErrorKind::Lost => {}
            other => fail!("a lost lease was extended: {other:?}"),
        }
    }
    is_lost(&guard, LossReason::Expired)?;
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Expired), "a loss changed its reason to {reason:?}");
    Ok(())
}

pub(super) async fn a_release_ends_the_lease(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let (lease, lost) = (guard.lease(), guard.lost());
    ensure!(lease.is_held(), "a lease is over while its guard lives");
    guard.release().await;
    let reason = lost.await;
    ensure!(reason.is_none(), "a released lease ended with {reason:?}");
    ensure!(!lease.is_held(), "a lease outlives the release of its guard");
    Ok(())
}

pub(super) async fn a_lock_that_vanished_is_lost(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let lock = service.lock(scene.name()).ttl(scene.renewed_lease()).keep_alive();
    let guard = lock.acquire().await?;
    let stranger = scene.contender().await?;
    let token = spy.granted_token(&stranger.key).unwrap_or(stranger.token());
    // A stranger with the guard's own token stands for a store that has lost the lock.
    stranger.with_token(token).give_back().await?;
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Removed), "a lock that vanished was lost with {reason:?}");
    is_lost(&guard, LossReason::Removed)
}

pub(super) async fn a_lock_that_another_took_is_lost(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let lock = service.lock(scene.name()).ttl(scene.renewed_lease()).keep_alive();
    let guard = lock.acquire().await?;
    let (stranger, rival) = (scene.contender().await?, scene.contender().await?);
    let token = spy.granted_token(&stranger.key).unwrap_or(stranger.token());
    spy.hold_renewals(true);
    stranger.with_token(token).give_back().await?;
    rival.take(scene.long()).await?;
    spy.hold_renewals(false);
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::HeldByOther), "another's lock was lost with {reason:?}");
    drop(guard);
    // Neither the loss nor the drop touched the rival's lock.
    scene.is_taken().await?;
    rival.give_back().await
}

pub(super) async fn a_loss_needs_no_answer(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let guard = service.lock(scene.name()).ttl(scene.lease()).keep_alive().acquire().await?;
    spy.hold_renewals(true);
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Expired), "a silent store's lease was lost with {reason:?}");
    spy.hold_renewals(false);
    is_lost(&guard, LossReason::Expired)
}

pub(super) async fn a_verification_leaves_a_lease_as_it_is(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let guard = service.lock(scene.name()).ttl(scene.lease()).acquire().await?;
    let before = guard.remaining();
    guard.verify().await?;
    ensure!(guard.remaining() <= before, "a verification made the lease longer here");
    scene.is_taken().await?;
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Expired), "a verified lease ended with {reason:?}");
    rival.take_when_free(scene.lease()).await.map(drop)
}

pub(super) async fn a_verification_notices_a_lock_that_vanished(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let stranger = scene.contender().await?;
    let token = spy.granted_token(&stranger.key).unwrap_or(stranger.token());
    stranger.with_token(token).give_back().await?;
    is_found_lost(&guard, LossReason::Removed).await
}

pub(super) async fn a_verification_notices_a_lock_that_another_took(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let (stranger, rival) = (scene.contender().await?, scene.contender().await?);
    let token = spy.granted_token(&stranger.key).unwrap_or(stranger.token());
    stranger.with_token(token).give_back().await?;
    rival.take(scene.long()).await?;
    is_found_lost(&guard, LossReason::HeldByOther).await?;
    drop(guard);
    scene.is_taken().await?;
    rival.give_back().await
}

pub(super) async fn verify_is_refused(scene: &Scene<'_>) -> Proof {
    let guard = scene.service().await?.lock(scene.name()).ttl(scene.long()).acquire().await?;
    is_unsupported(guard.verify().await, "verify")?;
    guard.ensure_held()?;
    Ok(())
}

async fn is_found_lost(guard: &LockGuard, reason: LossReason) -> Proof {
    match guard.verify().await {
        Err(error) if error.loss_reason() == Some(reason) => is_lost(guard, reason),
        other => fail!("a lock that is gone was verified as {other:?}, not lost with {reason:?}"),
    }
}

fn is_lost(guard: &LockGuard, reason: LossReason) -> Proof {
    ensure!(!guard.is_held(), "a lost lease says that it is held");
    ensure!(guard.remaining().is_zero(), "a lost lease has {:?} left", guard.remaining());
    match guard.ensure_held() {
        Err(error) if error.loss_reason() == Some(reason) => Ok(()),
        other => fail!("a lease that was lost with {reason:?} says {other:?}"),
    }
}
