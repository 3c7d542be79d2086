//! How events read in a trace.

use std::fmt;

use crate::queue::world::{Event, Step};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(now) => write!(f, "-- tick {now}"),
            Self::Wipe => write!(f, "server: forgets everything"),
            Self::Evict => write!(f, "server: loses its counter"),
            Self::FailOver => {
                write!(f, "a replica takes over, which got none of the newest numbers")
            }
            Self::Delete => write!(f, "somebody deletes the lock"),
            Self::Foreign => write!(f, "another library's client takes the lock"),
            Self::ForeignRelease => write!(f, "another library's client gives the lock back"),
            Self::Of(client, step) => write!(f, "client {client}: {step}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "begins a wait and sends its first step"),
            Self::AskAgain => write!(f, "asks again with the same token"),
            Self::GiveUp => write!(f, "the caller gives up"),
            Self::Release => write!(f, "the guard is released"),
            Self::Lose => write!(f, "the guard's time is over"),
            Self::Renew => write!(f, "sends a renewal"),
            Self::Crash => write!(f, "vanishes"),
            Self::Freeze => write!(f, "stands still"),
            Self::Thaw => write!(f, "goes on"),
            Self::Drop => write!(f, "the server counts its connection no more"),
            Self::Reconnect => write!(f, "learns that its connection is gone, and subscribes anew"),
            Self::Replace => write!(f, "replaces its connection, which the server does not notice"),
            Self::Notice => write!(f, "the server notices the end of its old connection"),
            Self::Message(step) => write!(f, "{step}"),
        }
    }
}
