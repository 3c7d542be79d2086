//! What is known of a connection's health, and who is told of its pushes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};

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
    listener: Option<Arc<dyn PushListener>>,
}

impl Health {
    pub(crate) fn new(listener: Option<Arc<dyn PushListener>>) -> Self {
        Self {
            id: ConnectionId::next(),
            is_closed: AtomicBool::new(false),
            has_served: AtomicBool::new(false),
            is_push_forbidden: AtomicBool::new(false),
            is_out_of_step: AtomicBool::new(false),
            listener,
        }
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
        let was_forbidden = self.is_push_forbidden.swap(true, Ordering::AcqRel);
        if let Some(listener) = &self.listener
            && !was_forbidden
        {
            listener.on_push_forbidden(self.id, cause);
        }
    }

    /// Whether it turned out that the server forbids pushes over the connection.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.is_push_forbidden.load(Ordering::Acquire)
    }

    /// Whether an answer may be that of another command than the one that it came for.
    pub(crate) fn is_out_of_step(&self) -> bool {
        self.is_out_of_step.load(Ordering::Acquire)
    }

    /// The server has ended a subscription by itself, as a node of a cluster does with those to
    /// channels of a slot that it loses.
    ///
    /// redis-rs takes that message for the answer to the oldest command under way, and each answer
    /// behind it for that to the next command. So the connection is of no use any more.
    fn unsubscribed(&self) {
        self.is_out_of_step.store(true, Ordering::Release);
        self.close();
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
