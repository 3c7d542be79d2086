//! Histories as JSON lines: one event a line, as it happened.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::record::{Attempt, Ended, History, Lease, Told};

/// One event of one attempt: a line of a recorded file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The process that recorded it.
    pub process: String,
    /// The attempt, numbered by its process.
    pub attempt: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened to an attempt; times are nanoseconds of the boot clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A worker asked for a lock.
    Asked {
        /// The worker.
        worker: u64,
        /// The name of the lock.
        name: String,
        /// When.
        at: u64,
    },
    /// It was given a lease.
    Granted {
        /// The fencing token.
        token: Option<u64>,
        /// When.
        at: u64,
        /// The local deadline.
        valid_until: u64,
    },
    /// It learned a new local deadline.
    Renewed {
        /// The local deadline.
        valid_until: u64,
    },
    /// It stopped using the lease.
    Ended {
        /// When.
        at: u64,
        /// Why.
        how: Ended,
    },
    /// It was told that there is no lease for it.
    Told {
        /// When.
        at: u64,
        /// What.
        answer: Told,
    },
}

/// A recorded history cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("a recorded history cannot be read")]
    Io(#[from] io::Error),
    /// A line is not an event.
    #[error("line {line} of a recorded history is not an event")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An event does not fit to what its attempt has been through.
    #[error(
        "event {event:?} does not fit to attempt {attempt} of process {process:?}; process names \
         must be unique and events in order"
    )]
    Misplaced {
        /// The process.
        process: String,
        /// The attempt.
        attempt: u64,
        /// The event.
        event: Event,
    },
}

impl History {
    /// Builds a history from events, which are in order for each attempt.
    ///
    /// # Errors
    ///
    /// [`HistoryError::Misplaced`] when an event cannot follow what its attempt went through, as
    /// when two processes recorded under one name.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Result<Self, HistoryError> {
        let mut processes: BTreeMap<String, BTreeMap<u64, Fate>> = BTreeMap::new();
        for Entry { process, attempt, event } in entries {
            if !processes.contains_key(&process) {
                processes.insert(process.clone(), BTreeMap::new());
            }
            let fate = processes.get_mut(&process).and_then(|fates| fates.remove(&attempt));
            let next = match follow(&process, fate, event) {
                Ok(next) => next,
                Err(event) => return Err(HistoryError::Misplaced { process, attempt, event }),
            };
            processes.entry(process).or_default().insert(attempt, next);
        }
        let mut history = Self::default();
        for fate in processes.into_values().flat_map(BTreeMap::into_values) {
            match fate {
                Fate::Lease(lease) => history.leases.push(lease),
                Fate::Attempt(attempt) => history.attempts.push(attempt),
            }
        }
        Ok(history)
    }

    /// Reads what a [`Recorder`](super::Recorder) wrote.
    ///
    /// A last line without an end is left out if it is no event: its process was killed while it
    /// wrote.
    ///
    /// # Errors
    ///
    /// [`HistoryError`]: the reader fails, a line is not an event, or an event is misplaced.
    pub fn read_lines(mut reader: impl BufRead) -> Result<Self, HistoryError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            if reader.read_until(b'\n', &mut text)? == 0 {
                break;
            }
            match serde_json::from_slice(&text) {
                Ok(entry) => entries.push(entry),
                Err(_) if text.last() != Some(&b'\n') => break,
                Err(source) => return Err(HistoryError::Line { line, source }),
            }
        }
        Self::from_entries(entries)
    }
}

/// Writes an event as one line, in one call, so that processes can append to one file.
pub(super) fn write_line(writer: &mut dyn Write, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    writer.write_all(&line)
}

/// What has become of an attempt so far.
enum Fate {
    Attempt(Attempt),
    Lease(Lease),
}

/// What becomes of an attempt by an event, which comes back if it cannot follow.
fn follow(process: &str, fate: Option<Fate>, event: Event) -> Result<Fate, Event> {
    match (fate, event) {
        (None, Event::Asked { worker, name, at }) => {
            let process = process.to_owned();
            Ok(Fate::Attempt(Attempt { process, worker, name, asked_at: at, answer: None }))
        }
        (Some(Fate::Attempt(asked)), Event::Granted { token, at, valid_until })
            if asked.answer.is_none() =>
        {
            let Attempt { process, worker, name, asked_at, .. } = asked;
            let (granted_at, end) = (at, None);
            let lease =
                Lease { process, worker, name, token, asked_at, granted_at, valid_until, end };
            Ok(Fate::Lease(lease))
        }
        (Some(Fate::Attempt(asked)), Event::Told { at, answer }) if asked.answer.is_none() => {
            Ok(Fate::Attempt(Attempt { answer: Some((at, answer)), ..asked }))
        }
        (Some(Fate::Lease(lease)), Event::Renewed { valid_until }) if lease.end.is_none() => {
            Ok(Fate::Lease(Lease { valid_until, ..lease }))
        }
        (Some(Fate::Lease(lease)), Event::Ended { at, how }) if lease.end.is_none() => {
            Ok(Fate::Lease(Lease { end: Some((at, how)), ..lease }))
        }
        (_, event) => Err(event),
    }
}
