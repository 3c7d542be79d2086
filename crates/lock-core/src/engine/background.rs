//! The background: where everything runs that must survive its caller.
//!
//! All services of the process share one thread of the library's own, where code of the user's
//! cannot stop it; with [`tokio_time`](crate::LockServiceBuilder::tokio_time) the current runtime
//! takes its place.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::backend::{Clock, background_runtime};
use crate::engine::farewell::{Errand, Farewell};
use crate::sync::panics;
use crate::sync::wait_group::WaitGroup;
use crate::time::timer;
use crate::types::error::{LockError, LockErrorKind, Result};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One service's part of the background. It knows nothing of what its jobs do.
pub(crate) struct Background {
    clock: Clock,
    running: OnceLock<Running>,
    /// What runs for as long as the service lives, until it is started.
    service_job: Mutex<Option<Job>>,
    outstanding: Arc<WaitGroup>,
    farewell: Arc<Farewell>,
}

struct Running {
    runtime: Handle,
    service_job: AbortHandle,
}

impl Background {
    /// A background that is not running yet; `service_job` runs from the start until it is dropped.
    pub(crate) fn new(
        clock: Clock,
        service_job: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            clock,
            running: OnceLock::new(),
            service_job: Mutex::new(Some(Box::pin(service_job))),
            outstanding: Arc::default(),
            farewell: Arc::default(),
        }
    }

    /// Starts it, if it does not run yet. What fails now, for want of a thread or a runtime, can
    /// succeed later.
    pub(crate) fn ensure_running(&self) -> Result<()> {
        if self.running.get().is_some() {
            return Ok(());
        }
        let mut job = self.service_job.lock().unwrap_or_else(PoisonError::into_inner);
        if self.running.get().is_some() {
            return Ok(());
        }
        let runtime = self.runtime()?;
        let job = job.take().unwrap_or_else(|| Box::pin(pending()));
        let service_job = runtime.spawn(job).abort_handle();
        self.running.set(Running { runtime, service_job }).ok();
        Ok(())
    }

    /// Runs a job to its end, whatever becomes of the service. One that panics takes no other along.
    pub(crate) fn spawn(&self, job: impl Future<Output = ()> + Send + 'static) {
        let counted = self.outstanding.count();
        self.spawn_errand(async move {
            let _counted = counted;
            job.await;
        });
    }

    /// As [`spawn`](Self::spawn), for a job that itself says for how long it is waited for.
    pub(crate) fn spawn_errand(&self, job: impl Future<Output = ()> + Send + 'static) {
        if let Some(running) = self.running.get() {
            // It is dropped at once if the runtime is gone (with `tokio_time` only).
            drop(running.runtime.spawn(job));
        }
    }

    /// What is known of a job by whoever drops the last handle of the service, or shuts it down.
    pub(crate) fn errand(&self, is_reported: bool) -> Errand {
        Errand::new(&self.farewell, is_reported)
    }

    /// The last handle of the service is dropped: blocks the thread for a moment, if that can help
    /// the releases that are under way.
    pub(crate) fn bid_farewell(&self) {
        // Otherwise the jobs are tasks of the current runtime, which does not run meanwhile.
        if self.clock != Clock::TOKIO {
            self.farewell.wait();
        }
    }

    /// Ends when no job is left that has to be waited for.
    pub(crate) async fn settled(&self) {
        // An errand may be what a job has left.
        self.outstanding.emptied().await;
        self.farewell.settled().await;
    }

    /// How many releases and undos a shutdown has not seen the end of, and nobody else reports.
    pub(crate) fn unsettled(&self) -> usize {
        self.farewell.unreported()
    }

    /// Polls a future of a backend in a runtime: the background's if the caller has none.
    pub(crate) async fn in_runtime<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|cx| self.poll_in_runtime(future.as_mut(), cx)).await
    }

    /// As [`in_runtime`](Self::in_runtime), once.
    pub(crate) fn poll_in_runtime<F: Future + ?Sized>(
        &self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        match self.running.get() {
            Some(running) if Handle::try_current().is_err() => {
                let _entered = running.runtime.enter();
                // The background's thread wakes what waits for its timers and sockets: a waker that
                // panics there would end it for all services of the process.
                let waker = panics::contained_waker(cx.waker());
                future.poll(&mut Context::from_waker(&waker))
            }
            _ => future.poll(cx),
        }
    }

    fn runtime(&self) -> Result<Handle> {
        timer::ensure_started().map_err(not_started)?;
        if self.clock == Clock::TOKIO {
            return Handle::try_current().map_err(not_started);
        }
        background_runtime()
    }
}

fn not_started(cause: impl fmt::Display) -> LockError {
    let message = format!("the background could not be started: {cause}");
    LockError::new(LockErrorKind::Unavailable, message).not_applied()
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.service_job.abort();
        }
    }
}
