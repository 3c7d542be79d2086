//! A gRPC channel that is made when it is first needed, and replaced when it or its runtime has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use lock_core::backend::{Clock, in_time};
use lock_core::{Instant, LockErrorKind};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::credentials::SecuredAddress;
use crate::error::Failure;

/// The generated client; a clone is cheap.
pub(crate) type Client = DaprClient<Channel>;

/// How to get a channel.
#[derive(Clone)]
pub(crate) enum Source {
    /// Make one, whenever one is needed.
    Endpoint(Box<Endpoint>),
    /// The same, where files say whom to trust and what to show.
    Secured(Arc<SecuredAddress>),
    /// Use this one, and never another.
    Existing(Channel),
}

/// The way to the sidecar: the current channel, if there is one.
pub(crate) struct Link {
    source: Source,
    /// The address of the sidecar, for messages.
    address: Arc<str>,
    phase: Mutex<Phase>,
    /// The last request failed in a way that leaves its outcome open.
    is_troubled: AtomicBool,
}

enum Phase {
    Idle,
    Up(Arc<DrivenChannel>),
    Closed,
}

/// A channel, and a way to tell whether a runtime still drives it.
struct DrivenChannel {
    client: Client,
    /// A task that does nothing, in the runtime that drives the channel: it ends with the runtime.
    /// `None` for a channel of the user's own.
    canary: Option<JoinHandle<()>>,
}

impl Link {
    pub(crate) fn new(source: Source, address: Arc<str>) -> Self {
        let is_troubled = AtomicBool::new(false);
        Self { source, address, phase: Mutex::new(Phase::Idle), is_troubled }
    }

    /// The address of the sidecar, for messages.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the last request failed in a way that leaves its outcome open: the connection of the
    /// sidecar to its store may have broken as well.
    pub(crate) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Calls the sidecar, and waits for its answer until the deadline.
    ///
    /// After the deadline the call is dropped, which resets its stream and so tells the sidecar.
    pub(crate) async fn call<T>(
        &self,
        deadline: Instant,
        call: impl AsyncFnOnce(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        let channel = self.channel()?;
        if Clock::SYSTEM.now() >= deadline {
            let failure = "the deadline passed before the request was sent";
            return Err(Failure::unavailable(failure).not_applied());
        }
        let failure = match in_time(deadline, call(channel.client.clone())).await {
            Some(Ok(reply)) => {
                self.is_troubled.store(false, Ordering::Relaxed);
                return Ok(reply.into_inner());
            }
            Some(Err(status)) => Failure::from_status(status, &self.address),
            None => Failure::no_answer(&self.address),
        };
        if !failure.is_not_applied() {
            self.is_troubled.store(true, Ordering::Relaxed);
        }
        if failure.breaks_channel {
            self.give_up(&channel);
        }
        Err(failure)
    }

    /// Closes it: later requests are refused.
    pub(crate) fn close(&self) {
        let closed = std::mem::replace(&mut *self.lock(), Phase::Closed);
        drop(closed);
    }

    /// The current channel; a new one, driven by the current runtime, if there is none that works.
    fn channel(&self) -> Result<Arc<DrivenChannel>, Failure> {
        let mut phase = self.lock();
        match &*phase {
            Phase::Closed => {
                let failure = Failure::new(LockErrorKind::ShutDown, "the Dapr backend was closed");
                return Err(failure.not_applied());
            }
            Phase::Up(channel) if channel.is_driven() => return Ok(Arc::clone(channel)),
            Phase::Up(_) | Phase::Idle => {}
        }
        let channel = Arc::new(DrivenChannel::new(&self.source)?);
        let before = std::mem::replace(&mut *phase, Phase::Up(Arc::clone(&channel)));
        drop(phase);
        drop(before);
        Ok(channel)
    }

    /// New requests get another channel; those that were sent may still be answered.
    fn give_up(&self, channel: &Arc<DrivenChannel>) {
        if channel.canary.is_none() {
            return;
        }
        let mut phase = self.lock();
        if matches!(&*phase, Phase::Up(current) if Arc::ptr_eq(current, channel)) {
            let given_up = std::mem::replace(&mut *phase, Phase::Idle);
            drop(phase);
            drop(given_up);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DrivenChannel {
    fn new(source: &Source) -> Result<Self, Failure> {
        let endpoint = match source {
            Source::Existing(channel) => {
                return Ok(Self { client: DaprClient::new(channel.clone()), canary: None });
            }
            Source::Endpoint(endpoint) => (**endpoint).clone(),
            Source::Secured(address) => {
                // The files were in order when the backend was built, so they may be again.
                let opened = address.open();
                opened.map_err(|error| Failure::unavailable(error.to_string()).not_applied())?
            }
        };
        let runtime = Handle::try_current().map_err(|_| {
            let message = "the Dapr backend needs a tokio runtime to connect, and there is none";
            Failure::new(LockErrorKind::InvalidConfig, message).not_applied()
        })?;
        let canary = runtime.spawn(std::future::pending());
        if canary.is_finished() {
            let message = "the tokio runtime of this request has ended";
            return Err(Failure::unavailable(message).not_applied());
        }
        let client = DaprClient::new(endpoint.connect_lazy());
        Ok(Self { client, canary: Some(canary) })
    }

    fn is_driven(&self) -> bool {
        self.canary.as_ref().is_none_or(|canary| !canary.is_finished())
    }
}

impl Drop for DrivenChannel {
    fn drop(&mut self) {
        if let Some(canary) = &self.canary {
            canary.abort();
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
            let first = link.channel().unwrap();
            assert!(Arc::ptr_eq(&first, &link.channel().unwrap()));
            first
        };
        assert!(!first.is_driven());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _entered = runtime.enter();
        assert!(link.channel().unwrap().is_driven());
    }

    #[test]
    fn without_a_running_runtime_or_after_close_nothing_is_sent() {
        let link = link();
        let refused = |link: &Link| {
            let failure = link.channel().err().unwrap();
            assert!(failure.is_not_applied());
            failure.into_error()
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
