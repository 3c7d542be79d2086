//! A call that is given up, at whatever point, leaves nothing behind.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::Poll;

use futures_util::FutureExt;
use lock_core::LockErrorKind;
use lock_core::backend::LockKey;

use super::proof::{Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn an_attempt_given_up_is_undone(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    spy.hold_attempts(true);
    // The store has granted the lock, and the answer is on its way.
    let mut acquiring = Box::pin(lock.acquire());
    tokio::select! {
        acquired = &mut acquiring => fail!("an answer was held back, and acquire said {acquired:?}"),
        () = spy.granted(1) => {}
    }
    drop(acquiring);
    spy.hold_attempts(false);
    scene.becomes_free().await
}

pub(super) async fn an_attempt_without_an_answer_is_undone(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    spy.swallow_grants(true);
    match service.lock(scene.name()).ttl(scene.long()).try_acquire().await {
        Err(error) if error.kind() == LockErrorKind::Unavailable => {}
        other => fail!("a grant whose answer was lost was reported as {other:?}"),
    }
    scene.becomes_free().await
}

pub(super) async fn acquires_dropped_anywhere_leave_nothing(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long()).wait(scene.wait_limit());
    for polls in 0..24 {
        // Every other time it has to wait for somebody.
        let guard = if polls % 2 == 0 { None } else { lock.try_acquire().await? };
        let mut acquiring = Box::pin(lock.acquire());
        poll_times(acquiring.as_mut(), polls / 2).await;
        drop(acquiring);
        drop(guard);
    }
    scene.becomes_free().await
}

pub(super) async fn a_wait_given_up_leaves_the_queue(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    let lock = service.lock(scene.name()).ttl(scene.long()).wait(scene.wait_limit());
    let waiting = tokio::time::timeout(scene.lease() / 5, lock.acquire()).await;
    ensure!(waiting.is_err(), "a wait for a lock that another holds ended with {waiting:?}");
    holder.give_back().await?;
    scene.becomes_free().await
}

pub(super) async fn an_execute_given_up_releases(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    let (entered, inside) = tokio::sync::oneshot::channel();
    let mut executing = Box::pin(lock.execute(async |_lease| {
        entered.send(()).ok();
        std::future::pending::<()>().await;
    }));
    tokio::select! {
        ran = &mut executing => fail!("a body that never ends returned {ran:?}"),
        entered = inside => entered?,
    }
    scene.is_taken().await?;
    drop(executing);
    scene.becomes_free().await
}

pub(super) async fn a_body_that_panics_releases(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    let executing = lock.execute(async |_lease| std::panic::resume_unwind(Box::new("meant")));
    let caught = AssertUnwindSafe(executing).catch_unwind().await;
    ensure!(caught.is_err(), "a body's panic did not reach its caller");
    scene.becomes_free().await
}

pub(super) async fn a_release_given_up_goes_on(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    for polls in 0..3 {
        let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
        let mut releasing = Box::pin(guard.release());
        poll_times(releasing.as_mut(), polls).await;
        drop(releasing);
        scene.becomes_free().await?;
    }
    Ok(())
}

pub(super) async fn a_failed_release_is_tried_again(scene: &Scene<'_>) -> Proof {
    let (spy, service) = scene.spied_service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let key = LockKey::new("", scene.name())?;
    ensure!(spy.granted_token(&key).is_some(), "the service did not ask for this very lock");
    spy.refuse_releases(true);
    let outcome = guard.release().await;
    ensure!(
        outcome == lock_core::ReleaseOutcome::Unknown,
        "a release without an answer said {outcome:?}"
    );
    scene.is_taken().await?;
    spy.refuse_releases(false);
    scene.becomes_free().await
}

/// Polls a future so many times, unless it ends before; others may run in between.
async fn poll_times<F: Future>(mut future: Pin<&mut F>, times: u32) {
    for _ in 0..times {
        let ended = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if ended {
            return;
        }
        tokio::task::yield_now().await;
    }
}
