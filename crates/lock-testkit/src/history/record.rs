//! What is known about each attempt to get a lock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A lease that a worker was given.
///
/// All times are nanoseconds of the boot clock; see [`boot_clock_ns`](super::boot_clock_ns).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The process that held it; unique among the processes of a history.
    pub process: String,
    /// The worker of the process: a task or a thread.
    pub worker: u64,
    /// The name of the lock.
    pub name: String,
    /// The fencing token, where the backend fences.
    pub token: Option<u64>,
    /// When the worker asked.
    pub asked_at: u64,
    /// When the worker saw that it held the lock.
    pub granted_at: u64,
    /// The last local deadline that the worker knew.
    pub valid_until: u64,
    /// When the worker last used it and why it stopped; `None` if that was never recorded, as
    /// when the process was killed.
    pub end: Option<(u64, Ended)>,
}

/// Why a worker stopped using its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It was about to send the release.
    Released,
    /// It was told that the lease was lost.
    Lost,
    /// Its task ended without a word, by a panic or a dropped future.
    Dropped,
}

/// An attempt that brought no lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The process that asked.
    pub process: String,
    /// The worker that asked.
    pub worker: u64,
    /// The name of the lock.
    pub name: String,
    /// When the worker asked.
    pub asked_at: u64,
    /// When and what it was told; `None` if it never was.
    pub answer: Option<(u64, Told)>,
}

/// What a worker was told in place of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Somebody else holds the lock.
    Refused,
    /// The time that it was ready to wait is over.
    TimedOut,
    /// It gave up by itself, for instance by dropping the future.
    Cancelled,
    /// An error, in its words.
    Failed(String),
}

/// What the workers of one or more processes saw.
///
/// The fields are public so that a history can be cut to one name or one phase before a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The attempts that were served.
    pub leases: Vec<Lease>,
    /// The other attempts.
    pub attempts: Vec<Attempt>,
}

impl History {
    /// Adds what another process saw.
    pub fn merge(&mut self, other: Self) {
        self.leases.extend(other.leases);
        self.attempts.extend(other.attempts);
    }
}

impl Lease {
    /// The end of the interval in which the lease was valid and in use; it starts at `granted_at`.
    ///
    /// A lease whose end is unknown is valid until its deadline: the store grants nobody else
    /// before that, unless a release was sent, which is recorded first.
    /// It never lies before the start: a lease that arrived too late has an empty interval.
    #[must_use]
    pub fn valid_end(&self) -> u64 {
        let ended_at = self.end.map_or(u64::MAX, |(at, _)| at);
        self.valid_until.min(ended_at).max(self.granted_at)
    }

    /// Whether the lease was never valid while its worker knew of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.valid_end() == self.granted_at
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, worker, granted_at, valid_until, .. } = self;
        write!(f, "{process}/{worker} granted at {granted_at}, valid until {valid_until}")?;
        match self.end {
            Some((at, ended)) => write!(f, ", {} at {at}", ended.word())?,
            None => f.write_str(", end unknown")?,
        }
        match self.token {
            Some(token) => write!(f, ", token {token}"),
            None => f.write_str(", no token"),
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, worker, asked_at, .. } = self;
        write!(f, "{process}/{worker} asked at {asked_at}")?;
        match &self.answer {
            Some((at, Told::Failed(why))) => write!(f, ", failed at {at}: {why}"),
            Some((at, told)) => write!(f, ", {} at {at}", told.word()),
            None => Ok(()),
        }
    }
}

impl Ended {
    fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Lost => "told lost",
            Self::Dropped => "dropped",
        }
    }
}

impl Told {
    fn word(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
            Self::Failed(_) => "failed",
        }
    }
}
