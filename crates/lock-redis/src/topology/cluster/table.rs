//! Who has which slots, as far as is known.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use lock_core::Instant;
use lock_core::backend::Clock;

use crate::topology::address::Address;
use crate::topology::cluster::epoch::BELIEVED_FOR;
use crate::topology::cluster::node::Node;
use crate::topology::cluster::verdict::{self, Believed, Verdict};
use crate::topology::cluster::view::View;
use crate::wire::slot_set::{SLOTS, push};

/// See the [module's documentation](self).
pub(super) struct Table {
    owners: Vec<Option<Arc<Node>>>,
    /// Also those that have no slot any more, while somebody needs them.
    nodes: HashMap<Address, Arc<Node>>,
    /// The number under which a slot's owner had it when it said that another node has it, and when
    /// that was.
    refuted: HashMap<u16, (Option<u64>, Instant)>,
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
        Self { owners: vec![None; SLOTS], nodes: HashMap::new(), refuted: HashMap::new() }
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        self.owners.get(usize::from(slot))?.as_ref()
    }

    /// The nodes that have slots.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values().filter(|node| self.has_slots(node))
    }

    /// The nodes that have slots, with these in their order.
    pub(super) fn slots_by_owner(&self) -> Vec<(Arc<Node>, Vec<RangeInclusive<u16>>)> {
        let mut all: Vec<(Arc<Node>, Vec<RangeInclusive<u16>>)> = Vec::new();
        for (slot, owner) in (0..=u16::MAX).zip(&self.owners) {
            let Some(owner) = owner else { continue };
            match all.iter_mut().find(|(node, _)| Arc::ptr_eq(node, owner)) {
                Some((_, slots)) => push(slots, slot),
                None => all.push((Arc::clone(owner), vec![slot..=slot])),
            }
        }
        all
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

    /// This node says that the slot is at that address. From a node that is not taken to have the slot
    /// any more, that is old news.
    pub(super) fn moved(
        &mut self,
        slot: u16,
        from: &Node,
        to: &Address,
        new: impl FnOnce(Address) -> Node,
    ) -> Losers {
        let is_news = match self.owner(slot) {
            Some(owner) => owner.address == from.address && owner.address != *to,
            None => true,
        };
        if !is_news || usize::from(slot) >= SLOTS {
            return Losers::default();
        }
        let now = Clock::SYSTEM.now();
        self.refuted.insert(slot, (from.epoch.get(now), now));
        let node = self.node(to, new);
        let before = self.owners[usize::from(slot)].replace(node);
        self.losers(before.into_iter().collect())
    }

    /// Nodes that were asked say this.
    pub(super) fn believe(&mut self, views: &[View], new: impl Fn(Address) -> Node) -> Losers {
        let now = Clock::SYSTEM.now();
        let owners = verdict::of(views, |slot| {
            let owner = self.owners.get(slot).and_then(Option::as_ref);
            Believed {
                owner: owner.map(|node| (&node.address, node.epoch.get(now))),
                refuted: self.refuted(slot, now),
            }
        });
        let losers = self.replace(&owners, new);
        for master in views.iter().flat_map(|view| &view.masters) {
            if let (Some(node), Some(epoch)) = (self.nodes.get(&master.address), master.epoch) {
                node.epoch.heard(epoch, now);
            }
        }
        losers
    }

    /// See [`Believed::refuted`].
    fn refuted(&self, slot: usize, now: Instant) -> Option<Option<u64>> {
        let slot = u16::try_from(slot).ok()?;
        let (epoch, at) = self.refuted.get(&slot)?;
        (now < *at + BELIEVED_FOR).then_some(*epoch)
    }

    /// The slots are at these nodes now.
    fn replace(&mut self, owners: &[Verdict<'_>], new: impl Fn(Address) -> Node) -> Losers {
        let mut losers: Vec<Arc<Node>> = Vec::new();
        for (owner, now) in self.owners.iter_mut().zip(owners) {
            let now = match now {
                Verdict::Stands => continue,
                Verdict::At(now) if owner.as_ref().is_some_and(|it| it.address == **now) => {
                    continue;
                }
                Verdict::At(address) => {
                    let address: &Address = address;
                    let node = self.nodes.entry(address.clone());
                    Some(Arc::clone(node.or_insert_with(|| Arc::new(new(address.clone())))))
                }
                Verdict::Nowhere => None,
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_refuted_for_a_minute() {
        let at = |secs: u64| Instant::from_nanos(secs * 1_000_000_000);
        let mut table = Table::new();
        table.refuted.insert(7, (Some(3), at(10)));
        assert_eq!(table.refuted(7, at(69)), Some(Some(3)));
        // A cluster that is set up anew counts anew.
        assert_eq!(table.refuted(7, at(70)), None);
        assert_eq!(table.refuted(8, at(10)), None);
    }
}
