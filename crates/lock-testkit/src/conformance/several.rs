//! Several locks that are held together.

use super::proof::{Proof, ensure};
use super::scene::{Contender, Scene};

pub(super) async fn several_locks_are_held_together(scene: &Scene<'_>) -> Proof {
    let (names, rivals) = rivals(scene).await?;
    // Not in the order of their names.
    let set = scene.service().await?.lock_all(names.iter().rev()).ttl(scene.long());
    let guard = set.acquire().await?;
    for rival in &rivals {
        rival.is_refused(scene.long()).await?;
    }
    for name in &names {
        let is_there = guard.leases().get(name).is_some();
        ensure!(is_there, "the lease of {name} is missing");
    }
    ensure!(guard.release().await.is_released(), "locks that were held together were not held");
    for rival in &rivals {
        rival.take_when_free(scene.long()).await?;
    }
    Ok(())
}

pub(super) async fn a_set_of_locks_is_all_or_none(scene: &Scene<'_>) -> Proof {
    let (names, rivals) = rivals(scene).await?;
    let [first, _, last] = &rivals;
    last.take(scene.long()).await?;
    let set = scene.service().await?.lock_all(&names).ttl(scene.long());
    let refused = set.try_acquire().await?;
    ensure!(refused.is_none(), "a set was acquired while another held one of its locks");
    first.take_when_free(scene.lease()).await.map(drop)
}

/// Three names in their order, and a rival for each.
async fn rivals(scene: &Scene<'_>) -> Result<([String; 3], [Contender; 3]), super::proof::Failure> {
    let names = ["/1", "/2", "/3"].map(|suffix| scene.other_name(suffix));
    let rivals = [
        scene.contender_for(&names[0]).await?,
        scene.contender_for(&names[1]).await?,
        scene.contender_for(&names[2]).await?,
    ];
    Ok((names, rivals))
}
