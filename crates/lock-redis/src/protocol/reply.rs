//! Reads the server's replies; whatever they hold, nothing panics.

use std::time::Duration;

use lock_core::backend::{OwnerToken, ReleaseReply};
use redis::Value;

use crate::wire::failure::UnexpectedReply;

/// The rank of whoever was told only that others are before it: one of those that do not watch the
/// holder.
const BEHIND_OTHERS: u64 = 3;

/// The reply of the acquire script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    Granted { number: u64, lease: Option<Duration>, server_micros: u64 },
    Busy { left: Option<Duration>, server_micros: u64 },
    Queued { place: Place, server_micros: u64 },
    TooLate { server_micros: u64 },
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ticket: u64,
    pub(crate) rank: u64,
    pub(crate) counter: u64,
    pub(crate) holder: Holder,
    /// The holder is of another kind, and tells nobody of its release.
    pub(crate) is_foreign: bool,
}

/// What is known of the lease of whoever holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody holds it.
    Gone,
    /// Its lease has this much left, if it has an end.
    Has(Option<Duration>),
}

/// The reply of the release script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Released {
    pub(crate) reply: ReleaseReply,
    /// The queue still has to be looked at: send the release again.
    pub(crate) again: bool,
}

/// What is pushed over the channel of those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// The token was granted the lock, under this number, for this long; `next` is the next then.
    Granted { token: OwnerToken, number: u64, window: Duration, next: Option<OwnerToken> },
    /// The token is the next, and the holder's lease has this much left.
    Hint { token: OwnerToken, left: Duration },
}

pub(crate) fn acquired(value: &Value) -> Result<Acquired, UnexpectedReply> {
    let unexpected = || UnexpectedReply("one of the acquire script");
    let number = |value: i64| u64::try_from(value).map_err(|_| unexpected());
    let integers = match value {
        // The usual grant is one number, to save the server the work of a table.
        Value::Int(now) => {
            let now = number(*now)?;
            return Ok(Acquired::Granted { number: now, lease: None, server_micros: now });
        }
        Value::Array(parts) if parts.len() <= 6 => parts,
        _ => return Err(unexpected()),
    };
    let mut parts = [0_i64; 6];
    for (part, integer) in parts.iter_mut().zip(integers) {
        let Value::Int(integer) = integer else { return Err(unexpected()) };
        *part = *integer;
    }
    match (parts, integers.len()) {
        ([1, grant, lease, now, ..], 4) => Ok(Acquired::Granted {
            number: number(grant)?,
            lease: Some(Duration::from_millis(number(lease)?)),
            server_micros: number(now)?,
        }),
        ([0, left, now, ..], 3) => {
            Ok(Acquired::Busy { left: remaining(left), server_micros: number(now)? })
        }
        ([kind @ (2 | 3), ticket, rank, left, counter, now], 6) => {
            let holder = if left == -2 { Holder::Gone } else { Holder::Has(remaining(left)) };
            let place = Place {
                ticket: number(ticket)?,
                rank: number(rank)?,
                counter: number(counter)?,
                holder,
                is_foreign: kind == 3,
            };
            Ok(Acquired::Queued { place, server_micros: number(now)? })
        }
        ([4, ticket, now, ..], 3) => {
            let ticket = number(ticket)?;
            // Others are before it, who watch the holder.
            let holder = Holder::Has(None);
            let place =
                Place { ticket, rank: BEHIND_OTHERS, counter: ticket, holder, is_foreign: false };
            Ok(Acquired::Queued { place, server_micros: number(now)? })
        }
        ([-1, now, ..], 2) => Ok(Acquired::TooLate { server_micros: number(now)? }),
        _ => Err(unexpected()),
    }
}

pub(crate) fn released(value: &Value) -> Result<Released, UnexpectedReply> {
    let (value, again) = match value {
        Value::Array(parts) if parts.len() == 1 => (&parts[0], true),
        value => (value, false),
    };
    let reply = match value {
        Value::Int(1) => ReleaseReply::Released,
        Value::Int(0) => ReleaseReply::NotHeld,
        Value::Int(-1) => ReleaseReply::HeldByOther,
        _ => return Err(UnexpectedReply("one of the release script")),
    };
    Ok(Released { reply, again })
}

/// A message of the channel; `None` for what later versions may say.
pub(crate) fn push(data: &[Value]) -> Option<Push> {
    let [_channel, Value::BulkString(message)] = data else { return None };
    let mut words = std::str::from_utf8(message).ok()?.split(' ');
    let (kind, first) = (words.next()?, token(words.next()?)?);
    let mut number = || words.next()?.parse::<u64>().ok();
    match kind {
        "g" => {
            let (number, window) = (number()?, Duration::from_millis(number()?));
            let next = words.next().and_then(token);
            Some(Push::Granted { token: first, number, window, next })
        }
        "h" => Some(Push::Hint { token: first, left: Duration::from_millis(number()?) }),
        _ => None,
    }
}

/// A text, as `GET` and `ZRANGE` give it.
pub(crate) fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(text) => Some(text),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The reply of `SCAN`: where it goes on, which is 0 at the end, and the keys.
pub(crate) fn scanned(value: &Value) -> Result<(u64, &[Value]), UnexpectedReply> {
    let read = || {
        let Value::Array(parts) = value else { return None };
        let [cursor, Value::Array(keys)] = parts.as_slice() else { return None };
        let cursor = std::str::from_utf8(text(cursor)?).ok()?.parse().ok()?;
        Some((cursor, keys.as_slice()))
    };
    read().ok_or(UnexpectedReply("one of SCAN"))
}

/// The reply of `ZCARD` or `STRLEN`.
pub(crate) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Int(count) => u64::try_from(*count).ok(),
        _ => None,
    }
}

/// What became of one lease in a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewed {
    Confirmed,
    NotHeld,
    HeldByOther,
    /// It was to be set to an exact length, and the request came too late for that.
    TooLate {
        server_micros: u64,
    },
}

/// The replies for `count` leases.
pub(crate) fn renewed(value: &Value, count: usize) -> Result<Vec<Renewed>, UnexpectedReply> {
    let unexpected = || UnexpectedReply("one of the renew script");
    let Value::Array(replies) = value else { return Err(unexpected()) };
    if replies.len() != count {
        return Err(unexpected());
    }
    let read = |reply: &Value| match reply {
        Value::Int(1) => Ok(Renewed::Confirmed),
        Value::Int(0) => Ok(Renewed::NotHeld),
        Value::Int(-1) => Ok(Renewed::HeldByOther),
        Value::Int(late) => match u64::try_from(*late) {
            Ok(server_micros) => Ok(Renewed::TooLate { server_micros }),
            Err(_) => Err(unexpected()),
        },
        _ => Err(unexpected()),
    };
    replies.iter().map(read).collect()
}

/// The reply of `PTTL`: whether the key is there, and how long it stays, if it has an end.
pub(crate) fn time_to_live(value: &Value) -> Result<Option<Option<Duration>>, UnexpectedReply> {
    match value {
        Value::Int(-2) => Ok(None),
        Value::Int(left @ -1..) => Ok(Some(remaining(*left))),
        _ => Err(UnexpectedReply("one of PTTL")),
    }
}

/// The reply of `SET … NX`: whether it was set.
pub(crate) fn was_set(value: &Value) -> Result<bool, UnexpectedReply> {
    match value {
        Value::Okay => Ok(true),
        Value::Nil => Ok(false),
        _ => Err(UnexpectedReply("one of SET NX")),
    }
}

/// A token in its 32 hexadecimal digits.
fn token(digits: &str) -> Option<OwnerToken> {
    let is_one = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = is_one.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
    Some(OwnerToken::from_bytes(number.to_be_bytes()))
}

/// What `PTTL` says of a key that is there; `None` if it has no end.
fn remaining(pttl: i64) -> Option<Duration> {
    // It can be 0 while the key still shows; asking again at once would be a busy loop.
    u64::try_from(pttl).ok().map(|millis| Duration::from_millis(millis.max(1)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::hello::tests::any_value;

    fn ints(parts: &[i64]) -> Value {
        Value::Array(parts.iter().map(|&part| Value::Int(part)).collect())
    }

    #[test]
    fn the_usual_grant_is_one_number_and_others_say_more() {
        let plain = acquired(&Value::Int(7));
        assert_eq!(plain, Ok(Acquired::Granted { number: 7, lease: None, server_micros: 7 }));
        let lease = Some(Duration::from_millis(500));
        let again = acquired(&ints(&[1, 9, 500, 8]));
        assert_eq!(again, Ok(Acquired::Granted { number: 9, lease, server_micros: 8 }));
        assert_eq!(acquired(&ints(&[-1, 8])), Ok(Acquired::TooLate { server_micros: 8 }));
    }

    #[test]
    fn a_holder_without_expiry_gives_no_time_and_one_about_to_expire_gives_a_millisecond() {
        let busy = |left| acquired(&ints(&[0, left, 8]));
        assert_eq!(busy(-1), Ok(Acquired::Busy { left: None, server_micros: 8 }));
        let left = Some(Duration::from_millis(1));
        assert_eq!(busy(0), Ok(Acquired::Busy { left, server_micros: 8 }));
    }

    proptest! {
        #[test]
        fn no_reply_makes_reading_panic(value in any_value(), count in 0..6_usize) {
            drop(acquired(&value));
            drop(released(&value));
            drop(renewed(&value, count));
            drop(time_to_live(&value));
            drop(was_set(&value));
            drop(scanned(&value));
        }
    }
}
