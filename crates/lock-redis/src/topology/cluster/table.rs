//! Who has which slots, as far as is known.

use std::collections::HashMap;
use std::sync::Arc;

use crate::topology::address::Address;
use crate::topology::cluster::node::Node;
use crate::wire::slot_set::SLOTS;

/// See the [module's documentation](self).
pub(super) struct Table {
    owners: Vec<Option<Arc<Node>>>,
    /// Also those that have no slot any more, while somebody needs them.
    nodes: HashMap<Address, Arc<Node>>,
}

/// The nodes that have less than before.
#[derive(Default)]
pub(super) struct Losers {
    /// Some slots less.
    pub(super) some: Vec<Arc<Node>>,
    /// No slot any more.
    pub(super) all: Vec<Arc<Node>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self { owners: vec![None; SLOTS], nodes: HashMap::new() }
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.owners.get(usize::from(slot))?.as_ref()
    }

    /// The nodes that have slots.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(|node| self.has_slots(node))
    }

    pub(super) fn node_at(&self, address: &Address) -> Option<&Arc<Node>> {
        self.nodes.get(address)
    }

    /// All nodes that are known.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// The node at this address, also if it is new.
    pub(super) fn node(
        &mut self,
        address: &Address,
        new: impl FnOnce(Address) -> Node,
    ) -> Arc<Node> {
        let node = self.nodes.entry(address.clone());
        Arc::clone(node.or_insert_with(|| Arc::new(new(address.clone()))))
    }

    /// The slot is at this node now.
    pub(super) fn set(
        &mut self,
        slot: u16,
        address: &Address,
        new: impl FnOnce(Address) -> Node,
    ) -> Losers {
        let node = self.node(address, new);
        let Some(owner) = self.owners.get_mut(usize::from(slot)) else { return Losers::default() };
        let before = owner.replace(Arc::clone(&node));
        self.losers(before.into_iter().filter(|before| !Arc::ptr_eq(before, &node)).collect())
    }

    /// The slots are at these nodes now.
    pub(super) fn replace(
        &mut self,
        owners: &[Option<&Address>],
        new: impl Fn(Address) -> Node,
    ) -> Losers {
        let mut losers: Vec<Arc<Node>> = Vec::new();
        for (owner, now) in self.owners.iter_mut().zip(owners) {
            if owner.as_ref().map(|node| &node.address) == *now {
                continue;
            }
            let now = now.map(|address| {
                let node = self.nodes.entry(address.clone());
                Arc::clone(node.or_insert_with(|| Arc::new(new(address.clone()))))
            });
            if let Some(before) = std::mem::replace(owner, now)
                && !losers.iter().any(|loser| Arc::ptr_eq(loser, &before))
            {
                losers.push(before);
            }
        }
        self.losers(losers)
    }

    fn losers(&mut self, losers: Vec<Arc<Node>>) -> Losers {
        let (some, all) = losers.into_iter().partition(|node| self.has_slots(node));
        let owners = &self.owners;
        // One that is under way to a connection, or has one to end, is the same when it comes back.
        self.nodes.retain(|_, node| {
            Arc::strong_count(node) > 1 || node.pair.has_doomed() || has_slots(owners, node)
        });
        Losers { some, all }
    }

    fn has_slots(&self, node: &Arc<Node>) -> bool {
        has_slots(&self.owners, node)
    }
}

fn has_slots(owners: &[Option<Arc<Node>>], node: &Arc<Node>) -> bool {
    owners.iter().flatten().any(|owner| Arc::ptr_eq(owner, node))
}
