//! How a run is made: on what, how long, and how often.

use std::time::Duration;

pub(crate) struct Settings {
    /// Short rounds, for a look.
    pub(crate) quick: bool,
    /// Also with the CPUs kept awake.
    pub(crate) awake: bool,
    /// Worker threads of the runtime; 0 is the current-thread runtime.
    pub(crate) threads: usize,
    /// The kind of the server.
    pub(crate) server: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quick: false, awake: false, threads: 2, server: "redis-7.0".to_owned() }
    }
}

impl Settings {
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    /// How long one contender works in one round.
    pub(crate) fn round(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 600 })
    }

    /// Rounds of the cells in which many want one lock.
    pub(crate) fn contests(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How long one of them takes: long enough for somebody to starve.
    pub(crate) fn contest(&self) -> Duration {
        Duration::from_millis(if self.quick { 500 } else { 2_000 })
    }

    /// The same where there are many cells.
    pub(crate) fn short_contest(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 1_000 })
    }

    /// How long a fleet of several libraries works, and how long one that is made of one alone.
    pub(crate) fn fleet(&self) -> (Duration, Duration) {
        let (mixed, alone) = if self.quick { (10, 4) } else { (60, 20) };
        (Duration::from_secs(mixed), Duration::from_secs(alone))
    }

    /// Rounds of what takes seconds by its nature.
    pub(crate) fn rare_rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How many locks are kept alive, and their ttl in ms.
    pub(crate) fn kept_alive(&self) -> (usize, u64) {
        if self.quick { (20_000, 3_000) } else { (100_000, 6_000) }
    }

    pub(crate) fn runtime_text(&self) -> String {
        match self.threads {
            0 => "current-thread runtime".to_owned(),
            threads => format!("{threads} worker threads"),
        }
    }
}
