//! What went through a [`Proxy`](super::Proxy), and waiting for it.

use std::fmt;
use std::time::Duration;

use super::fault::{ConnectionId, Direction};

/// Counts of a proxy since its start, all taken at one instant.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that were accepted and served, open or closed by now.
    pub accepted: u64,
    /// Connections that [`Admission`](super::Admission) turned away.
    pub refused: u64,
    /// Connections that were reset because the upstream did not accept.
    pub unreachable: u64,
    /// Connections that are open now, on either side.
    pub open: u64,
    /// Cuts that have fired.
    pub cuts_fired: u64,
    /// What the clients sent.
    pub to_server: Traffic,
    /// What the server sent.
    pub to_client: Traffic,
    pub(super) watches: Vec<Sightings>,
}

/// Bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes read from the sender.
    pub read: u64,
    /// Bytes written to the receiver.
    pub forwarded: u64,
    /// Bytes lost: swallowed, cut off, or meant for a receiver that had gone.
    pub dropped: u64,
    /// Senders that have ended their stream, in order or by a reset.
    pub ended: u64,
}

impl Traffic {
    /// Bytes that are in the proxy now: held, delayed, or on their way.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.read - self.forwarded - self.dropped
    }
}

/// A needle that the proxy counts; made by [`Proxy::watch`](super::Proxy::watch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch(pub(super) usize);

#[derive(Clone, Debug, Default)]
pub(super) struct Sightings {
    pub(super) seen: u64,
    pub(super) forwarded: u64,
    pub(super) carriers: Vec<ConnectionId>,
}

impl Stats {
    /// The bytes of one direction.
    #[must_use]
    pub fn traffic(&self, direction: Direction) -> Traffic {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }

    /// How often the needle was read whole from its sender, whatever became of it.
    #[must_use]
    pub fn seen(&self, watch: Watch) -> u64 {
        self.sightings(watch).seen
    }

    /// How often the needle was written whole to its receiver.
    #[must_use]
    pub fn forwarded(&self, watch: Watch) -> u64 {
        self.sightings(watch).forwarded
    }

    /// The connections on which the needle was read, the first one first.
    ///
    /// This is how a test finds, say, the connection that subscribed.
    #[must_use]
    pub fn carriers(&self, watch: Watch) -> &[ConnectionId] {
        &self.sightings(watch).carriers
    }

    pub(super) fn traffic_mut(&mut self, direction: Direction) -> &mut Traffic {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn sightings(&self, watch: Watch) -> &Sightings {
        assert!(watch.0 < self.watches.len(), "the watch belongs to another proxy");
        &self.watches[watch.0]
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted {}, refused {}, unreachable {}, open {}, cuts fired {}",
            self.accepted, self.refused, self.unreachable, self.open, self.cuts_fired
        )?;
        for (way, traffic) in [("to server", self.to_server), ("to client", self.to_client)] {
            let Traffic { read, forwarded, dropped, ended } = traffic;
            let held = traffic.held();
            write!(f, "; {way}: read {read}, forwarded {forwarded}, ")?;
            write!(f, "dropped {dropped}, held {held} bytes, {ended} ended")?;
        }
        for (index, watch) in self.watches.iter().enumerate() {
            write!(f, "; watch {index}: seen {}, forwarded {}", watch.seen, watch.forwarded)?;
        }
        Ok(())
    }
}

/// What was waited for did not happen in time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the proxy did not come to the awaited state within {within:?}: {stats}")]
pub struct WaitError {
    /// How long was waited.
    pub within: Duration,
    /// The counts at the end of the wait.
    pub stats: Box<Stats>,
}
