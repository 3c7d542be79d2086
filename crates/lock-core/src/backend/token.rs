//! Owner tokens, which say who owns a lock, and tickets, which are places in a store's queue.

use std::cell::RefCell;
use std::fmt;

use crate::time::instant::Instant;
use crate::time::system;
use crate::types::error::{LockError, LockErrorKind, Result};

/// Who owns a lock in the store: 128 random bits, fresh for every store attempt, never reused.
///
/// Release and renewal compare it atomically, so an attempt whose answer was lost can be undone
/// without hurting anybody.
/// [`Display`](fmt::Display) gives the 32 lower-case hex digits that go over the wire;
/// [`Debug`] is shortened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerToken([u8; 16]);

/// Random bytes are fetched from the operating system for this many tokens at a time.
const TOKENS_PER_FETCH: usize = 64;

struct Pool {
    bytes: [u8; 16 * TOKENS_PER_FETCH],
    next: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool { bytes: [0; 16 * TOKENS_PER_FETCH], next: TOKENS_PER_FETCH })
    };
}

impl OwnerToken {
    /// Draws a token from the operating system's random source.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](LockErrorKind::Unavailable) if that source fails.
    pub fn random() -> Result<Self> {
        Self::random_at(system::now())
    }

    /// As [`random`](Self::random), for those who have just read a clock.
    pub(crate) fn random_at(now: Instant) -> Result<Self> {
        let fetch = |pool: &mut Pool| -> Result<Self> {
            if pool.next == TOKENS_PER_FETCH {
                getrandom::fill(&mut pool.bytes).map_err(no_randomness)?;
                pool.next = 0;
            }
            let mut token = [0; 16];
            token.copy_from_slice(&pool.bytes[pool.next * 16..][..16]);
            pool.next += 1;
            Ok(Self(token).at(now))
        };
        // A thread that is just ending has no pool any more; it asks the system directly.
        POOL.try_with(|pool| fetch(&mut pool.borrow_mut())).unwrap_or_else(|_| {
            let mut token = [0; 16];
            getrandom::fill(&mut token).map_err(no_randomness)?;
            Ok(Self(token))
        })
    }

    /// Mixes the time in: a forked child inherits its parent's pool, but not its instants. The bits
    /// stay as random as they were.
    fn at(mut self, now: Instant) -> Self {
        for (byte, time) in self.0.iter_mut().zip(now.as_nanos().to_ne_bytes()) {
            *byte ^= time;
        }
        self
    }

    /// The token with these 32 lower-case hex digits.
    pub(crate) fn from_hex(hex: &str) -> Option<Self> {
        let mut token = [0; 16];
        let digits: &[u8; 32] = hex.as_bytes().try_into().ok()?;
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        for (byte, pair) in token.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Self(token))
    }

    /// A token with these bytes, for tests and models.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The 32 lower-case hex digits, without an allocation.
    #[must_use]
    pub fn to_hex(&self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        hex
    }
}

fn no_randomness(error: getrandom::Error) -> LockError {
    LockError::new(LockErrorKind::Unavailable, "the system's random source failed")
        .not_applied()
        .with_source(error)
}

impl fmt::Display for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).unwrap_or_default())
    }
}

impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.to_hex();
        write!(f, "OwnerToken({}…)", std::str::from_utf8(&hex[..6]).unwrap_or_default())
    }
}

/// A waiter's place in a store's line: a number that the store issued, smaller is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// A ticket with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_do_not_repeat_within_and_across_threads() {
        let draw = || (0..1_000).map(|_| OwnerToken::random().unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.len(), 4_000);
    }

    #[test]
    fn the_wire_form_is_32_lower_case_hex_digits_and_debug_hides_most_of_it() {
        let token = OwnerToken::from_bytes([0xAB; 16]);
        assert_eq!(token.to_string(), "ab".repeat(16));
        assert_eq!(OwnerToken::from_hex(&token.to_string()), Some(token));
        for wrong in ["", "ab", &"AB".repeat(16), &"xy".repeat(16), &"ab".repeat(17)] {
            assert_eq!(OwnerToken::from_hex(wrong), None);
        }
        assert_eq!(format!("{token:?}"), "OwnerToken(ababab…)");
    }
}
