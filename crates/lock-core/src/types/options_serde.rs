//! Lock options in configuration files: the names of the setters, durations as `"30s"`.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error as _, Unexpected, Visitor};
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};

use crate::types::duration_text;
use crate::types::message_text::quoted;
use crate::types::options::{LockOptions, OnLost, Renewal, Wait};

const FOREVER: &str = "forever";
const IF_SUPPORTED: &str = "if_supported";

/// The options as they are written; what is left out has its default.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    ttl: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<WaitText>,
    keep_alive: KeepAlive,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_hold: Option<Text>,
    min_hold: Text,
    on_lost: OnLostText,
    require_fencing: bool,
}

impl Default for Written {
    fn default() -> Self {
        LockOptions::new().into()
    }
}

impl From<LockOptions> for Written {
    fn from(options: LockOptions) -> Self {
        Self {
            ttl: Text(options.ttl),
            wait: match options.wait {
                Wait::Unset => None,
                Wait::For(wait) => Some(WaitText(Some(wait))),
                Wait::Forever => Some(WaitText(None)),
            },
            keep_alive: KeepAlive(options.renewal),
            max_hold: options.max_hold.map(Text),
            min_hold: Text(options.min_hold),
            on_lost: OnLostText(options.on_lost),
            require_fencing: options.require_fencing,
        }
    }
}

impl From<Written> for LockOptions {
    fn from(written: Written) -> Self {
        Self {
            ttl: written.ttl.0,
            wait: match written.wait {
                None => Wait::Unset,
                Some(WaitText(Some(wait))) => Wait::For(wait),
                Some(WaitText(None)) => Wait::Forever,
            },
            renewal: written.keep_alive.0,
            max_hold: written.max_hold.map(|max_hold| max_hold.0),
            min_hold: written.min_hold.0,
            on_lost: written.on_lost.0,
            require_fencing: written.require_fencing,
        }
    }
}

impl Serialize for LockOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LockOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer).map(Into::into)
    }
}

/// A duration with its unit.
struct Text(Duration);

/// A duration with its unit, or `None` for `"forever"`.
struct WaitText(Option<Duration>);

struct KeepAlive(Renewal);

struct OnLostText(OnLost);

fn write<S: Serializer>(duration: Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let text = duration_text::format(duration).ok_or_else(|| {
        S::Error::custom(format!(
            "{} is not a whole number of milliseconds",
            duration_text::exact(duration)
        ))
    })?;
    serializer.serialize_str(&text)
}

fn read<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    duration_text::parse(text)
        .map_err(|why| E::custom(format!("{} is refused: {why}", quoted(text))))
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(Word { expected: r#"a duration such as "30s""#, flag: None })
            .and_then(|word| read(&word).map(Self))
    }
}

impl Serialize for WaitText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(wait) => write(wait, serializer),
            None => serializer.serialize_str(FOREVER),
        }
    }
}

impl<'de> Deserialize<'de> for WaitText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = r#"a duration such as "30s", or "forever""#;
        let word = deserializer.deserialize_any(Word { expected, flag: None })?;
        if word == FOREVER { Ok(Self(None)) } else { read(&word).map(|wait| Self(Some(wait))) }
    }
}

impl Serialize for KeepAlive {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Renewal::Fixed => serializer.serialize_bool(false),
            Renewal::KeepAlive => serializer.serialize_bool(true),
            Renewal::IfSupported => serializer.serialize_str(IF_SUPPORTED),
        }
    }
}

impl<'de> Deserialize<'de> for KeepAlive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = r#"true, false or "if_supported""#;
        let word =
            deserializer.deserialize_any(Word { expected, flag: Some(("true", "false")) })?;
        match word.as_str() {
            "true" => Ok(Self(Renewal::KeepAlive)),
            "false" => Ok(Self(Renewal::Fixed)),
            IF_SUPPORTED => Ok(Self(Renewal::IfSupported)),
            _ => Err(D::Error::invalid_value(Unexpected::Str(&word), &expected)),
        }
    }
}

impl Serialize for OnLostText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for OnLostText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map(Self).map_err(D::Error::custom)
    }
}

/// Reads a text, or a boolean where the word has one.
struct Word {
    expected: &'static str,
    /// What a boolean stands for, if it may be one.
    flag: Option<(&'static str, &'static str)>,
}

impl Visitor<'_> for Word {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<String, E> {
        match self.flag {
            Some((on, off)) => Ok(if flag { on } else { off }.to_owned()),
            None => Err(E::invalid_type(Unexpected::Bool(flag), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(options: &LockOptions) -> LockOptions {
        serde_json::from_str(&serde_json::to_string(options).unwrap()).unwrap()
    }

    #[test]
    fn options_survive_being_written() {
        let full = LockOptions::new()
            .ttl(Duration::from_millis(1_500))
            .wait(Duration::from_secs(90))
            .keep_alive()
            .max_hold(Duration::from_secs(3_600))
            .min_hold(Duration::from_secs(1))
            .on_lost(OnLost::Continue)
            .require_fencing();
        let portable = LockOptions::new().wait_forever().keep_alive_if_supported();
        for options in [LockOptions::new(), full, portable] {
            assert_eq!(read_back(&options), options);
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let read: LockOptions = serde_json::from_str(r#"{"ttl": "5s"}"#).unwrap();
        assert_eq!(read, LockOptions::new().ttl(Duration::from_secs(5)));
    }

    #[test]
    fn mistakes_are_named_with_what_to_write() {
        for (text, cause) in [
            (r#"{"tll": "5s"}"#, "unknown field `tll`"),
            (r#"{"ttl": 5}"#, "a duration such as"),
            (r#"{"ttl": "5"}"#, "has no unit"),
            (r#"{"wait": "never"}"#, "is not a duration"),
            (r#"{"keep_alive": "yes"}"#, "if_supported"),
            (r#"{"on_lost": "drop"}"#, "cancel"),
        ] {
            let error = serde_json::from_str::<LockOptions>(text).unwrap_err().to_string();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
