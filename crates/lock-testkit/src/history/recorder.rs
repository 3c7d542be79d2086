//! Recording a history while it happens.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::lines::{Entry, Event, write_line};
use super::record::{Ended, History, Told};

/// The machine's boot clock in nanoseconds: the same for all processes, counting suspended time.
#[must_use]
pub fn boot_clock_ns() -> u64 {
    // Elsewhere the monotonic clock is the closest one, and all processes of a machine share it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// Records what the workers of this process see; clones share one record.
///
/// An event costs a clock reading and a push under a mutex, and a write if there is a writer.
/// See the [module](super) for an example.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    process: String,
    next_attempt: AtomicU64,
    record: Mutex<Record>,
}

struct Record {
    entries: Vec<(u64, Event)>,
    writer: Option<Box<dyn Write + Send>>,
    failure: Option<io::Error>,
}

impl Recorder {
    /// Records in memory; `process` is unique among the processes whose histories are merged.
    #[must_use]
    pub fn new(process: impl Into<String>) -> Self {
        Self::build(process.into(), None)
    }

    /// Records in memory and writes each event as a JSON line when it happens, before the call
    /// that records it returns.
    ///
    /// With an unbuffered file what a process saw outlives its `SIGKILL`.
    #[must_use]
    pub fn with_writer(process: impl Into<String>, writer: impl Write + Send + 'static) -> Self {
        Self::build(process.into(), Some(Box::new(writer)))
    }

    /// A worker asks for a lock now; call it before the request.
    pub fn ask(&self, worker: u64, name: impl Into<String>) -> Asked {
        let attempt = self.0.next_attempt.fetch_add(1, Ordering::Relaxed);
        let name = name.into();
        self.0.push(attempt, Event::Asked { worker, name, at: boot_clock_ns() });
        Asked { attempt, shared: Arc::clone(&self.0) }
    }

    /// What was recorded up to now.
    #[must_use]
    pub fn history(&self) -> History {
        let record = self.0.record.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = record.entries.iter().map(|(attempt, event)| self.0.entry(*attempt, event));
        #[expect(
            clippy::expect_used,
            reason = "the handles are consumed by what follows them, so no event is misplaced"
        )]
        History::from_entries(entries).expect("a recorder's events are in order")
    }

    /// Writes what was recorded up to now as JSON lines.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn write_lines(&self, mut writer: impl Write) -> io::Result<()> {
        let record = self.0.record.lock().unwrap_or_else(PoisonError::into_inner);
        for (attempt, event) in &record.entries {
            write_line(&mut writer, &self.0.entry(*attempt, event))?;
        }
        writer.flush()
    }

    /// Flushes the recorder's own writer.
    ///
    /// # Errors
    ///
    /// The first error of the writer since the last call, also that of an earlier event.
    pub fn flush(&self) -> io::Result<()> {
        let mut record = self.0.record.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = record.failure.take() {
            return Err(failure);
        }
        record.writer.as_mut().map_or(Ok(()), |writer| writer.flush())
    }

    fn build(process: String, writer: Option<Box<dyn Write + Send>>) -> Self {
        let record = Mutex::new(Record { entries: Vec::new(), writer, failure: None });
        Self(Arc::new(Shared { process, next_attempt: AtomicU64::new(0), record }))
    }
}

impl Shared {
    /// Keeps an event and writes its line; the events of one attempt come in order.
    fn push(&self, attempt: u64, event: Event) {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = &mut record.writer {
            let written = write_line(writer, &self.entry(attempt, &event));
            if let Err(error) = written {
                record.failure.get_or_insert(error);
            }
        }
        record.entries.push((attempt, event));
    }

    fn entry(&self, attempt: u64, event: &Event) -> Entry {
        Entry { process: self.process.clone(), attempt, event: event.clone() }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("process", &self.0.process).finish_non_exhaustive()
    }
}

/// An attempt that waits for its answer.
///
/// Dropped without one it counts as never answered: a worker that gives up says
/// [`Told::Cancelled`].
#[must_use = "an attempt without an answer is a violation"]
pub struct Asked {
    attempt: u64,
    shared: Arc<Shared>,
}

impl Asked {
    /// The worker holds the lock; call it after the guard was received.
    ///
    /// `remaining` tells how much of the lease is left; it is asked after the clock was read, so
    /// that the recorded deadline never lies behind the real one.
    pub fn granted(self, token: Option<u64>, remaining: impl FnOnce() -> Duration) -> Held {
        let at = boot_clock_ns();
        let valid_until = deadline_ns(at, remaining());
        self.shared.push(self.attempt, Event::Granted { token, at, valid_until });
        Held { attempt: self.attempt, shared: self.shared, ended: false }
    }

    /// The worker was told that there is no lease for it.
    pub fn told(self, answer: Told) {
        self.shared.push(self.attempt, Event::Told { at: boot_clock_ns(), answer });
    }
}

/// A lease that its worker uses.
///
/// Dropped without a word it ends as [`Ended::Dropped`].
/// Declare it after the guard, so that it drops before the guard releases.
#[must_use = "a lease that is not held on to ends at once"]
pub struct Held {
    attempt: u64,
    shared: Arc<Shared>,
    ended: bool,
}

impl Held {
    /// The worker learned that the lease lasts longer, or shorter.
    ///
    /// A lease that is kept alive needs it before its first deadline has passed and again before
    /// its end; what was not recorded is not checked.
    pub fn renewed(&self, remaining: impl FnOnce() -> Duration) {
        let valid_until = deadline_ns(boot_clock_ns(), remaining());
        self.shared.push(self.attempt, Event::Renewed { valid_until });
    }

    /// The worker stops using the lease; call it before the release is sent.
    pub fn ended(mut self, how: Ended) {
        self.end(how);
    }

    fn end(&mut self, how: Ended) {
        self.ended = true;
        let at = boot_clock_ns();
        self.shared.push(self.attempt, Event::Ended { at, how });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Ended::Dropped);
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

fn deadline_ns(now_ns: u64, remaining: Duration) -> u64 {
    now_ns.saturating_add(u64::try_from(remaining.as_nanos()).unwrap_or(u64::MAX))
}
