//! Whoever releases gives back what is its own, and nothing else.

use lock_core::ReleaseOutcome;
use lock_core::backend::{AcquireReply, ReleaseReply, RenewReply};

use super::proof::{Proof, ensure};
use super::scene::Scene;

pub(super) async fn a_released_lock_is_free_at_once(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    alice.give_back().await?;
    bob.take(scene.long()).await.map(drop)
}

pub(super) async fn a_release_touches_nobody_elses_lock(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let reply = bob.release().await?;
    ensure!(
        reply == ReleaseReply::HeldByOther,
        "the release of another's lock was answered {reply:?}"
    );
    scene.is_taken().await?;
    alice.give_back().await
}

pub(super) async fn a_late_release_hurts_nobody(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.lease()).await?;
    bob.take_when_free(scene.long()).await?;
    let reply = alice.release().await?;
    ensure!(
        reply == ReleaseReply::HeldByOther,
        "the release of a lease that another has now was answered {reply:?}"
    );
    scene.is_taken().await?;
    bob.give_back().await
}

pub(super) async fn releasing_an_unknown_token_is_an_answer(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    let reply = alice.release().await?;
    ensure!(reply == ReleaseReply::NotHeld, "an unknown token's release was answered {reply:?}");
    Ok(())
}

pub(super) async fn a_release_can_be_repeated(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    alice.give_back().await?;
    let reply = alice.release().await?;
    ensure!(reply == ReleaseReply::NotHeld, "a repeated release was answered {reply:?}");
    bob.take(scene.long()).await?;
    let reply = alice.release().await?;
    ensure!(reply == ReleaseReply::HeldByOther, "a repeated release was answered {reply:?}");
    bob.give_back().await
}

pub(super) async fn a_release_with_min_hold_keeps_the_name_taken(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let sent = scene.now();
    let reply = alice.release_with_min_hold(scene.lease()).await?;
    ensure!(reply == ReleaseReply::Released, "a release with min_hold was answered {reply:?}");
    let taken = bob.take_when_free(scene.lease()).await?;
    let kept = taken.answered.saturating_duration_since(sent);
    ensure!(
        kept >= scene.at_least(scene.lease()),
        "a min_hold of {:?} was over after {kept:?}",
        scene.lease()
    );
    ensure!(kept < scene.long() / 2, "a min_hold of {:?} took {kept:?}", scene.lease());
    Ok(())
}

pub(super) async fn a_name_that_is_kept_taken_is_nobodys(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    alice.release_with_min_hold(scene.long()).await?;
    let attempt = alice.attempt(scene.long()).await?;
    ensure!(
        !matches!(attempt, AcquireReply::Granted(_)),
        "a token was granted the lock again during its min_hold"
    );
    if scene.capabilities().renew {
        let reply = alice.renew(scene.long()).await?;
        ensure!(!matches!(reply, RenewReply::Renewed), "a lock was renewed during its min_hold");
    }
    Ok(())
}

pub(super) async fn min_hold_keeps_the_name_taken(scene: &Scene<'_>) -> Proof {
    let (service, rival) = (scene.service().await?, scene.contender().await?);
    let lock = service.lock(scene.name()).ttl(scene.long()).min_hold(scene.lease());
    let sent = scene.now();
    drop(lock.acquire().await?);
    let taken = rival.take_when_free(scene.lease()).await?;
    let held = taken.answered.saturating_duration_since(sent);
    ensure!(
        held >= scene.at_least(scene.lease()),
        "a min_hold of {:?} was over after {held:?}",
        scene.lease()
    );
    ensure!(held < scene.long() / 2, "a min_hold of {:?} took {held:?}", scene.lease());
    Ok(())
}

pub(super) async fn a_guards_release_says_what_it_found(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let outcome = guard.release().await;
    ensure!(outcome == ReleaseOutcome::Released, "a held lock's release said {outcome:?}");

    // A stranger with the guard's own token stands for a store that has lost the lock.
    let (spy, service) = scene.spied_service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    for (taken_over, expected) in
        [(false, ReleaseOutcome::AlreadyExpired), (true, ReleaseOutcome::HeldByOther)]
    {
        let guard = lock.acquire().await?;
        let rival = scene.contender().await?;
        let token = spy.granted_token(&rival.key).unwrap_or(rival.token());
        scene.contender().await?.with_token(token).give_back().await?;
        if taken_over {
            rival.take(scene.long()).await?;
        }
        let outcome = guard.release().await;
        ensure!(outcome == expected, "a release said {outcome:?}, not {expected:?}");
    }
    Ok(())
}

pub(super) async fn dropping_a_guard_releases(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    drop(service.lock(scene.name()).ttl(scene.long()).acquire().await?);
    scene.becomes_free().await
}

pub(super) async fn a_drop_is_seen_by_the_droppers_next_call(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.long());
    for round in 0..10 {
        let Some(guard) = lock.try_acquire().await? else {
            return Err(super::proof::Failure(format!(
                "the {round}. guard was dropped, and its own service was refused"
            )));
        };
        drop(guard);
    }
    Ok(())
}

pub(super) async fn a_dropped_guard_is_not_kept_alive(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    let lock = service.lock(scene.name()).ttl(scene.lease()).keep_alive();
    let guard = lock.acquire().await?;
    scene.pass(scene.lease() * 3 / 2).await;
    drop(guard);
    scene.becomes_free().await
}
