//! What a configuration says: the value of each word that was set.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lock_core::{Handover, LockError, LockServiceBuilder};

use super::text::{clip, invalid};
use super::word::{Kind, Value, Word};

pub(crate) const NAMESPACE: Word = Word::new("namespace", Kind::Text);
pub(crate) const RESPONSE_TIMEOUT: Word = Word::new("response_timeout", Kind::Duration);
pub(crate) const LAZY: Word = Word::new("lazy", Kind::Flag);
const HANDOVER_GRANTS: Word = Word::new("handover_grants", Kind::Number(Handover::MAX_GRANTS));
const HANDOVER_TIME: Word = Word::new("handover_time", Kind::Duration);
pub(super) const PROGRAM: Word = Word::new("program", Kind::Text);
pub(super) const PROGRAM_VERSION: Word = Word::new("program_version", Kind::Text);
pub(super) const PROGRAM_HOST: Word = Word::new("program_host", Kind::Text);

/// The words that every store has.
pub(super) const WORDS: &[Word] = &[
    NAMESPACE,
    RESPONSE_TIMEOUT,
    LAZY,
    HANDOVER_GRANTS,
    HANDOVER_TIME,
    PROGRAM,
    PROGRAM_VERSION,
    PROGRAM_HOST,
];

/// The words that were set, with their values.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Settings(BTreeMap<&'static str, Value>);

impl Settings {
    /// Sets a word, and returns the earlier value that it replaced.
    pub(super) fn put(&mut self, word: &Word, value: impl Into<Value>) -> Option<Value> {
        self.0.insert(word.name, value.into())
    }

    /// Sets a word to the value of this text. `place` is where it was written, for the error.
    ///
    /// The error shows the value: what may be a secret is text, and any text is accepted here.
    pub(super) fn read(&mut self, word: &Word, text: &str, place: &str) -> Result<(), LockError> {
        let value = word.read(text);
        let value =
            value.map_err(|cause| invalid(format!("{place} is {:?}: {cause}", clip(text))))?;
        self.put(word, value);
        Ok(())
    }

    /// These settings, and those of `base` where these say nothing.
    pub(super) fn over(mut self, base: Self) -> Self {
        for (word, value) in base.0 {
            self.0.entry(word).or_insert(value);
        }
        self
    }

    /// A word that is set.
    pub(super) fn first_word(&self) -> Option<&'static str> {
        self.0.keys().next().copied()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn text(&self, word: &Word) -> Option<&str> {
        match self.0.get(word.name) {
            Some(Value::Text(text) | Value::SecretFile(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self, word: &Word) -> Option<u16> {
        match self.0.get(word.name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, word: &Word) -> Option<bool> {
        match self.0.get(word.name) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, word: &Word) -> Option<Duration> {
        match self.0.get(word.name) {
            Some(Value::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    pub(crate) fn choice(&self, word: &Word) -> Option<&'static str> {
        match self.0.get(word.name) {
            Some(Value::Choice(choice)) => Some(choice),
            _ => None,
        }
    }

    pub(super) fn put_handover(&mut self, handover: Handover) {
        self.put(&HANDOVER_GRANTS, handover.grants());
        self.put(&HANDOVER_TIME, handover.time());
    }

    /// How far leases are handed over; what is not set is as it is without a configuration.
    pub(super) fn handover(&self) -> Handover {
        let usual = Handover::default();
        let grants = self.number(&HANDOVER_GRANTS).unwrap_or(usual.grants());
        Handover::new(grants, self.duration(&HANDOVER_TIME).unwrap_or(usual.time()))
    }

    /// What the process says of itself.
    pub(super) fn describe(&self, mut builder: LockServiceBuilder) -> LockServiceBuilder {
        if let Some(program) = self.text(&PROGRAM) {
            builder = builder.program(program);
        }
        if let Some(version) = self.text(&PROGRAM_VERSION) {
            builder = builder.program_version(version);
        }
        if let Some(host) = self.text(&PROGRAM_HOST) {
            builder = builder.program_host(host);
        }
        builder
    }

    /// Checks what a setter and a file can get wrong as well as a text.
    pub(super) fn check(&self) -> Result<(), LockError> {
        for (word, value) in &self.0 {
            if matches!(value, Value::Text(text) | Value::SecretFile(text) if text.contains('\0')) {
                return Err(invalid(format!("{word} contains a NUL character; remove it")));
            }
        }
        if self.duration(&RESPONSE_TIMEOUT) == Some(Duration::ZERO) {
            return Err(invalid("response_timeout is 0s; it must be at least 1ms"));
        }
        Ok(())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Settings");
        for (word, value) in &self.0 {
            shown.field(word, value);
        }
        shown.finish()
    }
}
