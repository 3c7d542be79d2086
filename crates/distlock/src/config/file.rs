//! The configuration in a file, through serde.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::settings::Settings;
use super::text::clip;
use super::word::{Kind, Value, Word, quoted};
use super::{LockConfig, words};

const URL: &str = "url";
const A_DURATION: &str = r#"a duration such as "500ms", "1.5s", "5m" or "1h""#;

impl<'de> Deserialize<'de> for LockConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("LockConfig", fields(), Fields)
    }
}

fn fields() -> &'static [&'static str] {
    static FIELDS: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| [URL].iter().chain(words::names()).copied().collect());
    &FIELDS
}

fn unknown(name: &str) -> String {
    let guess = words::guess(name, fields().iter().copied(), |word| format!("`{word}`"), "`url`");
    let guess = guess.map(|guess| format!("{guess}; ")).unwrap_or_default();
    let (name, accepted) = (clip(name), fields().join(", "));
    format!("unknown field `{name}`; {guess}accepted are {accepted}")
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = LockConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration of a lock store")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LockConfig, A::Error> {
        let (mut url, mut settings) = (None, Settings::default());
        while let Some(name) = map.next_key::<String>()? {
            if name == URL {
                if url.replace(map.next_value_seed(Urls)?).is_some() {
                    return Err(A::Error::duplicate_field(URL));
                }
                continue;
            }
            let word = words::find(&name);
            let word = word.ok_or_else(|| A::Error::custom(unknown(&name)))?;
            if let Some(value) = map.next_value_seed(ValueOf(word))?
                && settings.put(word, value).is_some()
            {
                return Err(A::Error::duplicate_field(word.name));
            }
        }
        // The URL is checked when it is used: the environment may replace it, and a parser that quotes
        // the faulty line would show it.
        Ok(LockConfig { url, settings, ..LockConfig::new() })
    }
}

/// Reads the URL of a store, or those of the stores of a quorum, which are kept with spaces between
/// them.
struct Urls;

impl<'de> DeserializeSeed<'de> for Urls {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Urls {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the URL of a store, or a list of the URLs of independent stores")
    }

    fn visit_str<E: Error>(self, url: &str) -> Result<String, E> {
        Ok(url.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut urls: A) -> Result<String, A::Error> {
        let mut all = Vec::new();
        while let Some(url) = urls.next_element::<String>()? {
            all.push(url.trim().to_owned());
        }
        Ok(all.join(" "))
    }
}

/// Reads the value of a word; nothing where the format has a value for "not set".
struct ValueOf(&'static Word);

impl ValueOf {
    fn read<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        let value = self.0.read(text);
        value.map(Some).map_err(|cause| E::custom(format!("{:?} is refused: {cause}", clip(text))))
    }
}

impl<'de> DeserializeSeed<'de> for ValueOf {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueOf {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            Kind::Text => f.write_str("a string"),
            Kind::SecretFile => f.write_str("the path of a file"),
            Kind::Number(most) => write!(f, "a whole number, of {most} at most"),
            Kind::Flag => f.write_str("a boolean"),
            Kind::FlagOr(word) => write!(f, "a boolean, or `{word}`"),
            Kind::Duration => f.write_str(A_DURATION),
            Kind::DurationOr(word) => write!(f, "{A_DURATION}, or `{word}`"),
            Kind::OneOf(accepted) => f.write_str(&quoted(accepted)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        if matches!(self.0.kind, Kind::Flag | Kind::Number(_)) {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        self.read(text)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Option<Value>, E> {
        match self.0.kind {
            Kind::Flag | Kind::FlagOr(_) => Ok(Some(Value::Flag(flag))),
            _ => Err(E::invalid_type(Unexpected::Bool(flag), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<Value>, E> {
        match self.0.kind {
            // Refused for its missing unit, with what to write.
            Kind::Duration | Kind::DurationOr(_) => self.visit_str(&number.to_string()),
            Kind::Number(_) => self.read(&number.to_string()),
            _ => Err(E::invalid_type(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<Value>, E> {
        match self.0.kind {
            Kind::Duration | Kind::DurationOr(_) => self.visit_str(&number.to_string()),
            Kind::Number(_) => self.read(&number.to_string()),
            _ => Err(E::invalid_type(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<Value>, E> {
        match self.0.kind {
            Kind::Duration | Kind::DurationOr(_) => self.visit_str(&number.to_string()),
            _ => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_none<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }
}
