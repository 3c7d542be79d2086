//! What is known of a connection's health, and who is told of its pushes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use crate::wire::failure::Failure;

/// Tells the connections of this process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// One that no other connection has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whoever is told of what a server pushes over a connection, and of the end of that.
pub(crate) trait PushListener: Send + Sync {
    /// A message was published; its parts are the channel and the payload.
    fn on_push(&self, message: &[Value]);

    /// The connection is of no use any more: what is pushed may not arrive.
    ///
    /// It is told once for each connection.
    fn on_push_lost(&self, connection: ConnectionId);

    /// The server does not let anything be pushed over this connection; the cause says what to do.
    ///
    /// It is told at most once for each connection.
    fn on_push_forbidden(&self, connection: ConnectionId, cause: &dyn fmt::Display);
}

/// What is known of a connection's health.
pub(crate) struct Health {
    id: ConnectionId,
    is_closed: AtomicBool,
    has_served: AtomicBool,
    is_push_forbidden: AtomicBool,
    is_out_of_step: AtomicBool,
    /// Tells whoever waits for an answer that it may never come, where that can be.
    fell_out_of_step: Option<Notify>,
    listener: Option<Arc<dyn PushListener>>,
    /// What is done when the server says that it is a replica.
    when_replica: Option<Box<dyn Fn() + Send + Sync>>,
    /// Says for several connections whether pushes are forbidden.
    forbidden_for_all: Option<Arc<AtomicBool>>,
}

impl Health {
    pub(crate) fn new(listener: Option<Arc<dyn PushListener>>) -> Self {
        Self {
            id: ConnectionId::next(),
            is_closed: AtomicBool::new(false),
            has_served: AtomicBool::new(false),
            is_push_forbidden: AtomicBool::new(false),
            is_out_of_step: AtomicBool::new(false),
            fell_out_of_step: None,
            listener,
            when_replica: None,
            forbidden_for_all: None,
        }
    }

    /// Says what is done when the server turns out to be a replica: other connections to it are of
    /// no use then either.
    pub(crate) fn when_replica(self, then: impl Fn() + Send + Sync + 'static) -> Self {
        Self { when_replica: Some(Box::new(then)), ..self }
    }

    /// Says that the server may end subscriptions by itself.
    pub(crate) fn in_cluster(self) -> Self {
        Self { fell_out_of_step: Some(Notify::new()), ..self }
    }

    /// Says where it is to be noted when pushes are forbidden.
    pub(crate) fn noting_forbidden_pushes(self, forbidden: &Arc<AtomicBool>) -> Self {
        Self { forbidden_for_all: Some(Arc::clone(forbidden)), ..self }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether new requests may use the connection.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire)
    }

    /// Whether the connection answered anything after the greeting.
    pub(crate) fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// An answer has arrived.
    pub(crate) fn serves(&self) {
        self.has_served.store(true, Ordering::Relaxed);
    }

    /// A request failed for this reason.
    pub(crate) fn failed(&self, failure: &Failure) {
        if failure.breaks_connection {
            self.close();
        }
        if failure.is_of_replica
            && let Some(then) = &self.when_replica
        {
            then();
        }
    }

    /// No new request may use the connection.
    pub(crate) fn close(&self) {
        let was_closed = self.is_closed.swap(true, Ordering::AcqRel);
        if let Some(listener) = &self.listener
            && !was_closed
        {
            listener.on_push_lost(self.id);
        }
    }

    /// Nothing more can be subscribed to over the connection.
    pub(crate) fn push_forbidden(&self, cause: &dyn fmt::Display) {
        let was_forbidden = self.forbids_pushes();
        if let Some(listener) = &self.listener
            && !was_forbidden
        {
            listener.on_push_forbidden(self.id, cause);
        }
    }

    /// As [`push_forbidden`](Self::push_forbidden), where the listener knows.
    pub(crate) fn push_forbidden_quietly(&self) {
        self.forbids_pushes();
    }

    fn forbids_pushes(&self) -> bool {
        if let Some(forbidden) = &self.forbidden_for_all {
            forbidden.store(true, Ordering::Relaxed);
        }
        self.is_push_forbidden.swap(true, Ordering::AcqRel)
    }

    /// Whether it turned out that the server forbids pushes over the connection.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.is_push_forbidden.load(Ordering::Acquire)
    }

    /// Whether an answer may be that of another command than the one that it came for.
    pub(crate) fn is_out_of_step(&self) -> bool {
        self.is_out_of_step.load(Ordering::Acquire)
    }

    /// Resolves when no answer can be relied on any more: none if that is not to be expected.
    pub(crate) fn out_of_step(&self) -> Option<impl Future<Output = ()>> {
        let fell_out_of_step = self.fell_out_of_step.as_ref()?;
        Some(async move {
            let mut fell = std::pin::pin!(fell_out_of_step.notified());
            fell.as_mut().enable();
            if !self.is_out_of_step() {
                fell.await;
            }
        })
    }

    /// The server has ended a subscription by itself, as a node of a cluster does with those to
    /// channels of a slot that it loses.
    ///
    /// redis-rs takes that message for the answer to the oldest command under way, and each answer
    /// behind it for that to the next command. So the connection is of no use any more, and the last
    /// command under way gets no answer.
    fn unsubscribed(&self) {
        self.is_out_of_step.store(true, Ordering::Release);
        self.close();
        if let Some(fell_out_of_step) = &self.fell_out_of_step {
            fell_out_of_step.notify_waiters();
        }
    }
}

/// Lives as long as the task that drives the connection: passes on what is pushed, and notices the
/// connection's end.
///
/// So a connection that was lost while it was idle is noticed before anything is sent on it, also
/// when it was lost because its runtime is gone.
pub(crate) struct Watcher(pub(crate) Arc<Health>);

impl AsyncPushSender for Watcher {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        match (info.kind, &self.0.listener) {
            (PushKind::Disconnection, _) => self.0.close(),
            // Nobody here ever asks for it.
            (PushKind::SUnsubscribe | PushKind::Unsubscribe, _) => self.0.unsubscribed(),
            (PushKind::Message | PushKind::SMessage, Some(listener)) => {
                listener.on_push(&info.data);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.close();
    }
}
