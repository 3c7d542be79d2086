//! What a backend connects to.

use std::sync::Arc;

use crate::topology::Topology;
use crate::topology::cluster::{self, Cluster};
use crate::topology::dialer::Dialer;
use crate::topology::reach::Reach;
use crate::topology::sentinel;
use crate::topology::standalone::{Server as Endpoint, Source, Standalone};
use crate::wire::greeting::Session;
use crate::wire::link::Connector;

/// What is connected to.
pub(super) enum Place {
    /// A server, and where it is, for people.
    Server(Source, String),
    /// The master that Sentinels name.
    Master(sentinel::Settings),
    /// A cluster.
    Cluster(cluster::Settings),
}

impl Place {
    pub(super) fn topology(self, dialer: Dialer, reach: Reach) -> Topology {
        Topology::Single(match self {
            Self::Server(source, address) => {
                Standalone::new(Endpoint { source, address, dialer }, reach)
            }
            Self::Master(settings) => {
                let master = sentinel::Sentinels::new(settings, dialer.of_master());
                let master: Arc<dyn Connector> = Arc::new(master);
                Standalone::over(&master, false, reach)
            }
            Self::Cluster(settings) => {
                return Topology::Cluster(Cluster::new(settings, dialer.of_cluster()));
            }
        })
    }
}

/// One server.
pub(super) fn one((source, address, session): (Source, String, Session)) -> (Place, Session) {
    (Place::Server(source, address), session)
}
