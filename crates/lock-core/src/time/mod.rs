//! Time as leases need it: instants, reading the clock, pauses, and timers that need no runtime.

mod alarm;
pub(crate) mod backoff;
pub(crate) mod clock;
pub(crate) mod instant;
pub(crate) mod system;
pub(crate) mod timer;
