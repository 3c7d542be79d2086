//! Whom to believe when several nodes were asked who has which slots.
//!
//! Each change of a slot's owner has a number, the *configuration epoch* of the node that got it, and
//! the nodes themselves believe the larger one.
//! So whoever knows of the newest change is right, and the others have not heard of it yet.
//! Where the numbers are the same, or cannot be had, the majority counts.
//!
//! A node that hears of nothing goes on to claim its slots, and may be the only one that answers.
//! So what was known before counts, too: a claim under a smaller number than that of the owner is
//! not believed, and neither is one under a number under which a node has had the slot and has said
//! that another one has it.

use crate::topology::address::Address;
use crate::topology::cluster::view::{Master, View};
use crate::wire::slot_set::SLOTS;

/// What is known of a slot before nodes are asked.
#[derive(Clone, Copy, Default)]
pub(super) struct Believed<'a> {
    /// Who has it, and under which number if that is known.
    pub(super) owner: Option<(&'a Address, Option<u64>)>,
    /// The number under which the owner before had it when it named this one. No claim is newer that
    /// is without a number.
    pub(super) refuted: Option<Option<u64>>,
}

/// What becomes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// What is known stands.
    Stands,
    At(&'a Address),
    /// Nobody has it.
    Nowhere,
}

/// The owner of each slot, by these views and what is known before.
pub(super) fn of<'v, 'k>(
    views: &'v [View],
    known: impl Fn(usize) -> Believed<'k>,
) -> Vec<Verdict<'v>> {
    (0..SLOTS).map(|slot| of_slot(views, slot, known(slot))).collect()
}

fn of_slot<'v>(views: &'v [View], slot: usize, known: Believed<'_>) -> Verdict<'v> {
    let is_owner = |master: &Master| known.owner.is_some_and(|(owner, _)| *owner == master.address);
    let is_old =
        |master: &Master| known.refuted.is_some_and(|at| master.epoch <= at) && !is_owner(master);
    let all = || views.iter().filter_map(|view| view.owner(slot));
    let claims = || all().filter(|master| !is_old(master));
    let Some(newest) = claims().map(|master| master.epoch).max() else {
        return if all().next().is_some() { Verdict::Stands } else { Verdict::Nowhere };
    };
    if known.owner.is_some_and(|(_, epoch)| epoch > newest) {
        return Verdict::Stands;
    }
    let newest = || claims().filter(|master| master.epoch == newest);
    let votes = |of: &Master| newest().filter(|other| other.address == of.address).count();
    // The first of several that have the most: whoever was asked first is to be believed most.
    let (mut best, mut most) = (Verdict::Stands, 0);
    for master in newest() {
        let count = votes(master);
        if count > most {
            (best, most) = (Verdict::At(&master.address), count);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;
    use crate::topology::cluster::view::tests::{at, range};

    /// A view by which the owner of slot 7 is at this port.
    fn view(port: i64, epoch: Option<u64>) -> View {
        let host = Value::BulkString(b"h".to_vec());
        let slots = Value::Array(vec![range(7, 7, host, port, "a")]);
        let nodes =
            epoch.map(|epoch| Value::SimpleString(format!("a - - - 0 0 {epoch} connected")));
        View::read(&slots, nodes.as_ref(), &at("seed", 1)).unwrap()
    }

    fn owner(views: &[View]) -> u16 {
        let owners = of(views, |_| Believed::default());
        let mut others = owners.iter().enumerate().filter(|(slot, _)| *slot != 7);
        assert!(others.all(|(_, owner)| *owner == Verdict::Nowhere));
        let Verdict::At(address) = owners[7] else { panic!("{:?}", owners[7]) };
        address.port
    }

    /// What becomes of slot 7 that is known to be at port 2.
    fn judged(views: &[View], epoch: Option<u64>, refuted: Option<Option<u64>>) -> Option<u16> {
        let owner = at("h", 2);
        let known = Believed { owner: Some((&owner, epoch)), refuted };
        match of_slot(views, 7, known) {
            Verdict::Stands => Some(2),
            Verdict::At(address) => Some(address.port),
            Verdict::Nowhere => None,
        }
    }

    #[test]
    fn a_node_that_hears_of_nothing_is_not_believed_also_when_it_alone_answers() {
        let (stale, new) = (view(1, Some(3)), view(2, Some(5)));
        for views in [&[stale.clone()][..], &[stale.clone(), stale.clone()], &[stale.clone(), new]]
        {
            assert_eq!(judged(views, Some(5), None), Some(2));
        }
        // Of two of them, neither.
        assert_eq!(judged(&[stale, view(3, Some(4))], Some(5), None), Some(2));
        // What is newer is.
        assert_eq!(judged(&[view(3, Some(6))], Some(5), None), Some(3));
    }

    #[test]
    fn a_claim_that_was_refuted_is_not_believed_again() {
        let stale = view(1, Some(3));
        // Whatever the number of the owner is, which may not have been heard of yet.
        for epoch in [None, Some(2)] {
            assert_eq!(judged(std::slice::from_ref(&stale), epoch, Some(Some(3))), Some(2));
            assert_eq!(judged(&[stale.clone(), view(2, Some(2))], epoch, Some(Some(3))), Some(2));
        }
        // The slot came back later.
        assert_eq!(judged(&[view(1, Some(6))], Some(5), Some(Some(3))), Some(1));
        // Where numbers cannot be had, the node itself has to say so.
        assert_eq!(judged(&[view(1, None)], None, Some(None)), Some(2));
        assert_eq!(judged(&[view(1, Some(1))], None, Some(None)), Some(1));
    }

    #[test]
    fn a_slot_that_was_taken_from_all_nodes_has_no_owner() {
        let slots = Value::Array(Vec::new());
        let empty = View::read(&slots, None, &at("seed", 1)).unwrap();
        assert_eq!(judged(&[empty], Some(5), Some(Some(3))), None);
    }

    #[test]
    fn whoever_knows_of_the_newest_change_is_right_also_against_all_others() {
        let (old, new) = (view(1, Some(3)), view(2, Some(4)));
        assert_eq!(owner(&[old.clone(), new.clone(), old.clone()]), 2);
        assert_eq!(owner(&[old.clone(), old]), 1);
        // One that may not be asked for the number does not stand against those that may.
        assert_eq!(owner(&[view(1, None), view(1, None), new]), 2);
    }

    #[test]
    fn among_those_who_know_of_the_same_change_the_majority_is_right_and_then_the_first() {
        for epoch in [None, Some(3)] {
            let (one, two) = (view(1, epoch), view(2, epoch));
            assert_eq!(owner(&[one.clone(), two.clone(), two.clone()]), 2);
            assert_eq!(owner(&[two, one]), 2);
        }
    }

    #[test]
    fn a_slot_that_nobody_has_has_no_owner() {
        let owners = of(&[], |_| Believed::default());
        assert!(owners.iter().all(|owner| *owner == Verdict::Nowhere));
    }
}
