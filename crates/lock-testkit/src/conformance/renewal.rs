//! A lease that is renewed stands longer; nothing else is changed by it.

use std::time::Duration;

use lock_core::backend::{LockBackend, RenewReply, RenewRequest};
use lock_core::{LockErrorKind, LossReason};

use super::proof::{Proof, ensure, fail};
use super::scene::{Contender, Scene};

pub(super) async fn a_renewal_raises_the_expiry(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.lease()).await?;
    let sent = scene.now();
    is_renewed(&alice, scene.lease() * 3).await?;
    let taken = bob.take_when_free(scene.lease()).await?;
    let stood = taken.answered.saturating_duration_since(sent);
    let lease = scene.lease() * 3;
    ensure!(
        stood >= scene.at_least(lease),
        "a lease that was renewed to {lease:?} had ended after {stood:?}"
    );
    Ok(())
}

pub(super) async fn a_renewal_never_shortens(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let held = alice.take(scene.lease() * 3).await?;
    is_renewed(&alice, scene.lease()).await?;
    let taken = bob.take_when_free(scene.lease()).await?;
    let stood = taken.answered.saturating_duration_since(held.sent);
    let lease = scene.lease() * 3;
    ensure!(
        stood >= scene.at_least(lease),
        "a shorter renewal ended a lease of {lease:?} after {stood:?}"
    );
    Ok(())
}

pub(super) async fn an_exact_renewal_sets_the_expiry(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let sent = scene.now();
    is_answered_as_renewed(alice.send_renewal(alice.renewal(scene.lease()).with_exact()).await?)?;
    let latest = scene.now() + scene.lease() + scene.slack();
    let Some(taken) = bob.take_by(scene.lease(), latest).await? else {
        fail!("a lease that was set to {:?} still stood {:?} later", scene.lease(), scene.slack())
    };
    let stood = taken.answered.saturating_duration_since(sent);
    let lease = scene.lease();
    ensure!(
        stood >= scene.at_least(lease),
        "a lease that was set to {lease:?} had ended after {stood:?}"
    );
    Ok(())
}

pub(super) async fn renewals_are_answered_in_order(scene: &Scene<'_>) -> Proof {
    let name = |suffix| scene.other_name(suffix);
    let held = scene.contender_for(&name("/held")).await?;
    let free = scene.contender_for(&name("/free")).await?;
    let (theirs, owner) = (
        scene.contender_for(&name("/theirs")).await?,
        scene.contender_for(&name("/theirs")).await?,
    );
    held.take(scene.long()).await?;
    owner.take(scene.long()).await?;
    let asked = [&free, &held, &theirs, &held, &held];
    let batch = asked.map(|one| one.renewal(scene.long())).to_vec();
    let replies = scene.backend().await?.renew(batch).await?;
    ensure!(
        matches!(
            replies[..],
            [
                RenewReply::NotHeld,
                RenewReply::Renewed,
                RenewReply::HeldByOther,
                RenewReply::Renewed,
                RenewReply::Renewed
            ]
        ),
        "free, held, another's, held, held were answered {replies:?}"
    );
    Ok(())
}

pub(super) async fn a_large_batch_is_answered_in_full(scene: &Scene<'_>) -> Proof {
    const COUNT: usize = 1_201;
    let [alice] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let stranger = scene.contender_for(&scene.other_name("/free")).await?;
    let mut batch: Vec<RenewRequest> = (1..COUNT).map(|_| stranger.renewal(scene.long())).collect();
    batch.push(alice.renewal(scene.long()));
    let backend = scene.backend().await?;
    let replies = backend.renew(batch).await?;
    ensure!(replies.len() == COUNT, "{COUNT} renewals got {} answers", replies.len());
    ensure!(
        matches!(replies.last(), Some(RenewReply::Renewed)),
        "the last of {COUNT} renewals was answered {:?}",
        replies.last()
    );
    let none = backend.renew(Vec::new()).await?;
    ensure!(none.is_empty(), "no renewals got {} answers", none.len());
    Ok(())
}

pub(super) async fn a_renewal_never_takes_an_expired_lock(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let held = alice.take(scene.lease()).await?;
    scene.clock().sleep_until(held.answered + scene.lease() * 3 / 2).await;
    let reply = alice.renew(scene.long()).await?;
    ensure!(
        matches!(reply, RenewReply::NotHeld),
        "the renewal of a lease that had ended was answered {reply:?}"
    );
    bob.take(scene.long()).await.map(drop)
}

pub(super) async fn a_renewal_never_takes_anothers_lock(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let reply = bob.renew(scene.long()).await?;
    ensure!(
        matches!(reply, RenewReply::HeldByOther),
        "the renewal of another's lock was answered {reply:?}"
    );
    bob.release().await?;
    alice.give_back().await
}

pub(super) async fn a_renewal_never_revives_a_released_lock(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    alice.give_back().await?;
    let reply = alice.renew(scene.long()).await?;
    ensure!(
        matches!(reply, RenewReply::NotHeld),
        "the renewal of a released lock was answered {reply:?}"
    );
    bob.take(scene.long()).await.map(drop)
}

pub(super) async fn keep_alive_outlasts_the_lease(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let lease = scene.renewed_lease();
    let guard = service.lock(scene.name()).ttl(lease).keep_alive().acquire().await?;
    let end = scene.now() + lease * 3;
    let taken = rival.take_by(scene.lease(), end).await?;
    ensure!(taken.is_none(), "another got a lock that is kept alive");
    guard.ensure_held()?;
    ensure!(guard.release().await.is_released(), "a lock that is kept alive was not held");
    Ok(())
}

pub(super) async fn keep_alive_is_refused(scene: &Scene<'_>) -> Proof {
    let lock = scene.service().await?.lock(scene.name()).keep_alive();
    is_unsupported(lock.check(), "keep_alive")?;
    is_unsupported(lock.try_acquire().await, "try_acquire with keep_alive")
}

pub(super) async fn extend_sets_the_lease(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let lease = scene.lease();
    let guard = service.lock(scene.name()).ttl(lease * 2).acquire().await?;
    let sent = scene.now();
    guard.extend(lease * 3).await?;
    let remaining = guard.remaining();
    ensure!(remaining <= lease * 3, "extend added to the lease: {remaining:?} are left");
    let taken = rival.take_when_free(lease).await?;
    ensure!(
        taken.answered >= sent + scene.at_least(lease * 3),
        "the store did not extend the lease"
    );
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Expired), "an extended lease ended with {reason:?}");
    Ok(())
}

pub(super) async fn extend_is_refused(scene: &Scene<'_>) -> Proof {
    let guard = scene.service().await?.lock(scene.name()).ttl(scene.long()).acquire().await?;
    is_unsupported(guard.extend(scene.long()).await, "extend")?;
    guard.ensure_held()?;
    Ok(())
}

pub(super) async fn a_shorter_extend_lowers_the_local_deadline(scene: &Scene<'_>) -> Proof {
    let guard = scene.service().await?.lock(scene.name()).ttl(scene.long()).acquire().await?;
    guard.extend(scene.lease()).await?;
    let remaining = guard.remaining();
    ensure!(remaining <= scene.lease(), "{remaining:?} are left of {:?}", scene.lease());
    let reason = guard.lost().await;
    ensure!(reason == Some(LossReason::Expired), "a shortened lease ended with {reason:?}");
    drop(guard);
    scene.becomes_free().await
}

pub(super) async fn a_shorter_extend_is_shorter_in_the_store(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    guard.extend(scene.long() / 4).await?;
    is_left_at_most(&rival, scene.long() / 4).await?;
    guard.ensure_held()?;
    // And longer again.
    guard.extend(scene.long()).await?;
    let remaining = guard.remaining();
    ensure!(remaining > scene.long() / 2, "{remaining:?} are left of {:?}", scene.long());
    Ok(())
}

pub(super) async fn keep_alive_keeps_what_extend_set(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let guard = service.lock(scene.name()).ttl(scene.long()).keep_alive().acquire().await?;
    guard.extend(scene.long() * 2).await?;
    let lease = scene.renewed_lease();
    guard.extend(lease).await?;
    scene.pass(lease * 3 / 2).await;
    let remaining = guard.remaining();
    ensure!(!remaining.is_zero(), "a lease that is kept alive is over");
    ensure!(remaining <= lease, "{remaining:?} are left of a lease that was set to {lease:?}");
    is_left_at_most(&rival, lease).await
}

async fn is_left_at_most(rival: &Contender, lease: Duration) -> Proof {
    match rival.status().await?.map(|status| status.remaining) {
        Some(Some(left)) if left <= lease => Ok(()),
        other => fail!("a lease was set to {lease:?}, and the store has {other:?} of it"),
    }
}

pub(super) async fn max_hold_bounds_keep_alive(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lease = scene.renewed_lease();
    let lock = service.lock(scene.name()).ttl(lease).keep_alive();
    let sent = scene.now();
    let guard = lock.max_hold(lease * 2).acquire().await?;
    let reason = guard.lost().await;
    let lasted = scene.now().saturating_duration_since(sent);
    ensure!(reason == Some(LossReason::MaxHold), "max_hold ended a lease with {reason:?}");
    let max = lease * 2;
    ensure!(lasted >= max, "a max_hold of {max:?} ended a lease after {lasted:?}");
    scene.becomes_free().await
}

/// A lease that cannot be renewed ends before `max_hold` is over.
pub(super) async fn max_hold_is_allowed(scene: &Scene<'_>) -> Proof {
    let lock = scene.service().await?.lock(scene.name()).max_hold(Duration::from_secs(600));
    Ok(lock.check()?)
}

pub(super) async fn keep_alive_if_supported_is_never_refused(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.renewed_lease()).keep_alive_if_supported();
    let guard = lock.acquire().await?;
    scene.pass(scene.renewed_lease() * 3).await;
    let can_renew = scene.capabilities().renew;
    ensure!(
        guard.is_held() == can_renew,
        "three leases later, with renew = {can_renew}, the lock is held: {}",
        guard.is_held()
    );
    Ok(())
}

async fn is_renewed(contender: &Contender, ttl: Duration) -> Proof {
    is_answered_as_renewed(contender.renew(ttl).await?)
}

fn is_answered_as_renewed(reply: RenewReply) -> Proof {
    match reply {
        RenewReply::Renewed => Ok(()),
        other => fail!("the holder's renewal was answered {other:?}"),
    }
}

pub(super) fn is_unsupported<T>(result: lock_core::Result<T>, what: &str) -> Proof {
    match result {
        Err(error) if error.kind() == LockErrorKind::Unsupported => Ok(()),
        Err(error) => fail!("{what} was refused, but not as unsupported: {error}"),
        Ok(_) => fail!("{what} was not refused"),
    }
}
