//! Owner tokens, which say who owns a lock, and tickets, which are places in a store's queue.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::holder::HolderId;

/// Who owns a lock in the store: 128 bits, fresh for every store attempt, never reused.
///
/// Release and renewal compare it atomically, so an attempt whose answer was lost can be undone
/// without hurting anybody.
/// [`Display`](fmt::Display) gives the 32 lower-case hex digits that go over the wire;
/// [`Debug`] is shortened.
///
/// The first half names the [process](InstanceId), and the second half is the time at which the
/// attempt began, so a store that keeps nothing but the token can tell who holds a lock and since
/// when.
///
/// # Why no two are equal
///
/// *Within a process* the second half rises with every token: it is the time in nanoseconds (the
/// upper 44 bits are the milliseconds of Unix time, the lower 20 bits the rest), or one more than
/// that of the token before where the clock shows no later time.
/// *Between processes* the first half differs: it is 64 random bits, so among a million processes
/// that run at the same time two have the same one with a probability of 3 in 100 million.
/// Processes that share it all the same, such as the copies of a virtual machine that was saved
/// while it ran, or a child that was forked without `exec`, have equal tokens only if they ask for
/// a lock in the same nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerToken([u8; 16]);

/// 64 random bits that name a process for as long as it runs; the first half of its
/// [owner tokens](OwnerToken).
///
/// [`Display`](fmt::Display) gives 16 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

impl InstanceId {
    /// That of this process.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](LockErrorKind::Unavailable) if the system's random source fails. The next
    /// call tries again.
    pub fn current() -> Result<Self> {
        static CURRENT: OnceLock<InstanceId> = OnceLock::new();
        static DRAWING: Mutex<()> = Mutex::new(());
        if let Some(current) = CURRENT.get() {
            return Ok(*current);
        }
        let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = Self(getrandom::u64().map_err(no_randomness)?);
        Ok(*CURRENT.get_or_init(|| drawn))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How many of the attempt's 64 bits are the nanoseconds of a millisecond.
const NANOS_BITS: u32 = 20;

impl OwnerToken {
    /// The token of an attempt that begins now.
    ///
    /// # Errors
    ///
    /// As [`InstanceId::current`].
    pub fn fresh() -> Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let instance = InstanceId::current()?;
        let attempt = after(&LAST, attempt_at(SystemTime::now()));
        Ok(Self::from_halves(instance, attempt))
    }

    /// 128 random bits, which name no process: for what must not be guessed, and for tests.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](LockErrorKind::Unavailable) if the system's random source fails.
    pub fn random() -> Result<Self> {
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(no_randomness)?;
        Ok(Self(token))
    }

    fn from_halves(instance: InstanceId, attempt: u64) -> Self {
        Self((u128::from(instance.0) << 64 | u128::from(attempt)).to_be_bytes())
    }

    /// The process whose attempt it is of.
    #[must_use]
    pub const fn instance(&self) -> InstanceId {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        InstanceId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// When its attempt began, by the clock of its process, in milliseconds.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        let millis = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> NANOS_BITS;
        UNIX_EPOCH + Duration::from_millis(millis)
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

impl From<OwnerToken> for HolderId {
    fn from(token: OwnerToken) -> Self {
        Self::of_token(token.0)
    }
}

impl HolderId {
    /// The token that owns the lock; `None` for another program's value. For backends.
    #[must_use]
    pub const fn token(&self) -> Option<OwnerToken> {
        match self.token_bytes() {
            Some(token) => Some(OwnerToken(token)),
            None => None,
        }
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
        // The first digits are the same for all of a process.
        write!(f, "OwnerToken(…{})", std::str::from_utf8(&hex[26..]).unwrap_or_default())
    }
}

/// The attempt's half of a token, for this time.
fn attempt_at(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    millis << NANOS_BITS | u64::from(since.subsec_nanos() % 1_000_000)
}

/// This number, or the one after the last if that is larger.
fn after(last: &AtomicU64, number: u64) -> u64 {
    let next = |last: u64| Some(number.max(last.wrapping_add(1)));
    let taken = last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    number.max(taken.unwrap_or_else(|last| last).wrapping_add(1))
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
        let draw = || (0..100_000).map(|_| OwnerToken::fresh().unwrap()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let all: HashSet<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.len(), 400_000);
    }

    #[test]
    fn tokens_do_not_repeat_while_the_clock_stands_still_or_is_set_back() {
        let last = AtomicU64::new(0);
        let at = |millis: u64| attempt_at(UNIX_EPOCH + Duration::from_millis(millis));
        let drawn: Vec<u64> = [7, 7, 7, 5, 6, 9].map(|millis| after(&last, at(millis))).into();
        assert_eq!(drawn, [at(7), at(7) + 1, at(7) + 2, at(7) + 3, at(7) + 4, at(9)]);
    }

    #[test]
    fn a_token_names_its_process_and_when_its_attempt_began() {
        let before = SystemTime::now();
        let [one, other] = [(); 2].map(|()| OwnerToken::fresh().unwrap());
        assert_eq!(one.instance(), InstanceId::current().unwrap());
        assert_eq!(one.instance(), other.instance());
        assert_ne!(OwnerToken::random().unwrap().instance(), one.instance());
        for token in [one, other] {
            assert!(token.began() + Duration::from_millis(1) > before);
            assert!(token.began() <= SystemTime::now() + Duration::from_millis(1));
        }
        let instance = InstanceId(0x0123_4567_89ab_cdef);
        let token = OwnerToken::from_halves(
            instance,
            attempt_at(UNIX_EPOCH + Duration::new(3, 999_999_999)),
        );
        // 3,999 ms, then 999,999 ns.
        assert_eq!(token.to_string(), format!("0123456789abcdef{:011x}{:05x}", 3_999, 999_999));
        assert_eq!(token.instance().to_string(), "0123456789abcdef");
        assert_eq!(token.began(), UNIX_EPOCH + Duration::from_millis(3_999));
    }

    #[test]
    fn the_wire_form_is_32_lower_case_hex_digits_and_debug_hides_most_of_it() {
        let token = OwnerToken::from_bytes([0xAB; 16]);
        assert_eq!(token.to_string(), "ab".repeat(16));
        assert_eq!(OwnerToken::from_hex(&token.to_string()), Some(token));
        for wrong in ["", "ab", &"AB".repeat(16), &"xy".repeat(16), &"ab".repeat(17)] {
            assert_eq!(OwnerToken::from_hex(wrong), None);
        }
        assert_eq!(format!("{token:?}"), "OwnerToken(…ababab)");
    }
}
