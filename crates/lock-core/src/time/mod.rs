//! Time as leases need it: instants, reading the clock, and timers that need no runtime.

mod alarm;
pub(crate) mod clock;
pub(crate) mod timer;
