//! Which server has the keys of a slot, as far as is known, and what to do when it has them not.

use std::ops::RangeInclusive;
use std::sync::Arc;

use lock_core::backend::Lane;
use lock_core::{Instant, LockErrorKind};

use crate::topology::cluster::residence::Residence;
use crate::topology::route::Route;
use crate::topology::tries::Tries;
use crate::wire::confirmer::Confirmer;
use crate::wire::connection::Connection;
use crate::wire::failure::{Failure, OfCluster};
use crate::wire::pair::Pair;

/// Which server has the keys of a slot, as far as is known.
pub(crate) enum Home<'a> {
    /// There is only one.
    Only(&'a Pair),
    /// A node of a cluster.
    Node(Residence),
}

/// A server that has keys.
pub(crate) struct Server<'a> {
    pub(crate) home: Home<'a>,
    /// Its address, where it is one of several.
    pub(crate) name: String,
    /// In their order.
    pub(crate) slots: Vec<RangeInclusive<u16>>,
}

impl Home<'_> {
    /// Where commands of this lane go.
    pub(crate) fn route(&self, lane: Lane) -> Route<'_> {
        Route::new(self.pair(), lane)
    }

    /// Who asks the replicas of this server, if they are to be asked.
    pub(crate) fn confirmer(&self) -> Option<&Confirmer> {
        self.pair().confirmer()
    }

    /// Whether the keys of one command must be in one slot.
    pub(crate) fn keeps_slots_apart(&self) -> bool {
        matches!(self, Self::Node(_))
    }

    /// A connection that is up, for what is worth no new one: rather the library's own.
    pub(crate) fn up(&self) -> Option<Arc<Connection>> {
        self.pair().up().last()
    }

    /// A request that was sent to this server failed. Returns when it is to be sent again to the
    /// home of its slot, which may be another one; else it has failed for this reason.
    ///
    /// A request that may have run is never sent again.
    pub(crate) async fn again(
        &self,
        failure: Failure,
        tries: &mut Tries,
        deadline: Instant,
    ) -> Result<(), Failure> {
        match self {
            Self::Only(_) => Err(alone(failure)),
            // In a place of its own: this is rare.
            Self::Node(residence) => Box::pin(residence.again(failure, tries, deadline)).await,
        }
    }

    /// The connection over which another node may be asked that this failure names, where the keys
    /// of a slot go that is being moved; what is sent over it asks for the slot.
    pub(crate) async fn asking(
        &self,
        failure: &Failure,
        deadline: Instant,
    ) -> Option<Result<Connection, Failure>> {
        match (self, failure.of_cluster.as_deref()) {
            (Self::Node(residence), Some(OfCluster::Ask(at))) => {
                Some(Box::pin(residence.asking(at, deadline)).await)
            }
            _ => None,
        }
    }

    /// Whether this failure says that a key is at another node now; if its whole slot is, that is noted.
    pub(crate) fn is_elsewhere(&self, failure: &Failure) -> bool {
        match (self, failure.of_cluster.as_deref()) {
            (Self::Node(_), Some(OfCluster::Ask(_) | OfCluster::TryAgain)) => true,
            (Self::Node(residence), Some(OfCluster::Moved(at))) => {
                residence.moved(at);
                true
            }
            _ => false,
        }
    }

    fn pair(&self) -> &Pair {
        match self {
            Self::Only(pair) => pair,
            Self::Node(residence) => residence.pair(),
        }
    }
}

impl PartialEq for Home<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.pair(), other.pair())
    }
}

/// A server that is asked alone says that it is not.
fn alone(failure: Failure) -> Failure {
    // What passes by itself is said by proxies, too.
    if !matches!(failure.of_cluster.as_deref(), Some(OfCluster::Moved(_) | OfCluster::Ask(_))) {
        return failure;
    }
    let message = "the server is a node of a cluster, and does not have all keys; write \
                   redis+cluster://HOST:PORT, with the addresses of some of its nodes";
    Failure::new(LockErrorKind::InvalidConfig, message).not_applied()
}
