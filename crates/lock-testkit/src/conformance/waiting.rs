//! Whoever waits is served, or told in time.

use futures_util::FutureExt;
use futures_util::future::{Either, select, try_join_all};
use lock_core::LockErrorKind;
use lock_core::backend::{AcquireReply, ReleaseReply};

use super::proof::{Failure, Proof, ensure, fail};
use super::scene::Scene;

pub(super) async fn a_waiter_gets_a_lock_that_is_released(scene: &Scene<'_>) -> Proof {
    let (holder, waiter) = (scene.service().await?, scene.service().await?);
    let guard = holder.lock(scene.name()).ttl(scene.long()).acquire().await?;
    let lock = waiter.lock(scene.name()).ttl(scene.long()).wait(scene.wait_limit());
    let waiting = tokio::spawn(lock.acquire());
    // Long enough for the waiter to be refused, and to be queued where there is a queue.
    scene.pass(scene.lease() / 5).await;
    drop(guard);
    drop(waiting.await??);
    Ok(())
}

pub(super) async fn a_waiter_gets_a_lock_whose_lease_ends(scene: &Scene<'_>) -> Proof {
    let (holder, waiter) = (scene.contender().await?, scene.service().await?);
    let held = holder.take(scene.lease()).await?;
    let lock = waiter.lock(scene.name()).ttl(scene.long()).wait(scene.wait_limit());
    drop(lock.acquire().await?);
    let stood = scene.now().saturating_duration_since(held.sent);
    ensure!(
        stood >= scene.at_least(scene.lease()),
        "a lease of {:?} had ended after {stood:?}",
        scene.lease()
    );
    Ok(())
}

pub(super) async fn a_wait_ends_in_time(scene: &Scene<'_>) -> Proof {
    let (holder, waiter) = (scene.contender().await?, scene.service().await?);
    holder.take(scene.long()).await?;
    let lock = waiter.lock(scene.name()).wait(scene.lease());
    let began = scene.now();
    let waited = || scene.now().saturating_duration_since(began);
    match lock.acquire().await {
        Err(error) if error.kind() == LockErrorKind::Timeout => {}
        other => fail!("acquire waited in vain and said {other:?}"),
    }
    ensure!(waited() >= scene.lease(), "a wait of {:?} ended after {:?}", scene.lease(), waited());
    ensure!(lock.try_acquire().await?.is_none(), "try_acquire got a lock that another holds");
    let most = scene.lease() * 2 + scene.slack();
    ensure!(waited() < most, "two waits of {:?} took {:?}", scene.lease(), waited());
    Ok(())
}

pub(super) async fn nobody_waits_unasked(scene: &Scene<'_>) -> Proof {
    let (holder, service) = (scene.contender().await?, scene.service().await?);
    let held = holder.take(scene.long()).await?;
    ensure!(
        service.lock(scene.name()).try_acquire().await?.is_none(),
        "try_acquire got a lock that another holds"
    );
    let ran = service.lock(scene.name()).execute(async |_lease| ()).await?;
    ensure!(ran.is_none(), "execute ran its body while another held the lock");
    let waited = scene.now().saturating_duration_since(held.answered);
    ensure!(waited < scene.wait_limit(), "both took {waited:?}, without being asked to wait");
    Ok(())
}

pub(super) async fn all_who_wait_are_served(scene: &Scene<'_>) -> Proof {
    let services = [scene.service().await?, scene.service().await?];
    let waiters = (0..10).map(|waiter| {
        let lock = services[waiter % 2].lock(scene.name());
        lock.ttl(scene.long()).wait(scene.wait_limit()).execute(async |_lease| ())
    });
    let served = try_join_all(waiters).await?;
    ensure!(served.iter().all(Option::is_some), "not all waiters were served");
    Ok(())
}

pub(super) async fn a_held_lock_queues_who_asks_to(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let waiting = bob.queue(scene.long()).await?;
    alice.give_back().await?;
    bob.wait_in_queue(scene.long(), waiting).await?;
    scene.is_taken().await?;
    bob.give_back().await
}

pub(super) async fn asking_to_queue_is_a_plain_attempt(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    match bob.send(bob.request(scene.long()).with_queue(None)).await? {
        AcquireReply::Held { .. } => {}
        other => fail!("an attempt that asked to queue was answered with {other:?}"),
    }
    alice.give_back().await?;
    scene.becomes_free().await
}

pub(super) async fn waiters_are_granted_in_order_of_arrival(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol, dave] = scene.contenders().await?;
    let long = scene.long();
    alice.take(long).await?;
    let mut queued = Vec::new();
    for (waiter, name) in [(&bob, "bob"), (&carol, "carol"), (&dave, "dave")] {
        queued.push((waiter, name, waiter.queue(long).await?));
    }
    let waits = queued.into_iter().map(|(waiter, name, waiting)| {
        let served = async move {
            waiter.wait_in_queue(long, waiting).await?;
            Ok::<_, Failure>((waiter, name))
        };
        served.boxed()
    });
    let mut waits: Vec<_> = waits.collect();
    alice.give_back().await?;
    for expected in ["bob", "carol", "dave"] {
        let (first, _, rest) = futures_util::future::select_all(waits).await;
        let (waiter, name) = first?;
        ensure!(name == expected, "{name} was served before {expected}, who came earlier");
        waiter.give_back().await?;
        waits = rest;
    }
    Ok(())
}

pub(super) async fn asking_again_keeps_the_place(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    let long = scene.long();
    alice.take(long).await?;
    let ticket = bob.queue(long).await?.ticket;
    let carols = carol.queue(long).await?;
    let bobs = bob.queue_again(long, Some(ticket)).await?;
    alice.give_back().await?;
    let bobs = bob.wait_in_queue(long, bobs).boxed();
    let carols = carol.wait_in_queue(long, carols).boxed();
    match select(bobs, carols).await {
        Either::Left((grant, _)) => grant.map(drop),
        Either::Right(_) => fail!("a waiter that asked again was served behind a later one"),
    }
}

pub(super) async fn a_waiter_is_granted_without_its_wake(scene: &Scene<'_>) -> Proof {
    let [alice, bob] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let ticket = bob.queue(scene.long()).await?.ticket;
    alice.give_back().await?;
    let deadline = scene.now() + scene.wait_limit();
    while scene.now() < deadline {
        let request = bob.request(scene.long()).with_queue(Some(ticket));
        if let AcquireReply::Granted(_) = bob.send(request).await? {
            return Ok(());
        }
        scene.pass(scene.lease() / 10).await;
    }
    fail!("a waiter that asks again is not served, though nobody holds the lock")
}

pub(super) async fn a_waiter_that_is_gone_is_skipped(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    // Bob neither listens nor asks again.
    drop(bob.queue(scene.long()).await?);
    let waiting = carol.queue(scene.long()).await?;
    alice.give_back().await?;
    carol.wait_in_queue(scene.long(), waiting).await.map(drop)
}

pub(super) async fn a_release_leaves_the_queue(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let bobs = bob.queue(scene.long()).await?;
    let carols = carol.queue(scene.long()).await?;
    let reply = bob.release().await?;
    ensure!(reply == ReleaseReply::HeldByOther, "a waiter's release was answered {reply:?}");
    alice.give_back().await?;
    carol.wait_in_queue(scene.long(), carols).await?;
    drop(bobs);
    carol.give_back().await
}

pub(super) async fn a_grant_to_a_waiter_that_left_is_handed_on(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let bobs = bob.queue(scene.long()).await?;
    let carols = carol.queue(scene.long()).await?;
    // The lock may be bob's from here on, whether he knows it or not.
    alice.give_back().await?;
    bob.release().await?;
    drop(bobs);
    carol.wait_in_queue(scene.long(), carols).await?;
    carol.give_back().await
}

pub(super) async fn a_status_counts_the_queue(scene: &Scene<'_>) -> Proof {
    let [alice, bob, carol] = scene.contenders().await?;
    alice.take(scene.long()).await?;
    let mut queued = Vec::new();
    for waiter in [&bob, &carol] {
        queued.push(waiter.queue(scene.long()).await?);
    }
    let waiters = alice.status().await?.and_then(|status| status.waiters);
    ensure!(waiters == Some(2), "two are queued, and the status counts {waiters:?}");
    Ok(())
}

pub(super) async fn services_are_served_in_order_of_arrival(scene: &Scene<'_>) -> Proof {
    let holder = scene.contender().await?;
    holder.take(scene.long()).await?;
    let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
    for place in 0..4 {
        let service = scene.service().await?;
        let lock = service.lock(scene.name()).ttl(scene.long()).wait(scene.wait_limit());
        let sender = sender.clone();
        tokio::spawn(async move {
            lock.execute(async |_lease| sender.send(place).is_ok()).await.ok();
        });
        // Long enough for this one to be queued before the next one comes.
        scene.pass(scene.lease() / 5).await;
    }
    drop(sender);
    holder.give_back().await?;
    let mut order = Vec::new();
    while let Some(place) = served.recv().await {
        order.push(place);
    }
    ensure!(order == [0, 1, 2, 3], "four waiters were served in the order {order:?}");
    Ok(())
}
