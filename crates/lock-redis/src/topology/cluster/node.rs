//! One node of a cluster, and the connections to it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use lock_core::{Instant, LockErrorKind};

use crate::topology::address::Address;
use crate::topology::cluster::epoch::KnownEpoch;
use crate::topology::cluster::settings::Settings;
use crate::topology::dialer::Dialer;
use crate::topology::reach::Reach;
use crate::wire::confirmer::Marks;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::greeting;
use crate::wire::link::{Connector, Driver, Link};
use crate::wire::pair::Pair;

/// For so long the counters of the slots are trusted that were seen over a connection. A slot may have
/// been elsewhere meanwhile, and have lost numbers there, only if a node died and was replaced, which
/// takes longer than a node may be silent (cluster-node-timeout, 15 s unless it is set).
const COUNTERS_TRUSTED_FOR: Duration = Duration::from_secs(10);

const UNREACHABLE: &str = "the cluster names this address; if it cannot be reached from here, let the \
                           nodes announce another one (cluster-announce-ip, cluster-announce-port and \
                           cluster-announce-tls-port, or cluster-announce-hostname)";

/// What a node needs of the cluster that it belongs to.
pub(super) trait Surroundings: Send + Sync {
    fn settings(&self) -> &Settings;

    fn dialer(&self) -> &Dialer;

    /// Where it is noted whether pushes are forbidden.
    fn forbids_pushes(&self) -> &Arc<AtomicBool>;

    /// Asks the nodes who has which slots, soon and once for all who want that.
    fn refresh_soon(&self);

    /// Resolves when the node at this address has no slot any more. Asks for that now and then.
    fn until_left<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, ()>;
}

/// One node of a cluster, and the connections to it.
pub(crate) struct Node {
    pub(super) address: Address,
    pub(super) pair: Pair,
    /// The number under which it was last seen to have slots.
    pub(super) epoch: KnownEpoch,
}

impl Node {
    pub(super) fn new(
        address: Address,
        surroundings: Weak<dyn Surroundings>,
        reach: Reach,
    ) -> Self {
        let shown = address.to_string();
        let connector = NodeConnector { surroundings, address: address.clone(), shown };
        let connector: Arc<dyn Connector> = Arc::new(connector);
        let link = |driver| Link::new(Arc::clone(&connector), driver, reach.response_timeout);
        let pair = Pair::new(Some(link(Driver::Caller)), link(Driver::Background));
        let confirmer = reach.confirmer(&connector, Marks::EachSlot);
        Self { address, pair: pair.confirmed_by(confirmer), epoch: KnownEpoch::default() }
    }

    /// A slot was seen to leave the node: when it comes back, its counter may have lost numbers.
    pub(super) fn lost_a_slot(&self) {
        self.pair.up().for_each(|connection| connection.counted().clear());
    }

    /// This slot is on its way from the node, and its counter may be used elsewhere by now.
    pub(super) fn is_losing(&self, slot: u16) {
        self.pair.up().for_each(|connection| connection.counted().remove(slot));
    }

    /// The node has no slot any more. Whoever waits for a push over its connections asks again.
    pub(super) fn leave(&self) {
        self.pair.up().for_each(|connection| connection.leave());
    }
}

struct NodeConnector {
    surroundings: Weak<dyn Surroundings>,
    address: Address,
    shown: String,
}

impl NodeConnector {
    async fn open(&self, deadline: Instant) -> Result<Connection, Failure> {
        let Some(surroundings) = self.surroundings.upgrade() else {
            return Err(Failure::new(LockErrorKind::ShutDown, "the Redis backend was closed"));
        };
        let dialing = pin!(self.dial(&*surroundings, deadline));
        let left = pin!(surroundings.until_left(&self.address));
        let connected = match select(dialing, left).await {
            Either::Left((connected, _)) => connected,
            // It need not be waited for any longer.
            Either::Right(_) => {
                let message = "the node has no slot of the cluster any more";
                Err(Failure::unavailable(message).not_applied())
            }
        };
        connected.map_err(|failure| {
            if failure.is_passing() { failure.with_hint(UNREACHABLE) } else { failure }
        })
    }

    async fn dial(
        &self,
        within: &dyn Surroundings,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let surroundings = Weak::clone(&self.surroundings);
        let health = within.dialer().health().when_replica(move || {
            surroundings.upgrade().iter().for_each(|within| within.refresh_soon());
        });
        let health = health.in_cluster().noting_forbidden_pushes(within.forbids_pushes());
        let client = self.address.client(&within.settings().data)?;
        let dialed = within.dialer().dial(&client, Arc::new(health), deadline).await?;
        // It may be allowed since.
        within.forbids_pushes().store(dialed.is_push_forbidden(), Ordering::Relaxed);
        Ok(dialed.trusting_counters_for(COUNTERS_TRUSTED_FOR))
    }
}

impl Connector for NodeConnector {
    fn connect(&self, deadline: Instant) -> BoxFuture<'_, Result<Connection, Failure>> {
        self.open(deadline).boxed()
    }

    fn too_slow(&self) -> Failure {
        let within = self.surroundings.upgrade();
        let client = within.and_then(|within| self.address.client(&within.settings().data).ok());
        greeting::too_slow(client.as_ref()).with_hint(UNREACHABLE)
    }

    fn address(&self) -> &str {
        &self.shown
    }
}
