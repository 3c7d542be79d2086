//! Recording what lock users saw, and checking it: leases never overlap, tokens rise, all are told.
//!
//! Each process has a [`Recorder`]; what they recorded is merged into one [`History`], whose
//! [`check`](History::check) lists the [`Violation`]s of the [`Claims`].
//! Times are nanoseconds of the machine's boot clock ([`boot_clock_ns`]), so records of several
//! processes of one machine compare.
//!
//! The checker accuses nobody falsely as long as the recorder is called in this order: `granted`
//! after the guard was received, `ended` before the release is sent.
//! Each recorded interval then lies within the one in which the store held the lease.
//!
//! ```
//! use std::time::Duration;
//!
//! use lock_testkit::history::{Claims, Ended, Recorder, Told};
//!
//! let recorder = Recorder::new("process-1");
//!
//! // Worker 0 acquires the lock; here a real one would be asked.
//! let asked = recorder.ask(0, "order:7");
//! let held = asked.granted(Some(41), || Duration::from_secs(30));
//! // Worker 1 is refused meanwhile.
//! recorder.ask(1, "order:7").told(Told::Refused);
//! // The end is recorded first, and then the release is sent.
//! held.ended(Ended::Released);
//!
//! let history = recorder.history();
//! let report = history.check(&Claims::new().longest_wait(Duration::from_secs(60)));
//! assert!(report.is_clean(), "{report}");
//!
//! // Worker 2 gets a lease while worker 3 has one: the lock is broken.
//! let second = recorder.ask(2, "order:8").granted(Some(43), || Duration::from_secs(30));
//! let third = recorder.ask(3, "order:8").granted(Some(44), || Duration::from_secs(30));
//! second.ended(Ended::Released);
//! third.ended(Ended::Released);
//! let report = recorder.history().check(&Claims::new());
//! assert!(report.to_string().contains("order:8: two leases were valid together"), "{report}");
//! ```

mod check;
mod claims;
mod fairness;
mod lines;
mod record;
mod recorder;
#[cfg(test)]
mod tests;
mod violation;

pub use claims::Claims;
pub use fairness::Fairness;
pub use lines::{Entry, Event, HistoryError};
pub use record::{Attempt, Ended, History, Lease, Told};
pub use recorder::{Asked, Held, Recorder, boot_clock_ns};
pub use violation::{Report, Violation};
