//! A gRPC channel that is made when it is first needed, and replaced when it fails.
//!
//! The library's own thread drives it, so it depends on no runtime of the user's: such a runtime can
//! stand still, end, or lack what a connection needs.
//! The hop to that thread is short beside what a sidecar takes to answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use lock_core::backend::{Clock, background_runtime, in_time};
use lock_core::{Instant, LockErrorKind};
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
    Up(Arc<CurrentChannel>),
    Closed,
}

struct CurrentChannel {
    client: Client,
    /// Another one can be made in its place: it is not the user's own.
    is_replaceable: bool,
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

    /// The current channel, or a new one if there is none.
    fn channel(&self) -> Result<Arc<CurrentChannel>, Failure> {
        let mut phase = self.lock();
        match &*phase {
            Phase::Closed => {
                let failure = Failure::new(LockErrorKind::ShutDown, "the Dapr backend was closed");
                return Err(failure.not_applied());
            }
            Phase::Up(channel) => return Ok(Arc::clone(channel)),
            Phase::Idle => {}
        }
        let channel = Arc::new(CurrentChannel::new(&self.source)?);
        *phase = Phase::Up(Arc::clone(&channel));
        Ok(channel)
    }

    /// New requests get another channel; those that were sent may still be answered.
    fn give_up(&self, channel: &Arc<CurrentChannel>) {
        if !channel.is_replaceable {
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

impl CurrentChannel {
    fn new(source: &Source) -> Result<Self, Failure> {
        let (channel, is_replaceable) = match source {
            Source::Existing(channel) => (channel.clone(), false),
            Source::Endpoint(endpoint) => (connect(endpoint)?, true),
            Source::Secured(address) => {
                // The files were in order when the backend was built, so they may be again.
                let opened = address.open();
                let endpoint = opened
                    .map_err(|error| Failure::unavailable(error.to_string()).not_applied())?;
                (connect(&endpoint)?, true)
            }
        };
        Ok(Self { client: DaprClient::new(channel), is_replaceable })
    }
}

/// A channel that connects when it is first used, driven by the library's own thread.
fn connect(endpoint: &Endpoint) -> Result<Channel, Failure> {
    let runtime = background_runtime()
        .map_err(|error| Failure::unavailable(error.to_string()).not_applied())?;
    let _entered = runtime.enter();
    Ok(endpoint.connect_lazy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let endpoint = Endpoint::from_static("http://127.0.0.1:1");
        Link::new(Source::Endpoint(Box::new(endpoint)), "127.0.0.1:1".into())
    }

    #[test]
    fn a_channel_needs_no_runtime_and_is_kept_until_it_is_given_up() {
        let link = link();
        let first = link.channel().unwrap();
        assert!(Arc::ptr_eq(&first, &link.channel().unwrap()));
        link.give_up(&first);
        let second = link.channel().unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        // Whoever comes late with the first does not take the second away.
        link.give_up(&first);
        assert!(Arc::ptr_eq(&second, &link.channel().unwrap()));
    }

    #[test]
    fn after_close_nothing_is_sent() {
        let link = link();
        link.close();
        let failure = link.channel().err().unwrap();
        assert!(failure.is_not_applied());
        assert_eq!(failure.into_error().kind(), LockErrorKind::ShutDown);
    }
}
