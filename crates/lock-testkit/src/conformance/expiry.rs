//! A lease ends by itself, and not before its time.

use lock_core::Instant;

use super::proof::{Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn a_lease_ends_by_itself(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let held = alice.take(scene.lease()).await?;
    let latest = held.answered + scene.lease() + scene.slack();
    ensure!(
        bob.take_by(scene.lease(), latest).await?.is_some(),
        "a lease of {:?} still stood {:?} after its end",
        scene.lease(),
        scene.slack()
    );
    Ok(())
}

pub(super) async fn a_lease_does_not_end_early(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let held = alice.take(scene.lease()).await?;
    let lease = held.grant.granted_ttl.unwrap_or(scene.lease());
    let taken = bob.take_when_free(scene.lease()).await?;
    let stood = taken.answered.saturating_duration_since(held.sent);
    ensure!(stood >= scene.at_least(lease), "a lease of {lease:?} had ended after {stood:?}");
    Ok(())
}

pub(super) async fn the_local_deadline_is_not_behind_the_stores(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let guard = service.lock(scene.name()).ttl(scene.lease()).acquire().await?;
    // The time is read first, so this is not later than the guard's deadline.
    let deadline = scene.now() + guard.remaining();
    let taken = rival.take_when_free(scene.lease()).await?;
    ensure!(
        taken.answered >= deadline,
        "another was granted the lock {:?} before the guard's deadline",
        deadline.saturating_duration_since(taken.answered)
    );
    Ok(())
}

pub(super) async fn the_local_deadline_is_within_the_lease(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.lease());
    let sent = scene.now();
    let guard = lock.acquire().await?;
    let remaining = guard.remaining();
    ensure!(remaining <= scene.lease(), "{remaining:?} are left of {:?}", scene.lease());
    guard.lost().await;
    let lasted = scene.now().saturating_duration_since(sent);
    // 1 % and 2 ms are allowed for clocks that differ.
    let least = scene.lease() - lock_core::machine::margins::drift(scene.lease());
    ensure!(lasted >= least, "a lease of {:?} was over after {lasted:?}", scene.lease());
    Ok(())
}

pub(super) async fn a_status_tells_the_time_that_is_left(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    let ttl = scene.long();
    let held = alice.take(ttl).await?;
    let Some(status) = alice.status().await? else { fail!("a lock that is held has no status") };
    let Some(remaining) = status.remaining else { fail!("a lease is said to have no end") };
    let since = |start: Instant| scene.now().saturating_duration_since(start);
    let drift = lock_core::machine::margins::drift(ttl);
    let most = ttl + scene.capabilities().ttl_granularity + drift;
    let least = ttl.saturating_sub(since(held.sent) + drift);
    ensure!(
        (least..=most).contains(&remaining),
        "{remaining:?} are said to be left, not {least:?} to {most:?}"
    );
    Ok(())
}

pub(super) async fn an_expired_lock_has_no_holder(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.lease()).await?;
    // That another was granted it, and gave it back, proves that the lease has ended.
    bob.take_when_free(scene.long()).await?;
    bob.give_back().await?;
    match alice.status().await? {
        None => Ok(()),
        Some(status) => fail!("a lock that nobody holds has the status {status:?}"),
    }
}
