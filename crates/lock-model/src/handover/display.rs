//! How events read in a trace.

use std::fmt;

use crate::handover::world::{Act, Event, Step};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(now) => write!(f, "-- tick {now}"),
            Self::Wipe => write!(f, "server: forgets everything"),
            Self::Of(process, step) => write!(f, "process {process}: {step}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task, act) => write!(f, "task {task} {act}"),
            Self::Crash => write!(f, "vanishes"),
            Self::Notice => write!(f, "the server notices the end of its connection"),
            Self::Message(step) => write!(f, "{step}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enter => "wants the lock",
            Self::AskAgain => "asks again with the same token",
            Self::GiveUp => "gives up",
            Self::TimeUp => "is told to lead just when its time is up",
            Self::TakeTurn => "takes what it was told",
            Self::Look => "looks after those before it",
            Self::Release => "drops its guard",
            Self::Lose => "has lost its lease",
            Self::Renew => "has its lease renewed",
            Self::Freeze => "is not polled any more",
            Self::Thaw => "is polled again",
        })
    }
}
