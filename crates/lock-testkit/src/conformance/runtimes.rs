//! A backend depends on no runtime that its caller does not run in.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::runtime::{Builder, Runtime};

use super::proof::{Failure, Proof, fail};
use super::scene::{Contender, Scene};

pub(super) async fn a_runtime_that_stands_still_holds_up_no_other(scene: &Scene<'_>) -> Proof {
    let ours = scene.contender().await?;
    // Nobody drives it any more.
    let _still = use_elsewhere(scene, &ours).await?;
    all_calls(scene, &ours).await
}

pub(super) async fn a_runtime_that_has_ended_ends_no_call_of_another(scene: &Scene<'_>) -> Proof {
    let ours = scene.contender().await?;
    drop(use_elsewhere(scene, &ours).await?);
    all_calls(scene, &ours).await
}

/// A runtime of its own, which may be dropped in a task of another one.
struct Elsewhere(Option<Runtime>);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Uses the handle first in another runtime.
async fn use_elsewhere(scene: &Scene<'_>, ours: &Contender) -> Result<Elsewhere, Failure> {
    let theirs = ours.beside(&scene.other_name(":elsewhere"))?;
    let (ttl, pace) = (scene.long(), scene.pace());
    let used = tokio::task::spawn_blocking(move || {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(pace.is_paused()).build()?;
        let elsewhere = Elsewhere(Some(runtime));
        let Some(runtime) = &elsewhere.0 else { fail!("no runtime") };
        // The limit of a proof does not reach into another runtime.
        runtime.block_on(async {
            match select(pin!(theirs.take(ttl)), pace.clock().sleep(pace.wait_limit())).await {
                Either::Left((taken, _)) => taken.map(drop),
                Either::Right(_) => fail!("an attempt got no answer"),
            }
        })?;
        Ok::<_, Failure>(elsewhere)
    });
    used.await?
}

async fn all_calls(scene: &Scene<'_>, ours: &Contender) -> Proof {
    ours.take(scene.long()).await?;
    if scene.capabilities().renew {
        ours.renew(scene.long()).await?;
    }
    ours.give_back().await
}
