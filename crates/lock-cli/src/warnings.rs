//! What the library warns of, in its log events, told to the user.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// What the program says itself, in better words.
const SAID_ELSEWHERE: [&str; 2] = ["lost", "released"];
/// Fields that are for programs which read a log: the sentence says the same in words.
const IN_THE_SENTENCE: [&str; 3] = ["waited", "remaining", "holder"];

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
            (self.tell)(text.sentence());
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as a sentence with those of its fields behind it that it does not say itself.
#[derive(Default)]
struct Text {
    message: String,
    fields: Vec<(&'static str, String)>,
    is_said_elsewhere: bool,
}

impl Text {
    fn sentence(self) -> String {
        let mut sentence = self.message;
        let message = sentence.len();
        for (name, value) in self.fields {
            let of_holder = name.starts_with("holder_");
            let is_said = of_holder || IN_THE_SENTENCE.contains(&name);
            if !is_said && !sentence[..message].contains(&value) {
                // Writing to a `String` cannot fail.
                write!(sentence, "; {name}: {value}").ok();
            }
        }
        sentence
    }
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
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_a_sentence_and_no_field_says_the_same_again() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let listener = Listener { tell: move |text| heard.lock().unwrap().push(text) };
        tracing::subscriber::with_default(listener, || {
            let message =
                "a task has waited 30s for the lock \"x\"; it is held by w (pid 7 on host a)";
            tracing::warn!(
                target: "distlock", event = "long_wait", backend = "redis", lock = "x",
                waited = "30.001s", remaining = "59.1s", waiters = 2,
                holder = "w (pid 7 on host a)", holder_program = "w", holder_host = "a",
                holder_pid = 7, holder_since = "2026-11-26T12:03:04Z", "{message}"
            );
            tracing::warn!(target: "distlock", event = "lost", "said elsewhere");
            tracing::info!(target: "distlock", event = "long_wait", "no warning");
            tracing::warn!(target: "another", "not ours");
        });
        let sentence = "a task has waited 30s for the lock \"x\"; it is held by w (pid 7 on host a); \
                        backend: redis; waiters: 2";
        assert_eq!(*said.lock().unwrap(), [sentence]);
    }
}
