//! A gRPC channel that is made when it is needed, and anew when it or its runtime has ended.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use futures_util::future::{Either, select};
use lock_core::backend::Clock;
use lock_core::{Instant, LockErrorKind};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::error::Failure;

/// The generated client; a clone is cheap.
pub(crate) type Client = DaprClient<Channel>;

/// Where channels come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// They are made as needed.
    Endpoint(Box<Endpoint>),
    /// There is only this one.
    Existing(Channel),
}

/// A channel that comes and goes.
pub(crate) struct Link {
    source: Source,
    /// Where the sidecar is, for people.
    address: Arc<str>,
    phase: Mutex<Phase>,
    /// The last request was not answered properly.
    is_troubled: AtomicBool,
}

enum Phase {
    Idle,
    Up(Arc<Line>),
    Closed,
}

/// A channel, and a sign of whether it is still driven.
struct Line {
    client: Client,
    /// A task beside those that drive the channel, in the same runtime: it ends when they do.
    /// None for a channel that somebody else looks after.
    sentinel: Option<JoinHandle<()>>,
}

impl Link {
    pub(crate) fn new(source: Source, address: Arc<str>) -> Self {
        let is_troubled = AtomicBool::new(false);
        Self { source, address, phase: Mutex::new(Phase::Idle), is_troubled }
    }

    /// Where the sidecar is, for people.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the last request was not answered properly: the connections behind this one, from
    /// the sidecar to its store, may have broken as well.
    pub(crate) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Calls the sidecar, and awaits its answer until the deadline.
    ///
    /// Whoever gives up tells the sidecar so: the dropped call resets its stream.
    pub(crate) async fn call<T>(
        &self,
        deadline: Instant,
        call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let line = self.line()?;
        if Clock::SYSTEM.now() >= deadline {
            let failure = "the time to answer was over before the request was sent";
            return Err(Failure::unavailable(failure).not_applied());
        }
        let reply = pin!(call(line.client.clone()));
        let failure = match select(reply, Clock::SYSTEM.sleep_until(deadline)).await {
            Either::Left((Ok(reply), _)) => {
                self.is_troubled.store(false, Ordering::Relaxed);
                return Ok(reply.into_inner());
            }
            Either::Left((Err(status), _)) => Failure::from_status(status, &self.address),
            Either::Right(_) => Failure::no_answer(&self.address),
        };
        if !failure.is_not_applied() {
            self.is_troubled.store(true, Ordering::Relaxed);
        }
        if failure.breaks_channel {
            self.give_up(&line);
        }
        Err(failure)
    }

    /// Ends it for good.
    pub(crate) fn close(&self) {
        let closed = std::mem::replace(&mut *self.lock(), Phase::Closed);
        drop(closed);
    }

    /// The channel, made in the current runtime if there is none that is driven.
    fn line(&self) -> Result<Arc<Line>, Failure> {
        let mut phase = self.lock();
        match &*phase {
            Phase::Closed => {
                let failure = Failure::new(LockErrorKind::ShutDown, "the Dapr backend was closed");
                return Err(failure.not_applied());
            }
            Phase::Up(line) if line.is_driven() => return Ok(Arc::clone(line)),
            Phase::Up(_) | Phase::Idle => {}
        }
        let line = Arc::new(Line::new(&self.source)?);
        let before = std::mem::replace(&mut *phase, Phase::Up(Arc::clone(&line)));
        drop(phase);
        drop(before);
        Ok(line)
    }

    /// New requests go over another channel; those under way may still be answered.
    fn give_up(&self, line: &Arc<Line>) {
        if line.sentinel.is_none() {
            return;
        }
        let mut phase = self.lock();
        if matches!(&*phase, Phase::Up(current) if Arc::ptr_eq(current, line)) {
            let given_up = std::mem::replace(&mut *phase, Phase::Idle);
            drop(phase);
            drop(given_up);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(source: &Source) -> Result<Self, Failure> {
        let endpoint = match source {
            Source::Existing(channel) => {
                return Ok(Self { client: DaprClient::new(channel.clone()), sentinel: None });
            }
            Source::Endpoint(endpoint) => endpoint,
        };
        let runtime = Handle::try_current().map_err(|_| {
            let message = "the Dapr backend connects inside a tokio runtime, and there is none";
            Failure::new(LockErrorKind::InvalidConfig, message).not_applied()
        })?;
        let sentinel = runtime.spawn(std::future::pending());
        if sentinel.is_finished() {
            let message = "the tokio runtime of this request has ended";
            return Err(Failure::unavailable(message).not_applied());
        }
        let client = DaprClient::new(endpoint.connect_lazy());
        Ok(Self { client, sentinel: Some(sentinel) })
    }

    fn is_driven(&self) -> bool {
        self.sentinel.as_ref().is_none_or(|sentinel| !sentinel.is_finished())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(sentinel) = &self.sentinel {
            sentinel.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let endpoint = Endpoint::from_static("http://127.0.0.1:1");
        Link::new(Source::Endpoint(Box::new(endpoint)), "127.0.0.1:1".into())
    }

    #[test]
    fn a_channel_is_made_anew_when_its_runtime_has_ended() {
        let link = link();
        let first = {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _entered = runtime.enter();
            let first = link.line().unwrap();
            assert!(Arc::ptr_eq(&first, &link.line().unwrap()));
            first
        };
        assert!(!first.is_driven());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        assert!(link.line().unwrap().is_driven());
    }

    #[test]
    fn without_a_living_runtime_or_after_the_end_nothing_is_sent() {
        let link = link();
        let refused = |link: &Link| {
            let failure = link.line().err().unwrap();
            assert!(failure.is_not_applied());
            lock_core::LockError::from(failure)
        };
        assert_eq!(refused(&link).kind(), LockErrorKind::InvalidConfig);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        assert_eq!(refused(&link).kind(), LockErrorKind::Unavailable);
        link.close();
        assert_eq!(refused(&link).kind(), LockErrorKind::ShutDown);
    }
}
