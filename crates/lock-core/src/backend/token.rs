//! Owner tokens, fencing tokens and tickets: three numbers that must not be mixed up.

use std::cell::RefCell;
use std::fmt;

use crate::time::clock::{Clock, Instant};
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
        Self::random_at(Clock::SYSTEM.now())
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

/// A number that rises with every grant of a name.
///
/// Hand it to the resource that the lock protects and let the resource refuse a token that is
/// smaller than one it has seen: then a holder that was paused past its lease can do no harm
/// (Kleppmann, "How to do distributed locking", 2016).
/// It is at most `i64::MAX`, so it fits a SQL `bigint`; it may exceed the 2^53 up to which a
/// JavaScript number is exact.
///
/// ```
/// use lock_core::FencingToken;
///
/// let token = FencingToken::new(7).unwrap();
/// assert_eq!(token.get(), 7);
/// assert_eq!(token.as_i64(), 7);
/// assert!(FencingToken::new(u64::MAX).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "u64", try_from = "u64"))]
pub struct FencingToken(i64);

impl FencingToken {
    /// How many low bits of a token count the grants inside a process.
    pub const LOCAL_BITS: u32 = 10;

    /// A token with this value; `None` above `i64::MAX`.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value > i64::MAX as u64 { None } else { Some(Self(value.cast_signed())) }
    }

    /// The first of the 1,024 tokens that belong to a store's grant number; `None` if the number
    /// needs more than 53 bits.
    ///
    /// A backend makes its tokens with this, so that the core has room for grants of its own.
    #[must_use]
    pub const fn from_grant_number(number: u64) -> Option<Self> {
        if number > (i64::MAX as u64) >> Self::LOCAL_BITS {
            return None;
        }
        Self::new(number << Self::LOCAL_BITS)
    }

    /// The token of the next grant inside the process; a line passes a grant on less often than
    /// there is room for.
    pub(crate) const fn next_local(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The token as an unsigned number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.cast_unsigned()
    }

    /// The token as a signed number, never negative.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<FencingToken> for u64 {
    fn from(token: FencingToken) -> Self {
        token.get()
    }
}

impl From<FencingToken> for i64 {
    fn from(token: FencingToken) -> Self {
        token.as_i64()
    }
}

impl TryFrom<u64> for FencingToken {
    type Error = LockError;

    fn try_from(value: u64) -> Result<Self> {
        Self::new(value).ok_or_else(|| {
            LockError::new(
                LockErrorKind::InvalidConfig,
                format!("fencing token {value} is above {}", i64::MAX),
            )
        })
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
        assert_eq!(format!("{token:?}"), "OwnerToken(ababab…)");
    }

    #[test]
    fn a_grant_number_leaves_room_for_local_grants_and_fits_i64() {
        let token = FencingToken::from_grant_number(3).unwrap();
        assert_eq!(token.get(), 3 << 10);
        assert!(FencingToken::from_grant_number((1 << 53) - 1).is_some());
        assert!(FencingToken::from_grant_number(1 << 53).is_none());
    }
}
