//! A service that is shut down ends what it holds, and nothing of it stays.

use std::time::Duration;

use lock_core::{LockErrorKind, LossReason};

use super::proof::{Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn a_shutdown_refuses_new_work(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    service.lock(scene.name()).ttl(scene.long()).execute(async |_lease| ()).await?;
    service.shutdown(Duration::ZERO).await;
    is_shut_down(service.lock(scene.name()).try_acquire().await)?;
    is_shut_down(service.lock(scene.name()).acquire().await)?;
    is_shut_down(service.try_acquire_lock(scene.name(), scene.long()).await)?;
    scene.becomes_free().await
}

pub(super) async fn a_shutdown_ends_waits(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    let lock = service.lock(scene.name()).ttl(scene.long()).wait_forever();
    let waiting = tokio::spawn(lock.acquire());
    scene.pass(scene.lease() / 5).await;
    service.shutdown(Duration::ZERO).await;
    is_shut_down(waiting.await?)?;
    holder.give_back().await?;
    scene.becomes_free().await
}

pub(super) async fn a_shutdown_leaves_holders_their_grace(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let began = scene.now();
    let mut ending = Box::pin(service.shutdown(scene.wait_limit()));
    tokio::select! {
        report = &mut ending => fail!("a shutdown did not wait for its holder: {report:?}"),
        () = scene.pass(scene.lease() / 5) => {}
    }
    guard.ensure_held()?;
    let outcome = guard.release().await;
    ensure!(outcome.is_released(), "a release within the grace said {outcome:?}");
    let report = ending.await;
    ensure!(report.released == 1 && report.lost == 0, "one holder released in time: {report:?}");
    let took = scene.now().saturating_duration_since(began);
    ensure!(took < scene.wait_limit(), "a shutdown used up its grace though nobody held a lock");
    scene.becomes_free().await
}

pub(super) async fn a_shutdown_ends_what_is_left(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let report = service.shutdown(scene.lease() / 5).await;
    ensure!(report.lost == 1 && report.released == 0, "one holder did not stop: {report:?}");
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::ShutDown), "a shutdown ended a lease with {reason:?}");
    scene.contender().await?.take(scene.long()).await.map(drop)
}

pub(super) async fn a_shutdown_renews_during_the_grace(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lease = scene.renewed_lease();
    let guard = service.lock(scene.name()).ttl(lease).keep_alive().acquire().await?;
    let report = service.shutdown(lease * 2).await;
    ensure!(report.lost == 1, "a lease was not kept alive during the grace: {report:?}");
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::ShutDown), "a shutdown ended a lease with {reason:?}");
    Ok(())
}

pub(super) async fn a_shutdown_releases_manual_locks(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    service.try_acquire_lock(scene.name(), scene.long()).await?;
    service.shutdown(Duration::ZERO).await;
    scene.contender().await?.take(scene.long()).await.map(drop)
}

pub(super) async fn a_shutdown_leaves_other_services_alone(scene: &Scene<'_>) -> Proof {
    let (mine, yours) = (scene.service().await?, scene.service().await?);
    mine.lock(scene.other_name("/mine")).ttl(scene.long()).execute(async |_lease| ()).await?;
    let guard = yours.lock(scene.name()).ttl(scene.long()).acquire().await?;
    mine.shutdown(Duration::ZERO).await;
    guard.ensure_held()?;
    scene.is_taken().await?;
    ensure!(guard.release().await.is_released(), "another service's shutdown took the lock");
    Ok(())
}

fn is_shut_down<T>(result: lock_core::Result<T>) -> Proof {
    match result {
        Err(error) if error.kind() == LockErrorKind::ShutDown => Ok(()),
        Err(error) => fail!("a service that was shut down said {error}"),
        Ok(_) => fail!("a service that was shut down took a lock"),
    }
}
