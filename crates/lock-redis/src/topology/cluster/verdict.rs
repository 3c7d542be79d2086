//! Whom to believe when several nodes were asked who has which slots.
//!
//! Each change of a slot's owner has a number, the *configuration epoch* of the node that got it, and
//! the nodes themselves believe the larger one.
//! So whoever knows of the newest change is right, and the others have not heard of it yet.
//! Where the numbers are the same, or cannot be had, the majority counts.

use crate::topology::address::Address;
use crate::topology::cluster::view::{Master, View};
use crate::wire::slot_set::SLOTS;

/// The owner of each slot, by these views.
pub(super) fn of(views: &[View]) -> Vec<Option<&Address>> {
    let owner = |slot| {
        let claims = || views.iter().filter_map(|view| view.owner(slot));
        let newest = claims().map(|master| master.epoch).max()?;
        let newest = || claims().filter(|master| master.epoch == newest);
        let votes = |of: &Master| newest().filter(|other| other.address == of.address).count();
        // The first of several that have the most: whoever was asked first is to be believed most.
        let (mut best, mut most) = (None, 0);
        for master in newest() {
            let count = votes(master);
            if count > most {
                (best, most) = (Some(&master.address), count);
            }
        }
        best
    };
    (0..SLOTS).map(owner).collect()
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
        let owners = of(views);
        assert!(owners.iter().enumerate().all(|(slot, owner)| owner.is_some() == (slot == 7)));
        owners[7].unwrap().port
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
        assert!(of(&[]).iter().all(Option::is_none));
    }
}
