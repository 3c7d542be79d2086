//! The words of a configuration, the same in a URL's query, in the environment and in a file.

use std::fmt;
use std::time::Duration;

use lock_core::{LockError, LockErrorKind};

use super::duration;

/// Every word, in the order in which the documentation lists them.
pub(super) const WORDS: [&str; 7] =
    ["namespace", "key_prefix", "ttl", "response_timeout", "lazy", "mode", "endpoint"];

/// What was said; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) namespace: Option<String>,
    pub(super) key_prefix: Option<String>,
    pub(super) ttl: Option<Duration>,
    pub(super) response_timeout: Option<Duration>,
    pub(super) lazy: Option<bool>,
    pub(super) mode: Option<Mode>,
    pub(super) endpoint: Option<Endpoint>,
}

/// Where a sidecar is. Somebody may write a user name and a password into it.
#[derive(Clone, PartialEq)]
pub(super) struct Endpoint(pub(super) String);

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains('@') { f.write_str("***") } else { fmt::Debug::fmt(&self.0, f) }
    }
}

#[cfg(feature = "redis")]
pub(super) use lock_redis::Mode;

/// The backend's own choice, so that the word is checked also where that backend is not there.
#[cfg(not(feature = "redis"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Auto,
    Plain,
}

impl Settings {
    /// Sets a word from its text. `place` is where it was written, for the error.
    ///
    /// The value is shown in the error: none of these words is a secret.
    pub(super) fn set(&mut self, word: &str, value: &str, place: &str) -> Result<(), LockError> {
        let set = self.try_set(word, value);
        set.map_err(|cause| invalid(format!("{place} is {value:?}: {cause}")))
    }

    fn try_set(&mut self, word: &str, value: &str) -> Result<(), String> {
        match word {
            "namespace" => self.namespace = Some(value.to_owned()),
            "key_prefix" => self.key_prefix = Some(value.to_owned()),
            "ttl" => self.ttl = Some(duration::parse(value)?),
            "response_timeout" => self.response_timeout = Some(duration::parse(value)?),
            "lazy" => self.lazy = Some(one_of(value, [("true", true), ("false", false)])?),
            "mode" => self.mode = Some(mode(value)?),
            // It is checked where it is used, by who does not show what may be a secret.
            "endpoint" => self.endpoint = Some(Endpoint(value.to_owned())),
            _ => return Err(format!("there is no word `{word}`")),
        }
        Ok(())
    }

    /// What is said here counts, and `base` where nothing is.
    pub(super) fn over(self, base: Self) -> Self {
        Self {
            namespace: self.namespace.or(base.namespace),
            key_prefix: self.key_prefix.or(base.key_prefix),
            ttl: self.ttl.or(base.ttl),
            response_timeout: self.response_timeout.or(base.response_timeout),
            lazy: self.lazy.or(base.lazy),
            mode: self.mode.or(base.mode),
            endpoint: self.endpoint.or(base.endpoint),
        }
    }

    /// What setters and files can get wrong as well as text.
    pub(super) fn check(&self) -> Result<(), LockError> {
        for (word, value) in [("namespace", &self.namespace), ("key_prefix", &self.key_prefix)] {
            if value.as_ref().is_some_and(|value| value.contains('\0')) {
                return Err(invalid(format!("{word} holds a NUL character; remove it")));
            }
        }
        if self.endpoint.as_ref().is_some_and(|endpoint| endpoint.0.contains('@')) {
            return Err(invalid("endpoint holds an `@`; a sidecar takes no user name"));
        }
        if self.response_timeout == Some(Duration::ZERO) {
            return Err(invalid("response_timeout is 0s; it must be at least 1ms"));
        }
        Ok(())
    }
}

/// An error of the configuration.
pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied().with_operation("connect")
}

/// The word that was perhaps meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let distances =
        known.into_iter().map(|known| (strsim::damerau_levenshtein(&word, known), known));
    // A third of the letters may be wrong; beyond that a guess says nothing.
    distances.min().filter(|(distance, known)| distance * 3 <= known.len()).map(|(_, known)| known)
}

pub(super) fn mode(value: &str) -> Result<Mode, String> {
    one_of(value, [("auto", Mode::Auto), ("plain", Mode::Plain)])
}

fn one_of<T: Copy>(value: &str, accepted: [(&str, T); 2]) -> Result<T, String> {
    let found = accepted.iter().find(|(word, _)| *word == value);
    let [(first, _), (second, _)] = accepted;
    found.map(|(_, meaning)| *meaning).ok_or_else(|| format!("write `{first}` or `{second}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_known_and_what_is_said_on_top_counts() {
        let (mut base, mut top) = (Settings::default(), Settings::default());
        for (word, lower, upper) in [
            ("namespace", "a", "b"),
            ("key_prefix", "a", ""),
            ("ttl", "1s", "2s"),
            ("response_timeout", "1s", "2s"),
            ("lazy", "true", "false"),
            ("mode", "auto", "plain"),
            ("endpoint", "dns:a:1", "dns:b:1"),
        ] {
            assert!(WORDS.contains(&word));
            base.set(word, lower, word).unwrap();
            top.set(word, upper, word).unwrap();
        }
        assert_eq!(top.clone().over(base.clone()), top);
        assert_eq!(Settings::default().over(base.clone()), base);
    }

    #[test]
    fn near_misses_are_recognised_and_guesses_are_not_made() {
        assert_eq!(nearest("namspace", WORDS), Some("namespace"));
        assert_eq!(nearest("keyprefix", WORDS), Some("key_prefix"));
        assert_eq!(nearest("TTL", WORDS), Some("ttl"));
        assert_eq!(nearest("password", WORDS), None);
    }
}
