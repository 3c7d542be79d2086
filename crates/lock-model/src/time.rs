//! Time in the models: ticks, and the product's instants and durations for them.

use std::time::Duration;

use crate::product::Instant;

/// Whole seconds; what is shorter, such as drift, rounds into the tick that it falls into.
pub type Tick = u8;

/// The instant at which a tick begins.
#[must_use]
pub fn instant(tick: Tick) -> Instant {
    Instant::from_nanos(0) + ticks(tick)
}

/// The tick in which an instant lies.
#[must_use]
pub fn tick_of(instant: Instant) -> Tick {
    Tick::try_from(instant.as_nanos() / 1_000_000_000).unwrap_or(Tick::MAX)
}

/// A number of ticks as a duration.
#[must_use]
pub fn ticks(ticks: Tick) -> Duration {
    Duration::from_secs(u64::from(ticks))
}

/// The first tick that does not begin before an instant.
#[must_use]
pub fn first_tick(at: Instant) -> Tick {
    let tick = tick_of(at);
    if instant(tick) < at { tick + 1 } else { tick }
}
