//! Every claim of the conformance suite, on one sidecar that all claims share.

use std::sync::LazyLock;
use std::time::Duration;

use lock_core::backend::AnyBackend;
use lock_dapr::DaprBackend;
use lock_testkit::conformance::{Harness, Need, Pace, async_trait};

use crate::common::Stand;

static STAND: LazyLock<Stand> = LazyLock::new(Stand::start);

struct Dapr;

#[async_trait]
impl Harness for Dapr {
    async fn backend(&self) -> lock_core::Result<AnyBackend> {
        let builder = DaprBackend::builder(STAND.sidecar.store());
        let builder = builder.endpoint(STAND.sidecar.address().to_string());
        Ok(AnyBackend::new(builder.timeout(Duration::from_secs(2)).build()?))
    }

    fn pace(&self) -> Pace {
        // Whole seconds are all that Dapr can count.
        Pace::real().with_lease(Duration::from_secs(1)).with_limit(Duration::from_secs(60))
    }

    fn lacks(&self) -> Vec<Need> {
        vec![
            Need::Renew,
            Need::Fencing,
            Need::Queueing,
            Need::Inspect,
            Need::List,
            Need::MinHold,
            Need::Repeatable,
        ]
    }
}

lock_testkit::conformance_tests!(Dapr);
