//! A body runs under its lock, and its value is never lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lock_core::{Lease, LockErrorKind, LossReason, OnLost};

use super::proof::{Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn execute_runs_under_the_lock(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    let value = lock
        .execute(async |lease| {
            scene.is_taken().await?;
            lease.ensure_held()?;
            Ok::<_, super::proof::Failure>((7, lease))
        })
        .await?;
    let Some(value) = value else { fail!("a free lock's body was not run") };
    let (value, lease): (i32, Lease) = value?;
    ensure!(value == 7, "the body's 7 came back as {value}");
    ensure!(!lease.is_held(), "a lease outlives its body");
    // It was given back before `execute` returned.
    scene.contender().await?.take(scene.long()).await.map(drop)
}

pub(super) async fn a_body_is_not_run_without_the_lock(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    let has_run = AtomicBool::new(false);
    let lock = service.lock(scene.name());
    let ran = lock.execute(async |_lease| has_run.store(true, Ordering::SeqCst)).await?;
    ensure!(ran.is_none(), "execute returned a value while another held the lock");
    ensure!(!has_run.load(Ordering::SeqCst), "the body ran while another held the lock");
    Ok(())
}

pub(super) async fn a_value_survives_a_failed_release(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    spy.fail_releases(true);
    let value = service.lock(scene.name()).ttl(scene.long()).execute(async |_lease| 7).await;
    spy.fail_releases(false);
    match value {
        Ok(Some(7)) => Ok(()),
        other => fail!("the release failed, and the body's 7 came back as {other:?}"),
    }
}

pub(super) async fn a_body_is_dropped_when_its_lease_is_lost(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let dropped = Arc::new(());
    let held_by_body = Arc::clone(&dropped);
    let lock = service.lock(scene.name()).ttl(scene.lease());
    let result = lock
        .execute(async move |_lease| {
            std::future::pending::<()>().await;
            drop(held_by_body);
        })
        .await;
    match result {
        Err(error) if error.kind() == LockErrorKind::Lost => {
            let reason = error.loss_reason();
            ensure!(reason == Some(LossReason::Expired), "the loss was reported as {reason:?}");
        }
        other => fail!("a body that outlives its lease came back as {other:?}"),
    }
    ensure!(Arc::strong_count(&dropped) == 1, "the body was not dropped");
    Ok(())
}

pub(super) async fn a_body_may_finish_after_a_loss(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.lease()).on_lost(OnLost::Continue);
    let reason = lock.execute(async |lease| lease.lost().await).await?;
    ensure!(
        reason == Some(Some(LossReason::Expired)),
        "a body that was to finish came back with {reason:?}"
    );
    Ok(())
}

pub(super) async fn execute_with_lock_is_execute(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let name = scene.name();
    let value = service.execute_with_lock(name, scene.long(), async |lease: Lease| {
        let within = service.execute_with_lock(name, scene.long(), async |_lease| ()).await;
        (lease.is_held(), within)
    });
    match value.await? {
        Some((true, Ok(None))) => Ok(()),
        other => fail!("a body that holds the lock, and asks for it again, said {other:?}"),
    }
}
