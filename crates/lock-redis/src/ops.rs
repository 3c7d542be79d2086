//! The operations of a backend: each is one exchange with the server, and one file.

mod acquire;
pub(crate) mod parts;
mod plain;
pub(crate) mod registry;
mod release;
mod renew;
mod status;

use std::fmt;
use std::sync::Arc;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, LockKey, ReleaseReply, ReleaseRequest, RenewReply,
    RenewRequest,
};
use lock_core::{LockStatus, Result};

use crate::ops::parts::Parts;
use crate::protocol::owner::Owner;
use crate::queue::Queue;
use crate::wire::failure::Failure;
use crate::wire::health::PushListener;

/// How locks are taken; chosen once, when the backend is built.
pub(crate) enum Protocol {
    /// By scripts; whoever waits stands in a queue if pushes can reach it.
    Scripted { queue: Option<Arc<Queue>> },
    /// By `SET NX PX` alone.
    Plain,
}

impl Protocol {
    /// Who is told of what the server pushes.
    pub(crate) fn listener(&self) -> Option<Arc<dyn PushListener>> {
        match self {
            Self::Scripted { queue: Some(queue) } => Some(Arc::clone(queue) as _),
            _ => None,
        }
    }

    /// Whether the keys of its locks say whose they are.
    pub(crate) fn names_owners(&self) -> bool {
        matches!(self, Self::Scripted { .. })
    }

    pub(crate) fn capabilities(&self, parts: &Parts) -> Capabilities {
        let of_both = Capabilities::none().with_renew(true).with_inspect(true);
        match self {
            Self::Scripted { queue } => of_both
                .with_fencing(true)
                .with_min_hold(true)
                .with_repeatable(true)
                .with_queueing(queue.is_some() && !parts.topology.is_push_forbidden()),
            Self::Plain => of_both.with_limited_by(
                "its mode is `plain`, which takes locks by `SET NX` alone; set the mode to `auto`",
            ),
        }
    }

    pub(crate) async fn acquire(
        &self,
        parts: &Parts,
        request: &AcquireRequest,
    ) -> Result<AcquireReply> {
        let attempted = match self {
            Self::Scripted { queue } => acquire::acquire(parts, queue.as_ref(), request).await,
            Self::Plain => plain::acquire(parts, request).await,
        };
        attempted.map_err(Failure::into_error)
    }

    pub(crate) async fn release(
        &self,
        parts: &Parts,
        request: &ReleaseRequest,
    ) -> Result<ReleaseReply> {
        let released = match self {
            Self::Scripted { queue } => release::release(parts, queue.as_deref(), request).await,
            Self::Plain => plain::release(parts, request).await,
        };
        released.map_err(Failure::into_error)
    }

    pub(crate) async fn renew(
        &self,
        parts: &Parts,
        batch: &[RenewRequest],
    ) -> Result<Vec<RenewReply>> {
        let owner = match self {
            Self::Scripted { .. } => Owner::Scripted,
            Self::Plain => Owner::Plain,
        };
        renew::renew(parts, owner, batch).await.map_err(Failure::into_error)
    }

    pub(crate) async fn status(&self, parts: &Parts, key: &LockKey) -> Result<Option<LockStatus>> {
        let seen = match self {
            Self::Scripted { .. } => status::status(parts, key).await,
            Self::Plain => plain::status(parts, key).await,
        };
        seen.map_err(Failure::into_error)
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scripted { .. } => "Scripted",
            Self::Plain => "Plain",
        })
    }
}
