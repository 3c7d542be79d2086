//! Every claim of the conformance suite, on every supported server.

use std::sync::OnceLock;

use lock_core::Result;
use lock_core::backend::AnyBackend;
use lock_redis::RedisBackend;
use lock_testkit::conformance::{Harness, Pace, async_trait};
use lock_testkit::conformance_tests;
use testbed::{RedisServer, ServerKind};

/// One server a version that all claims share, each under names of its own. They end with this
/// program.
static SERVERS: [OnceLock<RedisServer>; 4] = [const { OnceLock::new() }; 4];

struct OnServer(usize, ServerKind);

#[async_trait]
impl Harness for OnServer {
    async fn backend(&self) -> Result<AnyBackend> {
        let server = SERVERS[self.0].get_or_init(|| RedisServer::start(&self.1).unwrap());
        Ok(AnyBackend::new(RedisBackend::builder().url(server.url()).build()?))
    }

    fn pace(&self) -> Pace {
        Pace::real()
    }
}

conformance_tests!(mod redis_6_2: OnServer(0, ServerKind::REDIS_6_2));
conformance_tests!(mod redis_7_0: OnServer(1, ServerKind::REDIS_7_0));
conformance_tests!(mod redis_8_2: OnServer(2, ServerKind::REDIS_8_2));
conformance_tests!(mod valkey_9_1: OnServer(3, ServerKind::VALKEY_9_1));
