//! The words of a configuration: what each is called, and which values it takes.

use std::fmt;
use std::time::Duration;

use lock_core::duration_text;

use super::text::either;

/// A setting, under the name that it has in a URL's query, in the environment and in a file.
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// Which values a word takes.
pub(crate) enum Kind {
    Text,
    /// The path of a file that holds a secret.
    SecretFile,
    /// A whole number, of this at most.
    Number(u16),
    Flag,
    /// `true` or `false`, or this word in place of them.
    FlagOr(&'static str),
    Duration,
    /// A duration, or this word in place of one.
    DurationOr(&'static str),
    OneOf(&'static [&'static str]),
}

/// The value of a word.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    SecretFile(String),
    Number(u16),
    Flag(bool),
    Duration(Duration),
    /// One of those that the word names.
    Choice(&'static str),
}

impl Word {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// Reads a value as it is written in a URL or in the environment.
    ///
    /// The error says what to write instead, and goes behind the value.
    pub(crate) fn read(&self, text: &str) -> Result<Value, String> {
        match self.kind {
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::SecretFile => Ok(Value::SecretFile(text.to_owned())),
            Kind::Number(most) => number(text, most).map(Value::Number),
            Kind::Flag => one_of(text, &["true", "false"]).map(|word| Value::Flag(word == "true")),
            Kind::FlagOr(word) if text == word => Ok(Value::Choice(word)),
            Kind::FlagOr(word) => {
                one_of(text, &["true", "false", word]).map(|word| Value::Flag(word == "true"))
            }
            Kind::Duration => duration_text::parse(text).map(Value::Duration),
            Kind::DurationOr(word) if text == word => Ok(Value::Choice(word)),
            Kind::DurationOr(word) => {
                let duration = duration_text::parse(text);
                duration.map(Value::Duration).map_err(|cause| format!("{cause}, or `{word}`"))
            }
            Kind::OneOf(accepted) => one_of(text, accepted).map(Value::Choice),
        }
    }
}

fn number(text: &str, most: u16) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && *number <= most);
    number.ok_or_else(|| format!("write a whole number, of {most} at most"))
}

fn one_of(text: &str, accepted: &[&'static str]) -> Result<&'static str, String> {
    let found = accepted.iter().find(|word| **word == text);
    found.copied().ok_or_else(|| format!("write {}", quoted(accepted)))
}

/// The accepted words for a message: `` `true` or `false` ``.
pub(crate) fn quoted(accepted: &[&str]) -> String {
    let quoted: Vec<String> = accepted.iter().map(|word| format!("`{word}`")).collect();
    either(&quoted.iter().map(String::as_str).collect::<Vec<_>>())
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Somebody may have written a user name and a password into an address.
            Self::Text(text) if text.contains('@') => f.write_str("***"),
            Self::Text(text) => fmt::Debug::fmt(text, f),
            // Somebody may have written the secret itself.
            Self::SecretFile(_) => f.write_str("(a file)"),
            Self::Number(number) => fmt::Debug::fmt(number, f),
            Self::Flag(flag) => fmt::Debug::fmt(flag, f),
            Self::Duration(duration) => fmt::Debug::fmt(duration, f),
            Self::Choice(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_by_the_kind_of_its_word_and_refused_with_what_to_write() {
        let read = |kind, text| Word::new("word", kind).read(text);
        assert_eq!(read(Kind::Text, "a b"), Ok(Value::Text("a b".into())));
        assert_eq!(read(Kind::SecretFile, "/x"), Ok(Value::SecretFile("/x".into())));
        assert_eq!(read(Kind::Number(9), "9"), Ok(Value::Number(9)));
        for text in ["10", "-1", "+1", "", "1s", "99999999999"] {
            let refused = Err("write a whole number, of 9 at most".into());
            assert_eq!(read(Kind::Number(9), text), refused);
        }
        assert_eq!(read(Kind::Flag, "false"), Ok(Value::Flag(false)));
        assert_eq!(read(Kind::FlagOr("maybe"), "true"), Ok(Value::Flag(true)));
        assert_eq!(read(Kind::FlagOr("maybe"), "maybe"), Ok(Value::Choice("maybe")));
        assert_eq!(
            read(Kind::FlagOr("maybe"), "yes"),
            Err("write `true`, `false` or `maybe`".into())
        );
        assert_eq!(read(Kind::Duration, "2s"), Ok(Value::Duration(Duration::from_secs(2))));
        assert_eq!(read(Kind::DurationOr("ever"), "ever"), Ok(Value::Choice("ever")));
        assert_eq!(read(Kind::DurationOr("ever"), "2s"), read(Kind::Duration, "2s"));
        assert_eq!(read(Kind::OneOf(&["a", "b"]), "b"), Ok(Value::Choice("b")));
        assert_eq!(read(Kind::Flag, "yes"), Err("write `true` or `false`".into()));
        assert_eq!(read(Kind::OneOf(&["a", "b"]), "c"), Err("write `a` or `b`".into()));
        assert!(read(Kind::Duration, "2").unwrap_err().contains("no unit"));
        assert!(read(Kind::DurationOr("ever"), "never").unwrap_err().ends_with(", or `ever`"));
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let texts = [
            Value::Text("user:secret@host".into()),
            Value::Text("host".into()),
            Value::SecretFile("secret".into()),
        ];
        assert_eq!(format!("{texts:?}"), "[***, \"host\", (a file)]");
    }
}
