//! By which nodes a cluster is found, and how its nodes are connected to.

use redis::ConnectionInfo;

use crate::topology::address::Address;
use crate::topology::reach::Reach;

/// By which nodes a cluster is found, and how its nodes are connected to.
pub(crate) struct Settings {
    /// The nodes that are asked first.
    pub(crate) seeds: Vec<Address>,
    /// How a node is connected to, wherever it is.
    pub(crate) data: ConnectionInfo,
    /// How long a node may take, and how many of its replicas are asked.
    pub(crate) reach: Reach,
    /// What is connected to, for people.
    pub(crate) address: String,
}
