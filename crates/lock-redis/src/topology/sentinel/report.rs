//! What a Sentinel says of a master; whatever it says, nothing panics.

use redis::Value;

use crate::topology::address::Address;
use crate::wire::failure::UnexpectedReply;
use crate::wire::hello::text;

/// What a Sentinel says of a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) address: Address,
    /// The number of the failover that made it the master: larger for each. None if the Sentinel
    /// does not let us ask for it.
    pub(super) epoch: Option<u64>,
    /// The Sentinel takes it to be down.
    pub(super) is_down: bool,
}

/// The channel on which Sentinels tell that a master has changed.
pub(super) const SWITCH: &str = "+switch-master";

/// Reads the reply of `SENTINEL GET-MASTER-ADDR-BY-NAME`; none if there is no such master.
pub(super) fn address(reply: &Value) -> Result<Option<Address>, UnexpectedReply> {
    let parts = match reply {
        Value::Nil => return Ok(None),
        Value::Array(parts) => parts.as_slice(),
        _ => &[],
    };
    let address = match parts {
        [host, port] => text(host).filter(|host| !host.is_empty()).zip(text(port)),
        _ => None,
    };
    let address = address.and_then(|(host, port)| parsed(host, port));
    address.map(Some).ok_or(UnexpectedReply("one of SENTINEL GET-MASTER-ADDR-BY-NAME"))
}

/// Reads the reply of `SENTINEL MASTER`: the number of the last failover, and whether the master is
/// taken to be down.
pub(super) fn state(reply: &Value) -> (Option<u64>, bool) {
    let (mut epoch, mut is_down) = (None, false);
    let mut take = |name: &Value, value: &Value| match (text(name), text(value)) {
        (Some("config-epoch"), Some(value)) => epoch = value.parse().ok(),
        (Some("flags"), Some(value)) => {
            is_down = value.split(',').any(|flag| flag.ends_with("_down"));
        }
        _ => {}
    };
    match reply {
        Value::Map(entries) => entries.iter().for_each(|(name, value)| take(name, value)),
        Value::Array(flat) => flat.chunks_exact(2).for_each(|pair| take(&pair[0], &pair[1])),
        _ => {}
    }
    (epoch, is_down)
}

/// Reads a message of `+switch-master`: the name of the master, and where it is from now on.
pub(super) fn switch(message: &[Value]) -> Option<(&str, Address)> {
    let [channel, payload] = message else { return None };
    if text(channel)? != SWITCH {
        return None;
    }
    let mut words = text(payload)?.split(' ');
    let name = words.next()?;
    let (host, port) = (words.nth(2)?, words.next()?);
    parsed(host, port).map(|address| (name, address))
}

fn parsed(host: &str, port: &str) -> Option<Address> {
    port.parse().ok().map(|port| Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::hello::tests::any_value;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_address_is_read_and_an_unknown_master_is_none() {
        let read = |parts: &[&str]| address(&Value::Array(parts.iter().map(|p| bulk(p)).collect()));
        let at = |host: &str| Address { host: host.into(), port: 6379 };
        assert_eq!(read(&["10.0.0.1", "6379"]), Ok(Some(at("10.0.0.1"))));
        assert_eq!(read(&["redis-0.local", "6379"]), Ok(Some(at("redis-0.local"))));
        assert_eq!(read(&["::1", "6379"]).unwrap().unwrap().to_string(), "[::1]:6379");
        assert_eq!(address(&Value::Nil), Ok(None));
        for parts in [&[][..], &["a"], &["a", "70000"], &["", "1"], &["a", "1", "2"]] {
            read(parts).unwrap_err();
        }
    }

    #[test]
    fn epoch_and_state_are_read_from_both_protocols() {
        let fields =
            [("name", "m"), ("runid", ""), ("flags", "s_down,master"), ("config-epoch", "7")];
        let flat = fields.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]).collect();
        let map = fields.iter().map(|(name, value)| (bulk(name), bulk(value))).collect();
        for reply in [Value::Array(flat), Value::Map(map)] {
            assert_eq!(state(&reply), (Some(7), true));
        }
        assert_eq!(state(&Value::Nil), (None, false));
    }

    #[test]
    fn a_switch_names_the_master_and_its_new_address() {
        let message = [bulk(SWITCH), bulk("m 10.0.0.1 6379 10.0.0.2 6380")];
        let address = Address { host: "10.0.0.2".into(), port: 6380 };
        assert_eq!(switch(&message), Some(("m", address)));
        for payload in ["", "m", "m a 1 b", "m a 1 b x"] {
            assert_eq!(switch(&[bulk(SWITCH), bulk(payload)]), None);
        }
        assert_eq!(switch(&[bulk("+sdown"), bulk("m a 1 b 2")]), None);
    }

    proptest! {
        #[test]
        fn no_reply_makes_reading_panic(value in any_value(), other in any_value()) {
            drop(address(&value));
            state(&value);
            switch(&[value, other]);
        }
    }
}
