//! A status says who holds a lock, and who waits for it.

use std::time::{Duration, SystemTime};

use lock_core::backend::this_process;
use lock_core::{Holder, LockErrorKind, Who};

use super::proof::{Proof, ensure, fail};
use super::scene::{Contender, Scene};

/// How often the name may come too late.
const TRIES: u32 = 50;

/// Tokens tell the time in whole milliseconds.
const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) async fn a_status_names_the_holder(scene: &Scene<'_>) -> Proof {
    let [alice, stranger] = scene.contenders().await?;
    let stranger = stranger.of_a_stranger();
    stranger.take(scene.long()).await?;
    let named = holder(&alice).await?;
    ensure!(named.who == Who::Unregistered, "a stranger is said to be {named}");
    stranger.give_back().await?;
    let before = SystemTime::now() - MILLISECOND;
    let alice = alice.fresh()?;
    alice.take(scene.long()).await?;
    let named = holder(&alice).await?;
    ensure!(!named.has_released, "a lock that is held is said to be released");
    is_this_process(&named.who, named.is_this_process, named.since, before)
}

pub(super) async fn a_status_names_those_who_wait(scene: &Scene<'_>) -> Proof {
    let [alice, bob, stranger] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let before = SystemTime::now() - MILLISECOND;
    let (bob, stranger) = (bob.fresh()?, stranger.of_a_stranger());
    let mut queued = Vec::new();
    for waiter in [&stranger, &bob] {
        queued.push(waiter.queue(scene.long()).await?);
    }
    let Some(status) = alice.status().await? else { fail!("a lock that is held has no status") };
    let [first, second] = status.queue.as_slice() else {
        fail!("two are queued, and the status names {:?}", status.queue)
    };
    ensure!(first.who == Who::Unregistered, "the first is a stranger, and not {first}");
    is_this_process(&second.who, second.is_this_process, second.since, before)
}

pub(super) async fn a_status_says_that_a_holder_has_released(scene: &Scene<'_>) -> Proof {
    let [alice] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    alice.release_with_min_hold(scene.long()).await?;
    let holder = holder(&alice).await?;
    ensure!(holder.has_released, "a name that is kept taken is said to be held by {holder}");
    ensure!(holder.is_this_process, "it was held by this process, and not by {holder}");
    Ok(())
}

pub(super) async fn who_is_refused_is_told_who_holds(scene: &Scene<'_>) -> Proof {
    let (holder, waiter) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    for wait in [Duration::ZERO, scene.lease() / 10] {
        let mut tries = 0;
        let error = loop {
            let error = match waiter.lock(scene.name()).wait(wait).acquire().await {
                Err(error) if error.kind() == LockErrorKind::Timeout => error,
                other => fail!("acquire waited in vain and said {other:?}"),
            };
            // Nobody waits for the name for long, and a store that is busy may say it too late.
            if error.holder().is_some() || tries == TRIES {
                break error;
            }
            tries += 1;
        };
        let Some(named) = error.holder() else { fail!("the error names no holder: {error}") };
        ensure!(named.is_this_process, "the error says that {named} holds the lock");
        ensure!(error.to_string().contains(&named.to_string()), "the text is {error}");
        ensure!(!format!("{error:?}").contains(&holder.token().to_string()), "it shows a token");
    }
    Ok(())
}

async fn holder(contender: &Contender) -> Result<Holder, super::proof::Failure> {
    match contender.status().await?.map(|status| status.holder) {
        Some(Some(holder)) => Ok(holder),
        Some(None) => fail!("the status names no holder"),
        None => fail!("a lock that is held has no status"),
    }
}

fn is_this_process(
    who: &Who,
    is_this_process: bool,
    since: Option<SystemTime>,
    before: SystemTime,
) -> Proof {
    ensure!(is_this_process, "{who} is not said to be this process");
    ensure!(*who == Who::Process(this_process()), "this process is not {who}");
    let after = SystemTime::now() + MILLISECOND;
    ensure!(
        since.is_some_and(|since| (before..=after).contains(&since)),
        "it asked for the lock between {before:?} and {after:?}, and not at {since:?}"
    );
    Ok(())
}
