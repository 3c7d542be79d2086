//! How events read in a trace.

use std::fmt;

use crate::attempt::world::{Event, Step};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(now) => write!(f, "-- tick {now}"),
            Self::Wipe => write!(f, "server: forgets everything"),
            Self::Of(client, step) => write!(f, "client {client}: {step}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "begins an attempt and sends its first step"),
            Self::AskAgain => write!(f, "asks again with the same token"),
            Self::GiveUp => write!(f, "the caller gives up"),
            Self::Release => write!(f, "the guard is released"),
            Self::Lose => write!(f, "the guard's time is over"),
            Self::Renew(ttl) => write!(f, "sends a renewal to {ttl} ticks"),
            Self::Crash => write!(f, "vanishes"),
            Self::Message(step) => write!(f, "{step}"),
        }
    }
}
