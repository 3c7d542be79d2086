//! What goes on after its caller has been answered.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

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

/// A job, which owns what it needs.
type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Jobs wait so long before they begin. Most are for an answer that comes a moment after the others:
/// then it is there already, and many of them cost the thread that runs them one turn.
const TOGETHER: Duration = Duration::from_millis(2);

/// Jobs that begin together. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Together(Arc<Mutex<Gathered>>);

#[derive(Default)]
struct Gathered {
    jobs: Vec<Job>,
    /// Somebody comes for them.
    is_awaited: bool,
}

impl Together {
    /// Runs a job on the library's own thread, which no runtime of the user's can stop; with the
    /// clock of tokio, in the current runtime.
    pub(crate) fn spawn(&self, clock: Clock, job: impl Future<Output = ()> + Send + 'static) {
        let mut gathered = self.lock();
        gathered.jobs.push(Box::pin(job));
        if !std::mem::replace(&mut gathered.is_awaited, true) {
            drop(gathered);
            spawn(clock, self.clone().run(clock));
        }
    }

    async fn run(self, clock: Clock) {
        loop {
            clock.sleep(TOGETHER).await;
            let jobs = {
                let mut gathered = self.lock();
                gathered.is_awaited = !gathered.jobs.is_empty();
                std::mem::take(&mut gathered.jobs)
            };
            if jobs.is_empty() {
                return;
            }
            for mut job in jobs {
                let is_over = poll_fn(|cx| Poll::Ready(job.as_mut().poll(cx).is_ready())).await;
                if !is_over {
                    drop(tokio::spawn(job));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(clock: Clock, job: impl Future<Output = ()> + Send + 'static) {
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
