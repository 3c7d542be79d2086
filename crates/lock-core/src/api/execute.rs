//! Runs a body under a lock that was acquired for it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::api::guard::LockGuard;
use crate::api::lease::Lease;
use crate::types::error::Result;
use crate::types::loss::LossReason;
use crate::types::options::OnLost;

/// Runs the body and releases; the value of a body that finished comes back whatever the release
/// did.
pub(crate) async fn run<F, Fut, T>(guard: LockGuard, f: F, on_lost: OnLost) -> Result<T>
where
    F: FnOnce(Lease) -> Fut,
    Fut: Future<Output = T>,
{
    // In a function of its own, so that the body is dropped before the guard, however this ends.
    match run_body(&guard, f, on_lost).await {
        Ok(value) => {
            guard.release().await;
            Ok(value)
        }
        Err(reason) => {
            let error = guard.lost_error(reason).with_operation("execute").with_name(guard.name());
            // The undo is sent now, and the background awaits its answer.
            drop(guard);
            Err(error)
        }
    }
}

async fn run_body<F, Fut, T>(guard: &LockGuard, f: F, on_lost: OnLost) -> Result<T, LossReason>
where
    F: FnOnce(Lease) -> Fut,
    Fut: Future<Output = T>,
{
    let mut body = pin!(f(guard.lease()));
    if on_lost == OnLost::Continue {
        return Ok(body.await);
    }
    let mut lost = pin!(guard.lost());
    poll_fn(|cx| {
        // The loss first: after a stop that outlasted the lease the body does not run one step more.
        if let Poll::Ready(reason) = lost.as_mut().poll(cx) {
            // Nobody but the guard itself could have released it.
            return Poll::Ready(Err(reason.unwrap_or(LossReason::Removed)));
        }
        // A value that exists is never thrown away, whatever has happened in this step.
        body.as_mut().poll(cx).map(Ok)
    })
    .await
}
