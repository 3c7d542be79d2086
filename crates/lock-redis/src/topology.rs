//! Whom a command is said to.

pub(crate) mod address;
pub(crate) mod cluster;
pub(crate) mod dialer;
mod gather;
pub(crate) mod home;
pub(crate) mod reach;
pub(crate) mod route;
pub(crate) mod sentinel;
pub(crate) mod standalone;
pub(crate) mod tries;

use futures_util::future::join_all;
use lock_core::Instant;

use crate::topology::cluster::Cluster;
use crate::topology::home::{Home, Server};
use crate::topology::standalone::Standalone;
use crate::wire::failure::Failure;
use crate::wire::slot_set::SLOT_COUNT;

/// The servers of a backend. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Topology {
    /// One at a time, which has all keys.
    Single(Standalone),
    /// Several, each with the keys of some slots.
    Cluster(Cluster),
}

impl Topology {
    /// Which server has the keys of this slot.
    pub(crate) async fn home(&self, slot: u16, deadline: Instant) -> Result<Home<'_>, Failure> {
        match self {
            Self::Single(single) => Ok(single.home()),
            Self::Cluster(cluster) => match cluster.home(slot) {
                Some(home) => Ok(home),
                // In a place of its own: this is rare.
                None => Box::pin(cluster.find_home(slot, deadline)).await,
            },
        }
    }

    /// Which servers have the keys of these slots, one each.
    pub(crate) async fn homes_of(
        &self,
        slots: impl Iterator<Item = u16>,
        deadline: Instant,
    ) -> Vec<Result<Home<'_>, Failure>> {
        match self {
            Self::Single(single) => slots.map(|_| Ok(single.home())).collect(),
            Self::Cluster(_) => join_all(slots.map(|slot| self.home(slot, deadline))).await,
        }
    }

    /// All servers that have keys, with their slots; asked for anew or as they are known.
    pub(crate) async fn servers(
        &self,
        anew: bool,
        deadline: Instant,
    ) -> Result<Vec<Server<'_>>, Failure> {
        match self {
            Self::Single(single) => {
                let slots = vec![0..=SLOT_COUNT - 1];
                Ok(vec![Server { home: single.home(), name: String::new(), slots }])
            }
            Self::Cluster(cluster) => Box::pin(cluster.servers(anew, deadline)).await,
        }
    }

    /// Whether a server forbids pushes over a connection that carries attempts.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        match self {
            Self::Single(single) => single.is_push_forbidden(),
            Self::Cluster(cluster) => cluster.is_push_forbidden(),
        }
    }

    /// Where the servers are, for people.
    pub(crate) fn address(&self) -> &str {
        match self {
            Self::Single(single) => single.address(),
            Self::Cluster(cluster) => cluster.address(),
        }
    }

    /// Ends the connections for good.
    pub(crate) fn close(&self) {
        match self {
            Self::Single(single) => single.close(),
            Self::Cluster(cluster) => cluster.close(),
        }
    }
}
