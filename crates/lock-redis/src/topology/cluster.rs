//! A cluster: each node has the keys of some slots.
//!
//! Who has which slots is asked of the nodes when the first request is sent, and again when one says
//! that a slot is elsewhere, or cannot be reached. All who want to know wait for the same round.
//! Each node has a pair of links of its own, so that one that is dead holds up nobody at the others.

mod ask;
mod epoch;
mod node;
mod refresh;
pub(crate) mod residence;
mod settings;
mod shared;
mod table;
mod verdict;
mod view;

use std::ops::RangeInclusive;
use std::sync::Arc;

use lock_core::Instant;

use crate::topology::cluster::node::Node;
use crate::topology::cluster::residence::Residence;
use crate::topology::cluster::shared::Shared;
use crate::topology::dialer::Dialer;
use crate::topology::home::{Home, Server};
use crate::wire::failure::Failure;

pub(crate) use settings::Settings;

/// The nodes of a cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Shared>);

impl Cluster {
    pub(crate) fn new(settings: Settings, dialer: Dialer) -> Self {
        Self(Shared::new(settings, dialer))
    }

    /// The node that has this slot, if that is known.
    pub(crate) fn home(&self, slot: u16) -> Option<Home<'static>> {
        let node = self.0.owner(slot)?;
        Some(Home::Node(Residence::new(Arc::clone(&self.0), node, slot)))
    }

    /// Asks which node has this slot.
    pub(crate) async fn find_home(
        &self,
        slot: u16,
        deadline: Instant,
    ) -> Result<Home<'static>, Failure> {
        self.0.check_open()?;
        let refreshed = self.0.refresh(deadline).await;
        if let Some(home) = self.home(slot) {
            return Ok(home);
        }
        refreshed.map_err(|failure| self.unfound(failure))?;
        let message = format!("no node of the cluster has the slot {slot}");
        Err(Failure::unavailable(message).not_applied())
    }

    /// All nodes that have slots, in the order of their addresses; asked for anew or as they are known.
    pub(crate) async fn servers(
        &self,
        anew: bool,
        deadline: Instant,
    ) -> Result<Vec<Server<'static>>, Failure> {
        self.0.check_open()?;
        let known = || self.0.owners();
        let mut nodes = known();
        if anew || nodes.is_empty() {
            self.0.refresh(deadline).await.map_err(|failure| self.unfound(failure))?;
            nodes = known();
        }
        if nodes.is_empty() {
            let message = "no node of the cluster has a slot; assign the slots to nodes";
            return Err(Failure::unavailable(message).not_applied());
        }
        nodes.sort_by(|(one, _), (other, _)| one.address.cmp(&other.address));
        let server = |(node, slots): (Arc<Node>, Vec<RangeInclusive<u16>>)| {
            let first = slots.first().map(|range| *range.start());
            let name = node.address.to_string();
            let residence = Residence::new(Arc::clone(&self.0), node, first.unwrap_or_default());
            Server { home: Home::Node(residence), name, slots }
        };
        Ok(nodes.into_iter().map(server).collect())
    }

    /// Whether a node forbids pushes over a connection that carries attempts.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.0.is_push_forbidden()
    }

    /// Where the cluster is, for people.
    pub(crate) fn address(&self) -> &str {
        self.0.address()
    }

    /// Ends the connections for good.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    fn unfound(&self, failure: Failure) -> Failure {
        let address = self.address();
        failure.while_doing(&format!("could not connect to the Redis cluster at {address}"))
    }
}
