//! Why leases end.

use std::fmt;

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// Its time ran out.
    Expired,
    /// The store says that somebody else owns the lock.
    HeldByOther,
    /// The store says that nobody owns the lock: it was deleted, or the store lost its data.
    Removed,
    /// It was held for as long as `max_hold` allows.
    MaxHold,
    /// The service was shut down.
    ShutDown,
    /// It was released by its guard: not a loss, but the end.
    Released,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "its time ran out",
            Self::HeldByOther => "somebody else owns the lock now",
            Self::Removed => "the store does not know the lock any more",
            Self::MaxHold => "it was held for as long as max_hold allows",
            Self::ShutDown => "the service was shut down",
            Self::Released => "it was released",
        })
    }
}

const ALL: [LossReason; 6] = [
    LossReason::Expired,
    LossReason::HeldByOther,
    LossReason::Removed,
    LossReason::MaxHold,
    LossReason::ShutDown,
    LossReason::Released,
];

/// For a cell that many threads read: zero stands for "not ended".
impl LossReason {
    pub(crate) fn code(self) -> u8 {
        let at = ALL.iter().position(|&known| known == self).unwrap_or(0);
        u8::try_from(at + 1).unwrap_or(1)
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        usize::from(code).checked_sub(1).and_then(|at| ALL.get(at).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_its_code() {
        assert_eq!(LossReason::from_code(0), None);
        for reason in ALL {
            assert_eq!(LossReason::from_code(reason.code()), Some(reason));
        }
    }
}
