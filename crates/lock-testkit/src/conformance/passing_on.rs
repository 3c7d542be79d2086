//! A lock that one service took and another one finishes.

use lock_core::{LockErrorKind, LockToken, LossReason};

use super::proof::{Proof, ensure, fail};
use super::renewal::is_unsupported;
use super::scene::Scene;

pub(super) async fn a_lock_is_passed_on_by_its_token(scene: &Scene<'_>) -> Proof {
    let (first, second) = (scene.service().await?, scene.service().await?);
    let guard = first.lock(scene.name()).ttl(scene.lease()).acquire().await?;
    let (lease, fencing) = (guard.lease(), guard.fencing_token());
    let token: LockToken = guard.into_token().await?.to_string().parse()?;
    let reason = lease.lost().await;
    ensure!(
        reason == Some(LossReason::PassedOn),
        "a lock that was passed on ended with {reason:?}"
    );
    scene.is_taken().await?;
    let guard = second.lock(scene.name()).ttl(scene.long()).adopt(&token).await?;
    scene.pass(scene.lease() * 2).await;
    guard.verify().await?;
    ensure!(
        guard.fencing_token() > fencing || fencing.is_none(),
        "the fencing token {:?} follows {fencing:?}",
        guard.fencing_token()
    );
    ensure!(guard.release().await.is_released(), "a lock that was adopted was not held");
    scene.becomes_free().await
}

pub(super) async fn a_token_takes_no_lock_that_is_free(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    let token = lock.acquire().await?.into_token().await?;
    lock.adopt(&token).await?.release().await;
    is_refused(lock.adopt(&token).await, LossReason::Removed)?;
    scene.becomes_free().await
}

pub(super) async fn a_token_takes_no_lock_of_another(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let lock = service.lock(scene.name()).ttl(scene.long());
    let token = lock.acquire().await?.into_token().await?;
    lock.adopt(&token).await?.release().await;
    rival.take_when_free(scene.long()).await?;
    is_refused(lock.adopt(&token).await, LossReason::HeldByOther)?;
    rival.give_back().await
}

pub(super) async fn passing_on_is_refused(scene: &Scene<'_>) -> Proof {
    let lock = scene.service().await?.lock(scene.name()).ttl(scene.long());
    is_unsupported(lock.acquire().await?.into_token().await, "into_token")?;
    // The guard is dropped by that, so nothing stays taken for nothing.
    scene.becomes_free().await?;
    let text = format!("v1.{}.1000", "0".repeat(32));
    is_unsupported(lock.adopt(&text.parse()?).await, "adopt")
}

fn is_refused<T>(adopted: lock_core::Result<T>, reason: LossReason) -> Proof {
    match adopted {
        Err(error)
            if error.kind() == LockErrorKind::Lost && error.loss_reason() == Some(reason) =>
        {
            Ok(())
        }
        Err(error) => {
            fail!("the token of another's lock was refused, but not as {reason:?}: {error}")
        }
        Ok(_) => fail!("a token that owns nothing was adopted"),
    }
}
