//! Every grant of a lock carries a larger token than all before.

use lock_core::FencingToken;
use lock_core::backend::AcquireReply;

use super::proof::{Failure, Proof, ensure, fail};
use super::renewal::is_unsupported;
use super::scene::{Scene, Taken};

pub(super) async fn fencing_tokens_rise_with_every_grant(scene: &Scene<'_>) -> Proof {
    let mut before = None;
    for _ in 0..5 {
        // Each with a handle of its own, as another process would have.
        let one = scene.contender().await?;
        let token = token_of(&one.take(scene.long()).await?)?;
        rises(before.replace(token), token)?;
        one.give_back().await?;
    }
    Ok(())
}

pub(super) async fn no_token_is_made_up(scene: &Scene<'_>) -> Proof {
    let service = scene.service().await?;
    is_unsupported(service.lock(scene.name()).require_fencing().check(), "require_fencing")?;
    let guard = service.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let token = guard.fencing_token();
    ensure!(token.is_none(), "a backend that cannot fence issued {token:?}");
    Ok(())
}

pub(super) async fn fencing_tokens_rise_across_an_expiry(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let first = token_of(&alice.take(scene.lease()).await?)?;
    let second = token_of(&bob.take_when_free(scene.long()).await?)?;
    rises(Some(first), second)
}

pub(super) async fn a_grant_leaves_room_for_local_tokens(scene: &Scene<'_>) -> Proof {
    const ROOM: u64 = 1 << FencingToken::LOCAL_BITS;
    let [alice, bob] = scene.contenders().await?;
    let first = token_of(&alice.take(scene.long()).await?)?.get();
    alice.give_back().await?;
    let second = token_of(&bob.take(scene.long()).await?)?.get();
    ensure!(
        first % ROOM == 0 && second % ROOM == 0,
        "tokens {first} and {second} are not the first of {ROOM}"
    );
    ensure!(second >= first + ROOM, "token {second} follows {first} by less than {ROOM}");
    Ok(())
}

pub(super) async fn a_repeated_attempt_has_no_smaller_token(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let first = token_of(&alice.take(scene.long()).await?)?;
    let again = token_of(&alice.take(scene.long()).await?)?;
    ensure!(again >= first, "a repeated attempt got token {again} after {first}");
    alice.give_back().await?;
    rises(Some(again), token_of(&bob.take(scene.long()).await?)?)
}

pub(super) async fn fencing_tokens_rise_along_the_queue(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    let first = token_of(&alice.take(scene.long()).await?)?;
    let bobs = bob.queue(scene.long()).await?;
    let carols = carol.queue(scene.long()).await?;
    alice.give_back().await?;
    let second = present(bob.wait_in_queue(scene.long(), bobs).await?.fencing)?;
    rises(Some(first), second)?;
    bob.give_back().await?;
    let third = present(carol.wait_in_queue(scene.long(), carols).await?.fencing)?;
    rises(Some(second), third)
}

pub(super) async fn a_refusal_costs_no_order(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    let first = token_of(&alice.take(scene.long()).await?)?;
    for _ in 0..3 {
        match bob.attempt(scene.long()).await? {
            AcquireReply::Held { .. } => {}
            other => fail!("a lock that is held was answered with {other:?}"),
        }
    }
    alice.give_back().await?;
    rises(Some(first), token_of(&bob.take(scene.long()).await?)?)
}

pub(super) async fn guards_carry_rising_tokens(scene: &Scene<'_>) -> Proof {
    let mut before = None;
    for _ in 0..3 {
        let service = scene.service().await?;
        let lock = service.lock(scene.name()).ttl(scene.long()).require_fencing();
        let guard = lock.acquire().await?;
        let token = present(guard.fencing_token())?;
        ensure!(guard.lease().fencing_token() == Some(token), "guard and lease disagree");
        rises(before.replace(token), token)?;
        guard.release().await;
    }
    Ok(())
}

fn token_of(taken: &Taken) -> Result<FencingToken, Failure> {
    present(taken.grant.fencing)
}

fn present(token: Option<FencingToken>) -> Result<FencingToken, Failure> {
    token.ok_or_else(|| Failure("a grant carries no fencing token".to_owned()))
}

fn rises(before: Option<FencingToken>, after: FencingToken) -> Proof {
    match before {
        Some(before) if after <= before => fail!("token {before} was followed by {after}"),
        _ => Ok(()),
    }
}
