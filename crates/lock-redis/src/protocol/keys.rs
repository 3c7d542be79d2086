//! How keys are spelled, and how the keys of one lock are kept in one cluster slot.
//!
//! | key | holds |
//! |---|---|
//! | `<key_prefix><lock key>` | the owner's token |
//! | `dl:q:{<tag>}:<lock's Redis key>` | the queue of those who wait |
//! | `dl:m:{<tag>}:<lock's Redis key>` | that somebody who asks again and again wants the lock |
//! | `dl:p:<instance>` | what a process says of itself; see [`process`](super::process) |
//! | `dl:f:{<tag>}` | the last number that was issued in the lock's slot |
//! | `dl:w:{<tag>}` | nothing: it is written before replicas are asked how far they are |
//!
//! A channel, `dl:c:{<tag>}:<32 random digits>`, is spelled like a key, because it belongs to a slot
//! as well.
//!
//! The tag hashes to the slot of the lock's key; see [`slots`](super::slots).

use std::fmt::Write as _;

use lock_core::LockErrorKind;
use lock_core::backend::LockKey;

use crate::protocol::slots::{slot, tag};
use crate::wire::failure::Failure;

/// What all keys but the locks begin with.
pub(crate) const RESERVED_PREFIX: &str = "dl:";

/// The Redis key of a lock.
///
/// # Errors
///
/// `InvalidName` if it would begin like the keys that this backend keeps beside the locks.
pub(crate) fn lock_key(prefix: &str, key: &LockKey) -> Result<String, Failure> {
    let mut spelled = String::with_capacity(prefix.len() + key.as_str().len());
    spelled.push_str(prefix);
    spelled.push_str(key.as_str());
    if spelled.starts_with(RESERVED_PREFIX) {
        return Err(Failure::new(
            LockErrorKind::InvalidName,
            "the Redis key of the lock begins with `dl:`, which is reserved for the queues and \
             counters beside the locks; choose another name or key prefix",
        )
        .not_applied());
    }
    Ok(spelled)
}

/// The Redis keys of one lock; those that are not always needed are made when they are.
pub(crate) struct Keys {
    pub(crate) lock: String,
    pub(crate) slot: u16,
}

impl Keys {
    /// # Errors
    ///
    /// As [`lock_key`].
    pub(crate) fn new(prefix: &str, key: &LockKey) -> Result<Self, Failure> {
        let lock = lock_key(prefix, key)?;
        Ok(Self { slot: slot(&lock), lock })
    }

    pub(crate) fn fence(&self) -> String {
        fence_key(self.slot)
    }

    /// A key in the slot of the lock that nobody uses.
    pub(crate) fn beside(&self) -> String {
        format!("dl:?:{{{:x}}}", tag(self.slot))
    }

    pub(crate) fn queue(&self) -> String {
        key_beside('q', self.slot, &self.lock)
    }

    pub(crate) fn mark(&self) -> String {
        key_beside('m', self.slot, &self.lock)
    }

    /// In the order in which the scripts take them: lock, fence, queue, mark.
    pub(crate) fn all(&self) -> [String; 4] {
        [self.lock.clone(), self.fence(), self.queue(), self.mark()]
    }
}

/// The channel in which a backend with these random digits is told what concerns the locks of a
/// slot.
pub(crate) fn channel(slot: u16, digits: &str) -> String {
    let mut channel = String::with_capacity(13 + digits.len());
    channel.push_str("dl:c:{");
    push_tag(&mut channel, slot);
    channel.push_str("}:");
    channel.push_str(digits);
    channel
}

/// The key of the fencing counter of a slot.
fn fence_key(slot: u16) -> String {
    key_of_slot('f', slot)
}

/// The key of a slot that is written before `WAIT`.
pub(crate) fn marker(slot: u16) -> String {
    key_of_slot('w', slot)
}

fn key_of_slot(kind: char, slot: u16) -> String {
    let mut key = String::with_capacity(12);
    key.push_str("dl:");
    key.push(kind);
    key.push_str(":{");
    push_tag(&mut key, slot);
    key.push('}');
    key
}

/// A key of this kind beside a lock's Redis key, which hashes to this slot.
fn key_beside(kind: char, slot: u16, lock_key: &str) -> String {
    let mut key = String::with_capacity(13 + lock_key.len());
    key.push_str("dl:");
    key.push(kind);
    key.push_str(":{");
    push_tag(&mut key, slot);
    key.push_str("}:");
    key.push_str(lock_key);
    key
}

fn push_tag(key: &mut String, slot: u16) {
    // Writing to a string cannot fail.
    write!(key, "{:x}", tag(slot)).ok();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::slot_set::SLOT_COUNT;

    #[test]
    fn every_slot_has_a_tag_of_at_most_five_digits() {
        for slot_number in 0..SLOT_COUNT {
            let key = fence_key(slot_number);
            assert_eq!(slot(&key), slot_number, "{key}");
            assert!(key.len() <= "dl:f:{12345}".len(), "{key}");
            assert_eq!(slot(&marker(slot_number)), slot_number);
            let channel = channel(slot_number, "00112233445566778899aabbccddeeff");
            assert_eq!(slot(&channel), slot_number, "{channel}");
        }
    }

    #[test]
    fn a_key_that_would_collide_with_a_queue_or_a_counter_is_refused() {
        for (prefix, name) in [("", "dl:x"), ("dl:", "x"), ("d", "l:f:{0}")] {
            let key = LockKey::new("", name).unwrap();
            let error = lock_key(prefix, &key).unwrap_err();
            assert_eq!(error.kind, LockErrorKind::InvalidName);
            assert!(error.not_applied);
        }
    }

    proptest! {
        #[test]
        fn the_queue_and_the_counter_are_in_the_slot_of_their_lock(name in "[ -~\u{e4}\u{20ac}{}]{1,40}") {
            let key = LockKey::new("", name).unwrap();
            let keys = Keys::new("lock:", &key).unwrap();
            let home = slot(&keys.lock);
            for key in keys.all().into_iter().chain([keys.beside()]) {
                prop_assert_eq!(slot(&key), home);
            }
        }
    }
}
