//! What the library warns of, in its log events, told to the user.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What the program says itself, in better words.
const SAID_ELSEWHERE: [&str; 2] = ["lost", "released"];

/// The warnings so far.
#[derive(Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// From now on, warnings are printed.
#[cfg(unix)]
pub(crate) fn print() {
    install(|text| crate::output::tell(format_args!("warning: {text}")));
}

/// From now on, warnings are kept.
pub(crate) fn keep() -> Warnings {
    let warnings = Warnings::default();
    let kept = warnings.clone();
    install(move |text| kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(text));
    warnings
}

fn install(tell: impl Fn(String) + Send + Sync + 'static) {
    // Fails only if there is a subscriber already, and this program has no other.
    tracing::subscriber::set_global_default(Listener { tell }).ok();
}

struct Listener<F> {
    tell: F,
}

impl<F: Fn(String) + Send + Sync + 'static> Subscriber for Listener<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        // The levels are ordered by how much they say.
        metadata.is_event()
            && *metadata.level() <= Level::WARN
            && ["distlock", "lock_"].iter().any(|ours| target.starts_with(ours))
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        if !text.is_said_elsewhere && !text.message.is_empty() {
            (self.tell)(text.message + &text.fields);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as a sentence with its fields behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
    is_said_elsewhere: bool,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.is_said_elsewhere = SAID_ELSEWHERE.contains(&value);
        } else {
            self.record_debug(field, &format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a `String` cannot fail.
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, "; {name}: {value:?}"),
        };
        written.ok();
    }
}
