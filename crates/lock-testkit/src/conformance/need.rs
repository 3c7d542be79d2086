//! What a backend may be unable to do.

use std::fmt;

use lock_core::backend::Capabilities;

/// Something that a backend may be unable to do, and that some claims need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// [`Capabilities::renew`].
    Renew,
    /// [`Capabilities::fencing`].
    Fencing,
    /// [`Capabilities::queueing`].
    Queueing,
    /// [`Capabilities::inspect`].
    Inspect,
    /// [`Capabilities::list`].
    List,
    /// [`Capabilities::min_hold`].
    MinHold,
    /// [`Capabilities::repeatable`].
    Repeatable,
    /// [`Capabilities::late_after`] is not zero: requests can be late.
    Lateness,
}

impl Need {
    pub(super) fn is_met(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Renew => capabilities.renew,
            Self::Fencing => capabilities.fencing,
            Self::Queueing => capabilities.queueing,
            Self::Inspect => capabilities.inspect,
            Self::List => capabilities.list,
            Self::MinHold => capabilities.min_hold,
            Self::Repeatable => capabilities.repeatable,
            Self::Lateness => !capabilities.late_after.is_zero(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Renew => "renew",
            Self::Fencing => "fencing",
            Self::Queueing => "queueing",
            Self::Inspect => "inspect",
            Self::List => "list",
            Self::MinHold => "min_hold",
            Self::Repeatable => "repeatable",
            Self::Lateness => "lateness",
        })
    }
}
