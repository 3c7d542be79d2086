//! Runs a body under a lock, or several, that were acquired for it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tracing::{Instrument, Span};

use crate::types::error::{LockError, Result};
use crate::types::options::OnLost;
use crate::types::status::ReleaseOutcome;

/// What holds a lock, or several, for a body.
pub(crate) trait Guarding {
    /// What the body sees of it.
    type View;

    fn view(&self) -> Self::View;

    /// What surrounds the body.
    fn span(&self) -> Span;

    /// Ends when it is lost, and says how.
    fn loss(&self) -> impl Future<Output = LockError> + Send + 'static;

    fn release(self) -> impl Future<Output = ReleaseOutcome> + Send;
}

/// Runs the body and releases; the value of a body that finished comes back whatever the release
/// did.
pub(crate) async fn run<G, F, Fut, T>(guard: G, f: F, on_lost: OnLost) -> Result<T>
where
    G: Guarding,
    F: FnOnce(G::View) -> Fut,
    Fut: Future<Output = T>,
{
    // In a function of its own, so that the body is dropped before the guard, however this ends.
    match run_body(&guard, f, on_lost).await {
        Ok(value) => {
            guard.release().await;
            Ok(value)
        }
        Err(error) => {
            // The undo is sent now, and the background awaits its answer.
            drop(guard);
            Err(error.with_operation("execute"))
        }
    }
}

async fn run_body<G, F, Fut, T>(guard: &G, f: F, on_lost: OnLost) -> Result<T>
where
    G: Guarding,
    F: FnOnce(G::View) -> Fut,
    Fut: Future<Output = T>,
{
    let span = guard.span();
    // What the body does before its first await belongs to it, too.
    let body = span.in_scope(|| f(guard.view()));
    let mut body = pin!(body.instrument(span));
    if on_lost == OnLost::Continue {
        return Ok(body.await);
    }
    let mut lost = pin!(guard.loss());
    poll_fn(|cx| {
        // The loss first: after a stop that outlasted the lease the body does not run one step more.
        if let Poll::Ready(error) = lost.as_mut().poll(cx) {
            return Poll::Ready(Err(error));
        }
        // A value that exists is never thrown away, whatever has happened in this step.
        body.as_mut().poll(cx).map(Ok)
    })
    .await
}
