//! What one node says of who has which slots; whatever it says, nothing panics.

use std::collections::HashMap;

use redis::Value;

use crate::topology::address::Address;
use crate::wire::failure::UnexpectedReply;
use crate::wire::hello::text;
use crate::wire::slot_set::SLOTS;

/// What one node says of who has which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) masters: Vec<Master>,
    /// The place of each slot's master in the list.
    owners: Box<[Option<u16>]>,
}

/// A node that has slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) address: Address,
    /// The number of the last change that gave it slots: of two nodes that claim a slot, the one with
    /// the larger number has it. None if the node does not let us ask for it.
    pub(super) epoch: Option<u64>,
}

impl View {
    /// Reads the replies of `CLUSTER SLOTS` and `CLUSTER NODES`, if the latter could be had. `asked` is
    /// where the node is: one that does not know its own address leaves it out.
    pub(super) fn read(
        slots: &Value,
        nodes: Option<&Value>,
        asked: &Address,
    ) -> Result<Self, UnexpectedReply> {
        let unexpected = || UnexpectedReply("one of CLUSTER SLOTS");
        let Value::Array(ranges) = slots else { return Err(unexpected()) };
        let epochs = nodes.map(epochs).unwrap_or_default();
        let mut view = Self { masters: Vec::new(), owners: vec![None; SLOTS].into() };
        for range in ranges {
            let Value::Array(range) = range else { return Err(unexpected()) };
            let [first, last, Value::Array(node), ..] = range.as_slice() else {
                return Err(unexpected());
            };
            let (first, last) = place(first).zip(place(last)).ok_or_else(unexpected)?;
            let owner = view.place_of(node, &epochs, asked).ok_or_else(unexpected)?;
            let owners = view.owners.get_mut(first..=last).ok_or_else(unexpected)?;
            owners.fill(Some(owner));
        }
        Ok(view)
    }

    /// Who has the slot.
    pub(super) fn owner(&self, slot: usize) -> Option<&Master> {
        self.masters.get(usize::from((*self.owners.get(slot)?)?))
    }

    fn place_of(
        &mut self,
        node: &[Value],
        epochs: &HashMap<&str, u64>,
        asked: &Address,
    ) -> Option<u16> {
        let [host, port, rest @ ..] = node else { return None };
        let host = match host {
            Value::Nil => "",
            host => text(host)?,
        };
        let Value::Int(port) = port else { return None };
        let host = if matches!(host, "" | "?") { &asked.host } else { host };
        let address = Address { host: host.to_owned(), port: u16::try_from(*port).ok()? };
        let known = self.masters.iter().position(|master| master.address == address);
        let place = known.unwrap_or_else(|| {
            let id = rest.first().and_then(text);
            let epoch = id.and_then(|id| epochs.get(id)).copied();
            self.masters.push(Master { address, epoch });
            self.masters.len() - 1
        });
        u16::try_from(place).ok()
    }
}

fn place(value: &Value) -> Option<usize> {
    match value {
        Value::Int(slot) => usize::try_from(*slot).ok().filter(|slot| *slot < SLOTS),
        _ => None,
    }
}

/// The number of each node's last change, by the node's name.
fn epochs(nodes: &Value) -> HashMap<&str, u64> {
    let lines = text(nodes).unwrap_or_default().lines();
    let read = lines.filter_map(|line| {
        // `<name> <address> <flags> <master> <ping> <pong> <epoch> …`
        let mut words = line.split(' ');
        Some((words.next()?, words.nth(5)?.parse().ok()?))
    });
    read.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::hello::tests::any_value;

    pub(crate) fn at(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    pub(crate) fn range(first: i64, last: i64, host: Value, port: i64, name: &str) -> Value {
        let node = |host, name: &str| {
            Value::Array(vec![host, Value::Int(port), bulk(name), Value::Map(Vec::new())])
        };
        let replica = node(bulk("replica"), "r");
        Value::Array(vec![Value::Int(first), Value::Int(last), node(host, name), replica])
    }

    #[test]
    fn slots_and_the_numbers_of_their_masters_are_read() {
        let slots = Value::Array(vec![
            range(0, 8_191, bulk("10.0.0.1"), 1, "a"),
            range(8_192, 16_382, bulk("b.example"), 2, "b"),
            range(16_383, 16_383, bulk("10.0.0.1"), 1, "a"),
        ]);
        let nodes = "b 10.0.0.2:2@12,b.example myself,master - 0 0 7 connected 8192-16382\n\
                     r 10.0.0.3:1@11 slave a 0 1 9 connected\n\
                     a 10.0.0.1:1@11 master - 0 1 4 connected 0-8191 16383 [5->-b]\n";
        let view = View::read(&slots, Some(&bulk(nodes)), &at("seed", 9)).unwrap();
        let owner = |slot| view.owner(slot).map(|it| (it.address.to_string(), it.epoch)).unwrap();
        assert_eq!(owner(0), ("10.0.0.1:1".into(), Some(4)));
        assert_eq!(owner(8_191), owner(0));
        assert_eq!(owner(8_192), ("b.example:2".into(), Some(7)));
        assert_eq!(owner(16_383), owner(0));
        assert_eq!(view.masters.len(), 2);
        assert_eq!(view.owner(SLOTS), None);
    }

    #[test]
    fn a_node_that_does_not_know_its_address_is_where_it_was_asked() {
        for host in [Value::Nil, bulk(""), bulk("?")] {
            let slots = Value::Array(vec![range(5, 5, host, 7, "a")]);
            let view = View::read(&slots, None, &at("seed", 9)).unwrap();
            let master = Master { address: at("seed", 7), epoch: None };
            assert_eq!(view.owner(5), Some(&master));
            assert_eq!(view.owner(4), None);
        }
    }

    #[test]
    fn what_is_no_list_of_slots_is_refused() {
        let odd = [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(0, 16_384, bulk("a"), 1, "a")]),
            Value::Array(vec![range(2, 1, bulk("a"), 70_000, "a")]),
            Value::Array(vec![range(-1, 1, bulk("a"), 1, "a")]),
        ];
        for slots in odd {
            View::read(&slots, None, &at("seed", 9)).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn no_reply_makes_reading_panic(slots in any_value(), nodes in any_value()) {
            drop(View::read(&slots, Some(&nodes), &at("seed", 9)));
        }
    }
}
