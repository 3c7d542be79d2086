//! Reads what a server says of itself; whatever it says, nothing panics.

use redis::Value;

use crate::wire::failure::UnexpectedReply;

/// The reply of `TIME`, in µs.
pub(crate) fn time(value: &Value) -> Result<u64, UnexpectedReply> {
    let part = |value: &Value| text(value)?.parse::<u64>().ok();
    let micros = match value {
        Value::Array(parts) => match parts.as_slice() {
            [seconds, micros] => part(seconds).zip(part(micros)),
            _ => None,
        },
        _ => None,
    };
    micros
        .and_then(|(seconds, micros)| seconds.checked_mul(1_000_000)?.checked_add(micros))
        .ok_or(UnexpectedReply("one of TIME"))
}

/// What a server understands: in which form it takes scripts, and which channels it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Redis 6.2.
    Redis6,
    /// Redis 7.0 and later, and Valkey: a script's first line says what it may do, and there are
    /// channels that belong to a cluster slot, as keys do.
    #[default]
    Redis7,
}

/// The commands for the channels of a dialect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelWords {
    pub(crate) subscribe: &'static str,
    pub(crate) publish: &'static str,
    /// The part of `PUBSUB` that counts the subscribers of some channels.
    pub(crate) count: &'static str,
}

impl Dialect {
    pub(crate) fn of_version(version: (u16, u16)) -> Self {
        if version >= (7, 0) { Self::Redis7 } else { Self::Redis6 }
    }

    /// With which commands channels are used.
    pub(crate) const fn channels(self) -> ChannelWords {
        match self {
            Self::Redis6 => {
                ChannelWords { subscribe: "SUBSCRIBE", publish: "PUBLISH", count: "NUMSUB" }
            }
            Self::Redis7 => {
                ChannelWords { subscribe: "SSUBSCRIBE", publish: "SPUBLISH", count: "SHARDNUMSUB" }
            }
        }
    }
}

/// What the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) server: String,
    pub(crate) version: String,
    pub(crate) mode: String,
    pub(crate) speaks_resp3: bool,
    /// The number by which the server knows the connection.
    pub(crate) id: Option<i64>,
}

impl Hello {
    /// The first two numbers of the version.
    pub(crate) fn version_numbers(&self) -> Option<(u16, u16)> {
        let mut numbers = self.version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

pub(crate) fn hello(value: &Value) -> Result<Hello, UnexpectedReply> {
    // A map is sent as one by the newer protocol alone.
    let speaks_resp3 = matches!(value, Value::Map(_));
    let mut hello = Hello { speaks_resp3, ..Hello::default() };
    let mut take = |name: &Value, value: &Value| {
        let field = match text(name) {
            Some("id") => {
                hello.id = match value {
                    Value::Int(id) => Some(*id),
                    _ => None,
                };
                return;
            }
            Some("server") => &mut hello.server,
            Some("version") => &mut hello.version,
            Some("mode") => &mut hello.mode,
            _ => return,
        };
        *field = text(value).unwrap_or_default().to_owned();
    };
    match value {
        Value::Map(entries) => entries.iter().for_each(|(name, value)| take(name, value)),
        Value::Array(flat) => flat.chunks_exact(2).for_each(|pair| take(&pair[0], &pair[1])),
        _ => return Err(UnexpectedReply("one of HELLO")),
    }
    Ok(hello)
}

/// A field of the reply of `INFO`.
pub(crate) fn info_field<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    text(value)?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn hello_is_read_from_both_protocols() {
        let parts = [bulk("server"), bulk("redis"), bulk("version"), bulk("7.0.15")];
        let flat = Value::Array([&parts[..], &[bulk("modules"), Value::Array(vec![])]].concat());
        let read = hello(&flat).unwrap();
        assert_eq!((read.server.as_str(), read.version_numbers()), ("redis", Some((7, 0))));
        assert!(!read.speaks_resp3);
        let [server, redis, version, number] = parts;
        let map = Value::Map(vec![(server, redis), (version, number)]);
        assert_eq!(hello(&map), Ok(Hello { speaks_resp3: true, ..read }));
    }

    #[test]
    fn a_field_of_info_is_found_by_its_whole_name() {
        let info = bulk("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n");
        assert_eq!(info_field(&info, "maxmemory"), Some("0"));
        assert_eq!(info_field(&info, "maxmemory_policy"), Some("noeviction"));
        assert_eq!(info_field(&info, "max"), None);
    }

    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            Just(Value::Okay),
            any::<i64>().prop_map(Value::Int),
            (-3..3_i64).prop_map(Value::Int),
            any::<Vec<u8>>().prop_map(Value::BulkString),
            "[0-9.:a-z]{0,9}".prop_map(Value::SimpleString),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_reply_makes_reading_panic(value in any_value()) {
            drop(time(&value));
            drop(hello(&value).map(|hello| hello.version_numbers()));
            info_field(&value, "maxmemory");
        }
    }
}
