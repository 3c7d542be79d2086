//! The counter of fencing numbers and tickets, and the server's clock that it is lifted to.

use crate::message::Number;
use crate::time::Tick;

/// Numbers that may be issued within a tick; the server's clock is above them.
const NUMBERS_A_TICK: Number = 64;
/// No clock shows less: a number below it shows that the counter was lost.
pub const LEAST_PLAUSIBLE: Number = NUMBERS_A_TICK;

/// The counter. Only the order of numbers matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counter {
    /// The last number, as far as the server still knows.
    stored: Number,
    /// The server's clock, which is above every number that was ever issued.
    clock: Number,
}

impl Default for Counter {
    fn default() -> Self {
        Self { stored: LEAST_PLAUSIBLE, clock: LEAST_PLAUSIBLE }
    }
}

impl Counter {
    /// A number that is above the stored one and above the clock.
    pub fn lift(&mut self) -> Number {
        self.clock = self.stored.max(self.clock) + 1;
        self.stored = self.clock;
        self.stored
    }

    /// The number after the stored one. The clock is faster than whoever counts.
    pub fn count(&mut self) -> Number {
        self.stored += 1;
        self.clock = self.clock.max(self.stored);
        self.stored
    }

    /// The number after the stored one, except where it was lost.
    pub fn count_or_lift(&mut self) -> Number {
        if self.stored < LEAST_PLAUSIBLE { self.lift() } else { self.count() }
    }

    /// What whoever is queued is told.
    #[must_use]
    pub fn at_least_the_clock(self) -> Number {
        self.stored.max(self.clock)
    }

    /// A tick begins. As long as nothing was lost, numbers that are not issued yet may as well be
    /// higher, so that fewer states differ.
    pub fn tick(&mut self, now: Tick) {
        let clock = self.clock.max(LEAST_PLAUSIBLE + Number::from(now) * NUMBERS_A_TICK);
        if !self.is_behind() {
            self.stored = clock;
        }
        self.clock = clock;
    }

    /// The server loses the counter.
    pub const fn lose(&mut self) {
        self.stored = 0;
    }

    /// A replica takes over that got none of the newest numbers.
    pub fn take_back(&mut self) {
        self.stored = self.stored.min(LEAST_PLAUSIBLE);
    }

    /// Whether a number was lost.
    #[must_use]
    pub const fn is_behind(self) -> bool {
        self.stored < self.clock
    }

    /// Whether a number was stored and is not lost.
    #[must_use]
    pub const fn has_stored(self, number: Number) -> bool {
        self.stored >= number
    }
}
