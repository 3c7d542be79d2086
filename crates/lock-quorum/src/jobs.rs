//! What goes on after its caller has been answered.

use std::future::Future;

use lock_core::backend::{Clock, background_runtime};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Counts the jobs of a member. A clone counts the same.
#[derive(Clone)]
pub(crate) struct Jobs(watch::Sender<usize>);

impl Jobs {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// A job begins, and ends when this is dropped.
    pub(crate) fn begin(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    /// Ends when there is none.
    pub(crate) async fn ended(&self) {
        // The sender is ours, so the channel stays open.
        self.0.subscribe().wait_for(|count| *count == 0).await.ok();
    }
}

/// A job that is counted.
pub(crate) struct Counted(Jobs);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Runs a job on the library's own thread, which no runtime of the user's can stop; with the clock
/// of tokio, in the current runtime.
pub(crate) fn spawn(clock: Clock, job: impl Future<Output = ()> + Send + 'static) {
    let runtime = if clock == Clock::TOKIO {
        Handle::try_current().ok()
    } else {
        // It runs already where a service is used.
        background_runtime().ok()
    };
    if let Some(runtime) = runtime {
        drop(runtime.spawn(job));
    }
}
