//! What all workloads share.

use std::time::Duration;

use testbed::{ClusterSet, ClusterSettings, RedisServer};

use crate::failure::Failure;
use crate::measure::server::{self, Stats};
use crate::settings::Settings;

const NODE_TIMEOUT: Duration = Duration::from_secs(60);

/// The server of a run, and what it says of its work.
pub(crate) struct Bench {
    pub(crate) server: RedisServer,
    pub(crate) stats: Stats,
}

impl Bench {
    pub(crate) fn start(settings: &Settings) -> Result<Self, Failure> {
        let (server, stats) = server::start(&settings.server)?;
        Ok(Self { server, stats })
    }

    pub(crate) fn server(&self) -> String {
        let binary = self.server.binary();
        format!("{} ({})", binary.kind(), binary.version())
    }
}

/// A cluster beside the server of the run.
pub(crate) struct Cluster {
    pub(crate) set: ClusterSet,
    /// What the nodes and that server say together of their work.
    pub(crate) stats: Stats,
}

impl Cluster {
    /// Three masters. They have no replicas, as that server has none.
    pub(crate) fn beside(bench: &Bench) -> Result<Self, Failure> {
        // Nodes that are late under load must not take each other to be down.
        let settings = ClusterSettings::default().without_replicas().node_timeout(NODE_TIMEOUT);
        let set = ClusterSet::start_with(bench.server.binary().kind(), &settings)?;
        let stats = Stats::of(set.servers.iter().chain([&bench.server]))?;
        Ok(Self { set, stats })
    }
}
