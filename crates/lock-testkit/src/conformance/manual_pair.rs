//! `try_acquire_lock` and `release_lock`: the manual style.

use lock_core::LockErrorKind;

use super::proof::{Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn the_pair_takes_and_gives_back(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let taken = service.try_acquire_lock(scene.name(), scene.long()).await?;
    ensure!(taken, "a free lock was refused");
    scene.is_taken().await?;
    let again = service.try_acquire_lock(scene.name(), scene.long()).await?;
    ensure!(!again, "a service took its own lock a second time");
    // Any clone, in any task, can give it back.
    let (clone, name) = (service.clone(), scene.name().to_owned());
    let released = tokio::spawn(async move { clone.release_lock(name).await }).await??;
    ensure!(released, "a lock that was held was not released");
    scene.contender().await?.take(scene.long()).await.map(drop)
}

pub(super) async fn releasing_what_is_not_held_is_false(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    ensure!(!service.release_lock(scene.name()).await?, "a lock that nobody held was released");
    service.try_acquire_lock(scene.name(), scene.long()).await?;
    service.release_lock(scene.name()).await?;
    ensure!(!service.release_lock(scene.name()).await?, "a lock was released twice");
    Ok(())
}

pub(super) async fn only_its_own_service_releases_a_lock(scene: &Scene<'_>) -> Proof {
    let (mine, yours) = (scene.service().await?, scene.service().await?);
    mine.try_acquire_lock(scene.name(), scene.long()).await?;
    ensure!(!yours.release_lock(scene.name()).await?, "another service released the lock");
    scene.is_taken().await?;
    ensure!(mine.release_lock(scene.name()).await?, "the lock's own service could not release it");
    Ok(())
}

pub(super) async fn a_lock_that_expired_is_not_released(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    service.try_acquire_lock(scene.name(), scene.lease()).await?;
    rival.take_when_free(scene.long()).await?;
    ensure!(!service.release_lock(scene.name()).await?, "a lock that had expired was released");
    scene.is_taken().await?;
    rival.give_back().await
}

pub(super) async fn a_lock_can_be_taken_anew_after_its_expiry(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    service.try_acquire_lock(scene.name(), scene.lease()).await?;
    rival.take_when_free(scene.long()).await?;
    rival.give_back().await?;
    let again = service.try_acquire_lock(scene.name(), scene.long()).await?;
    ensure!(again, "a lock that had expired could not be taken anew");
    // What is left of the first lease must not take the second one with it.
    scene.is_taken().await?;
    ensure!(service.release_lock(scene.name()).await?, "the second lease was not released");
    Ok(())
}

pub(super) async fn the_last_clone_releases(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    service.try_acquire_lock(scene.name(), scene.long()).await?;
    let clone = service.clone();
    drop(service);
    scene.is_taken().await?;
    drop(clone);
    scene.becomes_free().await
}

pub(super) async fn a_lost_answer_is_unknown(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    service.try_acquire_lock(scene.name(), scene.long()).await?;
    spy.fail_releases(true);
    let released = service.release_lock(scene.name()).await;
    spy.fail_releases(false);
    match released {
        Err(error) if error.kind() == LockErrorKind::Unknown => Ok(()),
        other => fail!("a release without an answer was reported as {other:?}"),
    }
}
