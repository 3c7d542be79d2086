//! What people use who look after a store: lists, and releases by force.

use lock_core::backend::LockBackend;
use lock_core::{HeldLock, LockErrorKind, LockService, LockStatus, ReleaseOutcome};

use super::proof::{Failure, Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn a_list_names_what_is_held(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let mut held = Vec::new();
    for suffix in [":a", ":b", ":c", ":free"] {
        held.push(scene.contender_for(&scene.other_name(suffix)).await?);
    }
    for contender in &held {
        contender.take(scene.long()).await?;
    }
    let [_, _, _, released] = held.as_slice() else { fail!("four contenders") };
    released.give_back().await?;
    let listed = list(&service, scene.name()).await?;
    let names: Vec<&str> = listed.iter().map(|held| held.name.as_str()).collect();
    let expected = [":a", ":b", ":c"].map(|suffix| scene.other_name(suffix));
    ensure!(names == expected, "{expected:?} are held, and the list names {names:?}");
    for (listed, contender) in listed.iter().zip(&held) {
        let Some(status) = contender.status().await? else { fail!("a held lock has no status") };
        ensure!(listed.status.holder == status.holder, "a list and a status name other holders");
        ensure!(listed.status.remaining >= status.remaining, "a list shows too little time");
    }
    ensure!(list(&service, &scene.other_name(":d")).await?.is_empty(), "a list names what is free");
    Ok(())
}

pub(super) async fn a_list_takes_its_prefix_literally(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let mut held = Vec::new();
    // What a pattern would take for one of the others.
    for suffix in [":*x", ":?x", ":[ab]x", ":\\*x", ":ax", ":bx"] {
        let contender = scene.contender_for(&scene.other_name(suffix)).await?;
        if contender.backend.check_key(&contender.key).is_ok() {
            contender.take(scene.long()).await?;
            held.push(scene.other_name(suffix));
        }
    }
    for prefix in [":*", ":?", ":[ab]", ":\\", ":a", ":a*", ":", ""] {
        let prefix = scene.other_name(prefix);
        let listed = list(&service, &prefix).await?;
        let listed: Vec<&str> = listed.iter().map(|held| held.name.as_str()).collect();
        let mut expected: Vec<&str> =
            held.iter().map(String::as_str).filter(|name| name.starts_with(&prefix)).collect();
        expected.sort_unstable();
        ensure!(listed == expected, "below {prefix:?} the list names {listed:?}");
    }
    Ok(())
}

pub(super) async fn a_list_is_refused(scene: &Scene<'_>) -> Proof {
    match scene.service().await?.list(scene.name()).await {
        Err(error) if error.kind() == LockErrorKind::Unsupported => Ok(()),
        other => fail!("a backend that cannot list said {other:?}"),
    }
}

pub(super) async fn a_forced_release_frees_what_was_shown(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    let shown = shown(&service, scene.name()).await?;
    let outcome = service.force_release(scene.name(), &shown).await?;
    ensure!(outcome == ReleaseOutcome::Released, "a forced release said {outcome}");
    scene.contender().await?.take(scene.long()).await?;
    Ok(())
}

pub(super) async fn a_forced_release_touches_nobody_else(scene: &Scene<'_>) -> Proof {
    let [first, second] = scene.contenders().await?;
    let service = scene.service().await?;
    first.take(scene.long()).await?;
    let shown = shown(&service, scene.name()).await?;
    first.give_back().await?;
    let outcome = service.force_release(scene.name(), &shown).await?;
    ensure!(outcome == ReleaseOutcome::AlreadyExpired, "of a free lock it said {outcome}");
    second.take(scene.long()).await?;
    let outcome = service.force_release(scene.name(), &shown).await?;
    ensure!(outcome == ReleaseOutcome::HeldByOther, "of another's lock it said {outcome}");
    scene.is_taken().await
}

pub(super) async fn a_forced_release_ends_a_min_hold(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    holder.release_with_min_hold(scene.long()).await?;
    let shown = shown(&service, scene.name()).await?;
    let outcome = service.force_release(scene.name(), &shown).await?;
    ensure!(outcome == ReleaseOutcome::Released, "a forced release said {outcome}");
    scene.contender().await?.take(scene.long()).await?;
    Ok(())
}

pub(super) async fn a_forced_release_hands_over_to_the_queue(scene: &Scene<'_>) -> Proof {
    let [holder, waiter] = scene.contenders().await?;
    let service = scene.service().await?;
    let taken = holder.take(scene.long()).await?;
    let waiting = waiter.queue(scene.long()).await?;
    let shown = shown(&service, scene.name()).await?;
    let outcome = service.force_release(scene.name(), &shown).await?;
    ensure!(outcome == ReleaseOutcome::Released, "a forced release said {outcome}");
    let grant = waiter.wait_in_queue(scene.long(), waiting).await?;
    let (before, after) = (taken.grant.fencing, grant.fencing);
    ensure!(before.is_none() || after > before, "the fencing token {after:?} follows {before:?}");
    Ok(())
}

pub(super) async fn a_forced_release_is_refused(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    let shown = LockStatus::new(Some(scene.long()));
    match service.force_release(scene.name(), &shown).await {
        Err(error) if error.kind() == LockErrorKind::Unsupported => scene.is_taken().await,
        other => fail!("a backend that shows no holders said {other:?}"),
    }
}

async fn list(service: &LockService, prefix: &str) -> Result<Vec<HeldLock>, Failure> {
    Ok(service.list(prefix).await?)
}

async fn shown(service: &LockService, name: &str) -> Result<LockStatus, Failure> {
    match service.status(name).await? {
        Some(status) => Ok(status),
        None => fail!("a lock that is held has no status"),
    }
}
