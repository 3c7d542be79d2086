//! What the core counts and measures. The names, units and labels of the metrics are part of the
//! public contract, and the guide lists them.
//!
//! Without the feature `metrics`, [`Metrics`] is empty and its methods do nothing.

#[cfg(not(feature = "metrics"))]
mod nothing;
#[cfg(feature = "metrics")]
mod recorded;
#[cfg(feature = "metrics")]
mod series;

use crate::types::loss::LossReason;

#[cfg(not(feature = "metrics"))]
pub(crate) use nothing::{LabelOf, Metrics};
#[cfg(feature = "metrics")]
pub(crate) use recorded::{LabelOf, Metrics};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Acquired,
    Adopted,
    Refused,
    TimedOut,
    Failed,
    GivenUp,
    Contended,
    LostExpired,
    LostHeldByOther,
    LostRemoved,
    LostMaxHold,
    LostShutDown,
    Renewed,
    RenewalUnanswered,
    RenewalRefused,
    RenewalNotHeld,
    RenewedLate,
    ReleaseUnanswered,
    ReleaseRefused,
    StoreFailed,
}

/// What goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Held,
    Waiting,
    StoreUp,
}

/// What is measured again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    WaitAcquired,
    WaitTimedOut,
    Hold,
    UsedFixed,
    UsedKept,
}

impl Count {
    /// The loss of a lease; `None` if it is none.
    pub(crate) const fn lost(reason: LossReason) -> Option<Self> {
        Some(match reason {
            LossReason::Expired => Self::LostExpired,
            LossReason::HeldByOther => Self::LostHeldByOther,
            LossReason::Removed => Self::LostRemoved,
            LossReason::MaxHold => Self::LostMaxHold,
            LossReason::ShutDown => Self::LostShutDown,
            LossReason::PassedOn => return None,
        })
    }
}
