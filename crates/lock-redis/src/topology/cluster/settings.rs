//! By which nodes a cluster is found, and how its nodes are connected to.

use std::time::Duration;

use redis::ConnectionInfo;

use crate::topology::address::Address;

/// By which nodes a cluster is found, and how its nodes are connected to.
pub(crate) struct Settings {
    /// The nodes that are asked first.
    pub(crate) seeds: Vec<Address>,
    /// How a node is connected to, wherever it is.
    pub(crate) data: ConnectionInfo,
    /// How long a connection may take.
    pub(crate) connect_timeout: Duration,
    /// What is connected to, for people.
    pub(crate) address: String,
}
