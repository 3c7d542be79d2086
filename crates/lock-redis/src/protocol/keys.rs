//! How keys are spelled, and how the keys of one lock are kept in one cluster slot.
//!
//! | key | holds |
//! |---|---|
//! | `<key_prefix><lock key>` | the owner's token |
//! | `dl:q:{<tag>}:<lock's Redis key>` | the queue of those who wait |
//! | `dl:f:{<tag>}` | the last number that was issued in the lock's slot |
//!
//! A tag is the shortest hexadecimal number that hashes to the slot of the lock's key.
//! Hash tags such as `{name}:q` would not do: a name may contain braces of its own.

use std::fmt::Write as _;
use std::sync::LazyLock;

use lock_core::backend::LockKey;
use lock_core::{LockError, LockErrorKind, Result};

/// The slots of a Redis Cluster (Redis Cluster specification, "Key distribution model").
const SLOTS: u16 = 16_384;
/// What all keys but the locks begin with.
pub(crate) const RESERVED_PREFIX: &str = "dl:";

/// The Redis key of a lock.
///
/// # Errors
///
/// `InvalidName` if it would begin like the keys that this backend keeps beside the locks.
pub(crate) fn lock_key(prefix: &str, key: &LockKey) -> Result<String> {
    let mut spelled = String::with_capacity(prefix.len() + key.as_str().len());
    spelled.push_str(prefix);
    spelled.push_str(key.as_str());
    if spelled.starts_with(RESERVED_PREFIX) {
        return Err(LockError::new(
            LockErrorKind::InvalidName,
            "the Redis key of the lock begins with `dl:`, which is reserved for the queues and \
             counters beside the locks; choose another name or key prefix",
        )
        .not_applied());
    }
    Ok(spelled)
}

/// The Redis keys of one lock.
pub(crate) struct Keys {
    pub(crate) lock: String,
    pub(crate) fence: String,
    pub(crate) queue: String,
    pub(crate) slot: u16,
}

impl Keys {
    /// # Errors
    ///
    /// As [`lock_key`].
    pub(crate) fn new(prefix: &str, key: &LockKey) -> Result<Self> {
        let lock = lock_key(prefix, key)?;
        let slot = slot(&lock);
        Ok(Self { fence: fence_key(slot), queue: queue_key(slot, &lock), slot, lock })
    }
}

/// The key of the fencing counter of a slot.
fn fence_key(slot: u16) -> String {
    let mut key = String::with_capacity(12);
    key.push_str("dl:f:{");
    push_tag(&mut key, slot);
    key.push('}');
    key
}

/// The key of the queue for a lock's Redis key, which hashes to this slot.
fn queue_key(slot: u16, lock_key: &str) -> String {
    let mut key = String::with_capacity(13 + lock_key.len());
    key.push_str("dl:q:{");
    push_tag(&mut key, slot);
    key.push_str("}:");
    key.push_str(lock_key);
    key
}

/// The cluster slot of a key: of what stands between its first `{` and the next `}`, if that is
/// not empty, else of the whole.
pub(crate) fn slot(key: &str) -> u16 {
    let key = key.as_bytes();
    let tagged = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tagged.unwrap_or(key)) % SLOTS
}

fn push_tag(key: &mut String, slot: u16) {
    // Writing to a string cannot fail.
    write!(key, "{:x}", TAGS[usize::from(slot)]).ok();
}

/// For each slot the smallest number whose hexadecimal digits hash to it.
static TAGS: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut tags = vec![None; usize::from(SLOTS)];
    let mut missing = usize::from(SLOTS);
    let mut digits = String::with_capacity(8);
    for number in 0_u32.. {
        digits.clear();
        write!(digits, "{number:x}").ok();
        let tag = &mut tags[usize::from(crc16(digits.as_bytes()) % SLOTS)];
        if tag.is_none() {
            *tag = Some(number);
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    tags.into_iter().flatten().collect()
});

/// CRC-16/XMODEM, which Redis Cluster uses.
fn crc16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |crc: u16, &byte| (crc << 8) ^ CRC_OF_BYTE[usize::from((crc >> 8) as u8 ^ byte)])
}

static CRC_OF_BYTE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte: u16 = 0;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("foo"), 12_182);
        assert_eq!(slot("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
        assert_eq!(slot("foo{bar}{zap}"), slot("bar"));
        assert_eq!(slot("}{"), crc16(b"}{") % SLOTS);
    }

    #[test]
    fn every_slot_has_a_tag_of_at_most_five_digits() {
        assert_eq!(TAGS.len(), usize::from(SLOTS));
        for slot_number in 0..SLOTS {
            let key = fence_key(slot_number);
            assert_eq!(slot(&key), slot_number, "{key}");
            assert!(key.len() <= "dl:f:{12345}".len(), "{key}");
        }
    }

    #[test]
    fn a_key_that_would_collide_with_a_queue_or_a_counter_is_refused() {
        for (prefix, name) in [("", "dl:x"), ("dl:", "x"), ("d", "l:f:{0}")] {
            let key = LockKey::new("", name).unwrap();
            let error = lock_key(prefix, &key).unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidName);
            assert!(error.is_not_applied());
        }
    }

    proptest! {
        #[test]
        fn the_queue_and_the_counter_are_in_the_slot_of_their_lock(name in "[ -~\u{e4}\u{20ac}{}]{1,40}") {
            let key = LockKey::new("", name).unwrap();
            let keys = Keys::new("lock:", &key).unwrap();
            let home = slot(&keys.lock);
            prop_assert_eq!(slot(&keys.queue), home);
            prop_assert_eq!(slot(&keys.fence), home);
        }
    }
}
