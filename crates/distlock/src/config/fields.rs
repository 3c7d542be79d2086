//! The configuration in a file, through serde.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::settings::{self, Endpoint, Mode, Settings};
use super::{LockConfig, duration};

/// No `Debug`: the URL may hold a password.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    url: String,
    namespace: Option<String>,
    key_prefix: Option<String>,
    #[serde(default, deserialize_with = "text_duration")]
    ttl: Option<Duration>,
    #[serde(default, deserialize_with = "text_duration")]
    response_timeout: Option<Duration>,
    lazy: Option<bool>,
    #[serde(default, deserialize_with = "text_mode")]
    mode: Option<Mode>,
    endpoint: Option<String>,
}

impl<'de> Deserialize<'de> for LockConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Fields::deserialize(deserializer)?;
        let Fields { url, namespace, key_prefix, ttl, response_timeout, lazy, mode, endpoint } =
            fields;
        let endpoint = endpoint.map(Endpoint);
        let settings =
            Settings { namespace, key_prefix, ttl, response_timeout, lazy, mode, endpoint };
        // The URL is checked when it is used: a parser that quotes the faulty line would show it.
        Ok(Self { url, settings, ..Self::empty() })
    }
}

fn text_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(DurationVisitor).map(Some)
}

fn text_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mode>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mode = settings::mode(&text);
    mode.map(Some).map_err(|cause| D::Error::custom(format!("{text:?} is refused: {cause}")))
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"500ms\", \"30s\", \"5m\" or \"1h\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        duration::parse(text).map_err(|cause| E::custom(format!("{text:?} is refused: {cause}")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Duration, E> {
        self.visit_str(&number.to_string())
    }
}
