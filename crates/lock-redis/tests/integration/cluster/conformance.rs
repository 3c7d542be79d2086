//! Every claim of the conformance suite, on a cluster.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lock_core::Result;
use lock_core::backend::{AnyBackend, LockBackend};
use lock_redis::RedisBackend;
use lock_testkit::conformance::{Harness, Need, Pace, async_trait};
use lock_testkit::conformance_tests;
use testbed::{ClusterSet, ClusterSettings, ServerKind};

use crate::common::{LIMIT, MINUTE};

/// One cluster a version that all claims share, each under names of its own. They end with this
/// program.
static CLUSTERS: [OnceLock<ClusterSet>; 3] = [const { OnceLock::new() }; 3];

/// Which cluster, of which servers, and how many replicas have to confirm a lock.
struct OnCluster(usize, ServerKind, u8);

#[async_trait]
impl Harness for OnCluster {
    async fn backend(&self) -> Result<AnyBackend> {
        let set = CLUSTERS[self.0].get_or_init(|| {
            // No claim is about a failover, and a busy machine must not cause one.
            let settings = ClusterSettings::default().node_timeout(MINUTE);
            ClusterSet::start_with(&self.1, &settings).unwrap()
        });
        let mut builder = RedisBackend::builder().url(set.url());
        if self.2 > 0 {
            // A quarter of it is how long replicas have that may be busy.
            builder = builder.replicas(self.2).response_timeout(LIMIT);
        }
        let backend = Arc::new(builder.build()?);
        // Whether it queues is known when it is connected.
        Arc::clone(&backend).ping().await?;
        Ok(AnyBackend::new(backend))
    }

    fn lacks(&self) -> Vec<Need> {
        // Its nodes have no channels that belong to slots.
        if self.1 == ServerKind::REDIS_6_2 { vec![Need::Queueing] } else { Vec::new() }
    }

    fn pace(&self) -> Pace {
        if self.2 > 0 {
            // A grant is three connections and two servers, of a machine that may be busy.
            return Pace::real().with_lease(Duration::from_secs(4)).with_limit(MINUTE * 3 / 2);
        }
        Pace::real()
    }
}

conformance_tests!(mod redis_6_2: OnCluster(0, ServerKind::REDIS_6_2, 0));
conformance_tests!(mod redis_8_2: OnCluster(1, ServerKind::REDIS_8_2, 0));
conformance_tests!(mod valkey_9_1: OnCluster(2, ServerKind::VALKEY_9_1, 0));

conformance_tests!(mod confirmed_redis_6_2: OnCluster(0, ServerKind::REDIS_6_2, 1));
conformance_tests!(mod confirmed_valkey_9_1: OnCluster(2, ServerKind::VALKEY_9_1, 1));
