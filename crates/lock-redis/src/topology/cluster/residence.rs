//! A slot and the node that has it, as far as is known.

use std::sync::Arc;
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::{Backoff, Clock, Lane};

use crate::topology::address::Address;
use crate::topology::cluster::node::{Node, Surroundings};
use crate::topology::cluster::shared::Shared;
use crate::topology::tries::Tries;
use crate::wire::connection::Connection;
use crate::wire::failure::{Elsewhere, Failure, OfCluster};
use crate::wire::pair::Pair;

/// The pauses while a slot is on its way, or while nodes send us to and fro, grow from the first to the
/// second.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(50));

/// For another try at least so much time must be left, or it would only hide why the one before failed.
const ANOTHER_TRY: Duration = Duration::from_millis(10);
/// The same where nothing new was heard of since: a try that gets no answer in time ends the
/// connection, which others use as well.
const SAME_TRY: Duration = Duration::from_millis(200);

/// A slot and the node that has it, as far as is known.
pub(crate) struct Residence {
    cluster: Arc<Shared>,
    node: Arc<Node>,
    slot: u16,
}

impl Residence {
    pub(super) fn new(cluster: Arc<Shared>, node: Arc<Node>, slot: u16) -> Self {
        Self { cluster, node, slot }
    }

    pub(crate) fn pair(&self) -> &Pair {
        &self.node.pair
    }

    /// See [`Home::again`](crate::topology::home::Home::again).
    pub(crate) async fn again(
        &self,
        failure: Failure,
        tries: &mut Tries,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let cluster = &self.cluster;
        match failure.of_cluster.as_deref() {
            Some(OfCluster::Moved(at)) => {
                self.moved(at);
                // The first time it is just news.
                tries.0 += 1;
                let pause = tries.0.checked_sub(2).map(|before| PAUSE.jittered(before));
                wait(pause.unwrap_or_default(), failure, deadline).await
            }
            Some(OfCluster::Ask(_) | OfCluster::TryAgain) => {
                self.node.is_losing(self.slot);
                tries.0 += 1;
                wait(PAUSE.jittered(tries.0 - 1), failure, deadline).await
            }
            // One that has left the cluster says so as well.
            Some(OfCluster::Down) => self.unless_elsewhere(failure, deadline).await,
            None if failure.is_unconnected && failure.is_passing() || failure.is_of_replica => {
                self.unless_elsewhere(failure, deadline).await
            }
            None => {
                if failure.breaks_connection {
                    cluster.refresh_soon();
                }
                Err(failure)
            }
        }
    }

    /// The node says that this slot is there.
    pub(crate) fn moved(&self, at: &Elsewhere) {
        self.cluster.moved(at.slot, &self.node, &self.address_of(at));
        // An answer that came late may have made its counter trusted again.
        self.node.lost_a_slot();
    }

    /// Fails, unless the other nodes say that the slot is elsewhere.
    async fn unless_elsewhere(&self, failure: Failure, deadline: Instant) -> Result<(), Failure> {
        self.cluster.refresh(deadline).await.ok();
        let owner = self.cluster.owner(self.slot);
        if owner.is_some_and(|owner| !Arc::ptr_eq(&owner, &self.node)) {
            return wait(Duration::ZERO, failure, deadline).await;
        }
        Err(failure)
    }

    /// See [`Home::asking`](crate::topology::home::Home::asking).
    pub(crate) async fn asking(
        &self,
        at: &Elsewhere,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let address = self.address_of(at);
        let node = self.cluster.node_at(&address);
        let connection = node.pair.connection(Lane::Background, deadline).await?;
        Ok(connection.asking())
    }

    /// A node that leaves its host out means the one that it was asked at.
    fn address_of(&self, at: &Elsewhere) -> Address {
        let host = at.host.as_deref().unwrap_or(&self.node.address.host);
        Address { host: host.to_owned(), port: at.port }
    }
}

/// Waits for so long; fails if there is no time for that, or for another try behind it.
async fn wait(pause: Duration, failure: Failure, deadline: Instant) -> Result<(), Failure> {
    let until = Clock::SYSTEM.now() + pause;
    let for_try = if pause.is_zero() { ANOTHER_TRY } else { SAME_TRY };
    if until + for_try >= deadline {
        return Err(failure);
    }
    if !pause.is_zero() {
        Clock::SYSTEM.sleep_until(until).await;
    }
    Ok(())
}
