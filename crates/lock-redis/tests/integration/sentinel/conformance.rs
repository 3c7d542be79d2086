//! Every claim of the conformance suite, on the master that Sentinels name.

use std::sync::OnceLock;

use lock_core::Result;
use lock_core::backend::AnyBackend;
use lock_redis::RedisBackend;
use lock_testkit::conformance::{Harness, Pace, async_trait};
use lock_testkit::conformance_tests;
use testbed::{SentinelSet, SentinelSettings, ServerKind};

use crate::common::MINUTE;

/// One set a version that all claims share, each under names of its own. They end with this program.
static SETS: [OnceLock<SentinelSet>; 3] = [const { OnceLock::new() }; 3];

struct OnMaster(usize, ServerKind);

#[async_trait]
impl Harness for OnMaster {
    async fn backend(&self) -> Result<AnyBackend> {
        let set = SETS[self.0].get_or_init(|| {
            // No claim is about a failover, and a busy machine must not cause one.
            let settings = SentinelSettings::default().down_after(MINUTE);
            SentinelSet::start_with(&self.1, &settings).unwrap()
        });
        Ok(AnyBackend::new(RedisBackend::builder().url(set.url()).build()?))
    }

    fn pace(&self) -> Pace {
        Pace::real()
    }
}

conformance_tests!(mod redis_6_2: OnMaster(0, ServerKind::REDIS_6_2));
conformance_tests!(mod redis_8_2: OnMaster(1, ServerKind::REDIS_8_2));
conformance_tests!(mod valkey_9_1: OnMaster(2, ServerKind::VALKEY_9_1));
