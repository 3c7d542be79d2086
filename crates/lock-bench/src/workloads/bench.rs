//! What all workloads share.

use testbed::RedisServer;

use crate::failure::Failure;
use crate::measure::server::{self, Stats};
use crate::settings::Settings;

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
