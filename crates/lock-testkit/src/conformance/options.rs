//! What is asked for is done, or refused before anything is sent.

use std::time::Duration;

use lock_core::{LockErrorKind, LockOptions};

use super::proof::{Proof, ensure, fail};
use super::renewal::is_unsupported;
use super::scene::Scene;

pub(super) async fn leases_out_of_range_are_refused(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let (least, most) = (scene.capabilities().ttl_min, scene.capabilities().ttl_max);
    let step = Duration::from_nanos(1);
    let outside = [Duration::ZERO, least.saturating_sub(step), most.saturating_add(step)];
    for ttl in outside {
        let lock = service.lock(scene.name()).ttl(ttl);
        is_invalid(lock.check(), "ttl")?;
        is_invalid(lock.try_acquire().await, "ttl")?;
    }
    for ttl in [least, most] {
        service.lock(scene.name()).ttl(ttl).check()?;
    }
    Ok(())
}

pub(super) async fn the_longest_lease_is_granted(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let ttl = scene.capabilities().ttl_max;
    let guard = service.lock(scene.name()).ttl(ttl).acquire().await?;
    guard.ensure_held()?;
    scene.is_taken().await?;
    ensure!(guard.release().await.is_released(), "a lease of {ttl:?} was not held");
    scene.becomes_free().await
}

pub(super) async fn options_that_contradict_are_refused(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let (short, long) = (scene.lease(), scene.long());
    let plain = LockOptions::new;
    let mut wrong = vec![(plain().ttl(short).min_hold(long), "min_hold")];
    if scene.capabilities().renew {
        wrong.push((plain().ttl(long).max_hold(short), "max_hold"));
        let too_short = Duration::from_millis(299).max(scene.capabilities().ttl_min);
        if too_short < Duration::from_millis(300) {
            wrong.push((plain().ttl(too_short).keep_alive(), "keep_alive"));
        }
    }
    for (options, what) in wrong {
        let lock = service.lock(scene.name()).options(options);
        is_invalid(lock.check(), what)?;
        is_invalid(lock.try_acquire().await, what)?;
    }
    scene.contender().await?.take(scene.long()).await.map(drop)
}

pub(super) async fn a_free_lock_has_no_status(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let before = service.status(scene.name()).await?;
    ensure!(before.is_none(), "a lock that was never held has the status {before:?}");
    service.lock(scene.name()).ttl(scene.long()).acquire().await?.release().await;
    let after = service.status(scene.name()).await?;
    ensure!(after.is_none(), "a lock that was released has the status {after:?}");
    Ok(())
}

pub(super) async fn a_held_lock_has_a_status(scene: &Scene<'_>) -> Proof {
    let (mine, yours) = (scene.service().await?, scene.service().await?);
    let guard = mine.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let Some(status) = yours.status(scene.name()).await? else {
        fail!("a lock that is held has no status")
    };
    let token = status.fencing_token;
    ensure!(
        token.is_none() || token == guard.fencing_token(),
        "the status shows token {token:?}, the guard {:?}",
        guard.fencing_token()
    );
    guard.ensure_held()?;
    Ok(())
}

pub(super) async fn a_status_is_refused(scene: &Scene<'_>) -> Proof {
    is_unsupported(scene.service().await?.status(scene.name()).await, "status")
}

pub(super) async fn a_ping_is_answered(scene: &Scene<'_>) -> Proof {
    Ok(scene.service().await?.ping().await?)
}

pub(super) async fn an_error_names_what_it_is_about(scene: &Scene<'_>) -> Proof {
    let holder = scene.contender().await?;
    holder.take(scene.long()).await?;
    let lock = scene.service().await?.lock(scene.name()).wait(Duration::ZERO);
    let Err(error) = lock.acquire().await else { fail!("a lock that is held was acquired") };
    ensure!(error.operation() == Some("acquire"), "acquire's error names {:?}", error.operation());
    ensure!(error.name() == Some(lock.name()), "the error names the lock {:?}", error.name());
    ensure!(error.is_retryable(), "{error} is said to be final");
    Ok(())
}

fn is_invalid<T>(result: lock_core::Result<T>, what: &str) -> Proof {
    match result {
        Err(error) if error.kind() == LockErrorKind::InvalidConfig => {
            ensure!(error.to_string().contains(what), "the error does not name {what}: {error}");
            Ok(())
        }
        Err(error) => fail!("{what} was refused, but not as an option: {error}"),
        Ok(_) => fail!("{what} out of its range was not refused"),
    }
}
