//! Fencing tokens, which protect a resource from holders whose lease is over.

use std::fmt;

use crate::types::error::{LockError, LockErrorKind, Result};

/// A number that comes with a grant, and is larger than those of all earlier grants of the same
/// name.
///
/// Pass it to the resource that the lock protects, and let the resource refuse a token that is
/// smaller than one it has seen. Then a holder that was paused for longer than its lease can do no
/// harm (Kleppmann, "How to do distributed locking", 2016). Tokens of different names cannot be
/// compared.
///
/// It is at most `i64::MAX`, so it fits a SQL `bigint`. It can be larger than 2^53, up to which a
/// JavaScript number is exact.
///
/// ```
/// # use lock_core as distlock;
/// use distlock::FencingToken;
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
    /// How many of the low bits of a token count the hand-overs inside a process.
    pub const LOCAL_BITS: u32 = 10;

    /// A token with this value; `None` above `i64::MAX`.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value > i64::MAX as u64 { None } else { Some(Self(value.cast_signed())) }
    }

    /// The first of the 1,024 tokens that belong to a grant of the store with this number; `None`
    /// if the number needs more than 53 bits.
    ///
    /// For backends: tokens that are made this way leave room for those of the hand-overs.
    #[must_use]
    pub const fn from_grant_number(number: u64) -> Option<Self> {
        if number > (i64::MAX as u64) >> Self::LOCAL_BITS {
            return None;
        }
        Self::new(number << Self::LOCAL_BITS)
    }

    /// The token of the next task to which the lease is handed over; a local queue hands a grant
    /// over less often than there is room for.
    pub(crate) const fn next_local(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The token of whoever adopts the lease. The last one of a grant is kept: the next number may
    /// belong to another grant.
    pub(crate) const fn next_adopted(self) -> Self {
        let room = (1 << Self::LOCAL_BITS) - 1;
        if self.0 & room == room { self } else { self.next_local() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_number_leaves_room_for_local_grants_and_fits_i64() {
        let token = FencingToken::from_grant_number(3).unwrap();
        assert_eq!(token.get(), 3 << 10);
        assert!(FencingToken::from_grant_number((1 << 53) - 1).is_some());
        assert!(FencingToken::from_grant_number(1 << 53).is_none());
    }
}
