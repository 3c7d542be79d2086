//! How leases end.

use std::fmt;

/// Why a lease was lost. The `Display` text is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// Its time ran out: the work took longer than the lease, or renewals were not answered in
    /// time.
    Expired,
    /// The store says that somebody else owns the lock.
    HeldByOther,
    /// The store says that nobody owns the lock: it was deleted, or the store lost its data.
    Removed,
    /// It was held for as long as [`max_hold`](crate::Lock::max_hold) allows.
    MaxHold,
    /// The service was [shut down](crate::LockService::shutdown), and the grace period is over.
    ShutDown,
    /// Its guard was turned into a token by [`into_token`](crate::LockGuard::into_token): the
    /// process that adopts the token holds the lock.
    PassedOn,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Expired => "its ttl ran out",
            Self::HeldByOther => "somebody else owns the lock now",
            Self::Removed => "the store no longer has the lock",
            Self::MaxHold => "it was held for as long as max_hold allows",
            Self::ShutDown => "the service was shut down",
            Self::PassedOn => "its guard was turned into a token for another process to adopt",
        })
    }
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseEnd {
    /// Its guard released it.
    Released,
    /// It was lost.
    Lost(LossReason),
}

const REASONS: [LossReason; 6] = [
    LossReason::Expired,
    LossReason::HeldByOther,
    LossReason::Removed,
    LossReason::MaxHold,
    LossReason::ShutDown,
    LossReason::PassedOn,
];

impl LeaseEnd {
    /// A number that is not zero, for a cell that is read without a mutex.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Released => 1,
            Self::Lost(reason) => {
                let at = REASONS.iter().position(|&known| known == reason).unwrap_or(0);
                u8::try_from(at + 2).unwrap_or(u8::MAX)
            }
        }
    }

    /// The end with this number; zero stands for "not ended".
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => None,
            1 => Some(Self::Released),
            lost => REASONS.get(usize::from(lost) - 2).copied().map(Self::Lost),
        }
    }

    /// Why the lease was lost; `None` if it was released.
    #[must_use]
    pub const fn loss(self) -> Option<LossReason> {
        match self {
            Self::Released => None,
            Self::Lost(reason) => Some(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_survives_its_code() {
        assert_eq!(LeaseEnd::from_code(0), None);
        for end in REASONS.map(LeaseEnd::Lost).into_iter().chain([LeaseEnd::Released]) {
            assert_eq!(LeaseEnd::from_code(end.code()), Some(end));
        }
    }
}
