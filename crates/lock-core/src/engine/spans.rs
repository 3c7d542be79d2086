//! The spans: their names, levels and fields are part of the public contract, and the guide lists them.

use std::fmt;

use tracing::field::{Empty, display};
use tracing::{Level, Span, span};

use crate::types::fencing::FencingToken;
use crate::types::holder::{Holder, Who};
use crate::types::message_text::shortened;
use crate::types::name::{LockName, MAX_KEY_BYTES};

/// The span around one acquisition, with its wait. What is not known yet is recorded later.
pub(crate) fn acquire_span(lock: &str, backend: &str) -> Span {
    let lock = shortened(lock, MAX_KEY_BYTES);
    span!(
        target: "distlock",
        Level::DEBUG,
        "distlock.acquire",
        lock = &*lock,
        backend,
        outcome = Empty,
        fencing_token = Empty,
        holder = Empty,
        holder_program = Empty,
        holder_host = Empty,
        holder_pid = Empty,
    )
}

/// The span around a body that holds a lock.
pub(crate) fn hold_span(lock: &LockName, backend: &str, fencing: Option<FencingToken>) -> Span {
    let (lock, fencing_token) = (lock.as_str(), fencing.map(FencingToken::get));
    span!(target: "distlock", Level::DEBUG, "distlock.hold", lock, backend, fencing_token)
}

/// As [`hold_span`], for several locks that are held together.
pub(crate) fn hold_all_span<'a>(
    locks: impl Iterator<Item = &'a LockName> + Clone,
    backend: &str,
) -> Span {
    span!(target: "distlock", Level::DEBUG, "distlock.hold", locks = display(List(locks)), backend)
}

/// What came of an acquisition.
pub(crate) fn record_outcome(span: &Span, outcome: &str, fencing: Option<FencingToken>) {
    span.record("outcome", outcome);
    if let Some(fencing) = fencing {
        span.record("fencing_token", fencing.get());
    }
}

/// Who holds the lock that is waited for.
pub(crate) fn record_holder(span: &Span, holder: &Holder) {
    span.record("holder", display(holder));
    if let Who::Process(process) = &holder.who {
        span.record("holder_program", process.program.as_str());
        span.record("holder_host", process.host.as_str());
        span.record("holder_pid", process.pid);
    }
}

/// Names with commas between them.
struct List<I>(I);

impl<'a, I: Iterator<Item = &'a LockName> + Clone> fmt::Display for List<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.clone().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}
