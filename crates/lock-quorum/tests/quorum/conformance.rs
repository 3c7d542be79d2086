//! Every claim of the conformance suite: over stores in memory, and over real servers.

use std::sync::OnceLock;

use lock_core::Result;
use lock_core::backend::AnyBackend;
use lock_quorum::QuorumBackend;
use lock_redis::RedisBackend;
use lock_testkit::conformance::{Harness, Need, OneBackend, Pace, async_trait};
use lock_testkit::conformance_tests;
use testbed::{RedisServer, ServerKind};

use crate::store::{Store, quorum};

/// What no quorum has.
const LACKS: [Need; 3] = [Need::Fencing, Need::Queueing, Need::Repeatable];

fn in_memory<const N: usize>(pace: Pace) -> OneBackend {
    OneBackend::new(quorum(&Store::all::<N>()), pace).lacking(LACKS)
}

/// Five servers a version that all claims share, each under names of its own. They end with this
/// program.
static SERVERS: [OnceLock<[RedisServer; 5]>; 2] = [const { OnceLock::new() }; 2];

struct OnServers(usize, ServerKind);

#[async_trait]
impl Harness for OnServers {
    async fn backend(&self) -> Result<AnyBackend> {
        let start = || std::array::from_fn(|_| RedisServer::start(&self.1).unwrap());
        let mut builder = QuorumBackend::builder();
        for server in SERVERS[self.0].get_or_init(start) {
            builder = builder.member(RedisBackend::builder().url(server.url()).build()?);
        }
        Ok(AnyBackend::new(builder.build()?))
    }

    fn pace(&self) -> Pace {
        Pace::real()
    }

    fn lacks(&self) -> Vec<Need> {
        LACKS.to_vec()
    }
}

conformance_tests!(mod three_in_memory: in_memory::<3>(Pace::paused()));
conformance_tests!(mod five_in_memory: in_memory::<5>(Pace::real()));
conformance_tests!(mod redis_6_2: OnServers(0, ServerKind::REDIS_6_2));
conformance_tests!(mod valkey_9_1: OnServers(1, ServerKind::VALKEY_9_1));
