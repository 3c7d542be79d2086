//! Reads the URL of a store.
//!
//! No error and no text of this module holds anything that may be part of a user name or a
//! password, also when the URL is malformed in a way that puts a part of them elsewhere.

use std::fmt;

use lock_core::LockError;
use percent_encoding::percent_decode_str;
use url::Url;

use super::settings::{Settings, WORDS, invalid, nearest};

/// The name of a feature, and whether it is on.
type Feature = (&'static str, bool);

const REDIS: Feature = ("redis", cfg!(feature = "redis"));
const DAPR: Feature = ("dapr", cfg!(feature = "dapr"));
const TLS: Feature = ("tls", cfg!(feature = "tls"));

/// Each scheme with the features that it needs.
const SCHEMES: [(&str, &[Feature]); 5] = [
    ("memory", &[]),
    ("redis", &[REDIS]),
    ("rediss", &[REDIS, TLS]),
    ("redis+unix", &[REDIS]),
    ("dapr", &[DAPR]),
];

const ESCAPES: &str =
    "in a user name or a password write `/` as %2F, `?` as %3F, `#` as %23 and `@` as %40";

/// Where the store is, and what the query says about it.
pub(super) struct Address {
    pub(super) store: Store,
    pub(super) settings: Settings,
    shown: String,
}

/// A store of a kind that this build knows.
pub(super) enum Store {
    /// Empty: a store of its own.
    Memory { name: String },
    /// The URL without the words of the query.
    #[cfg(feature = "redis")]
    Redis { url: Url },
    /// A lock store of a sidecar.
    #[cfg(feature = "dapr")]
    Dapr { store: String },
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, LockError> {
        let url = read(text)?;
        known_scheme(&url)?;
        let mut settings = Settings::default();
        let mut rest = Vec::new();
        for (name, value) in query(&url)? {
            if WORDS.contains(&name.as_str()) {
                settings.set(&name, &value, &format!("the URL's parameter `{name}`"))?;
            } else {
                rest.push((name, value));
            }
        }
        let store = match url.scheme() {
            #[cfg(feature = "redis")]
            "redis" | "rediss" | "redis+unix" => {
                Store::Redis { url: super::redis_url::check(&url, &rest)? }
            }
            #[cfg(feature = "dapr")]
            "dapr" => Store::Dapr { store: super::dapr_url::store(&url, &rest)? },
            _ => memory(&url, &rest)?,
        };
        Ok(Self { store, settings, shown: shown(&url) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Refuses a parameter that nobody knows.
pub(super) fn unknown_parameter(name: &str, more_words: &[&'static str]) -> LockError {
    let known = || WORDS.into_iter().chain(more_words.iter().copied());
    let guess = nearest(name, known()).map(|word| format!("did you mean `{word}`? "));
    let accepted = known().collect::<Vec<_>>().join(", ");
    invalid(format!(
        "the URL has an unknown parameter `{name}`; {}accepted are {accepted}",
        guess.unwrap_or_default()
    ))
}

/// Undoes percent-encoding; what stands there may be a secret and is not shown.
pub(super) fn decode(encoded: &str, what: &str) -> Result<String, LockError> {
    let is_escape =
        |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !encoded.split('%').skip(1).all(is_escape) {
        return Err(invalid(format!(
            "the URL's {what} holds a `%` without two hex digits behind it; write `%` as %25"
        )));
    }
    let decoded = percent_decode_str(encoded).decode_utf8();
    let decoded = decoded.map_err(|_| invalid(format!("the URL's {what} is not UTF-8")))?;
    Ok(decoded.into_owned())
}

fn read(text: &str) -> Result<Url, LockError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(invalid(
            "the URL is empty; write one such as redis://localhost:6379 or memory:",
        ));
    }
    // The parser would take them out and go on with another password.
    if text.contains(char::is_control) {
        return Err(invalid("the URL holds a line break or another control character"));
    }
    let without_scheme = || invalid("the URL has no scheme; write redis://HOST:PORT");
    if text.contains('@') && !text.contains("://") {
        // What stands before the first colon is then perhaps a user name.
        return Err(without_scheme());
    }
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => without_scheme(),
        // A slash, a question mark or a hash ends the host, also one of a password.
        error if text.contains('@') => invalid(format!("the URL is malformed: {error}; {ESCAPES}")),
        error => invalid(format!("the URL is malformed: {error}")),
    })?;
    let behind_host = [Some(url.path()), url.query(), url.fragment()];
    if behind_host.into_iter().flatten().any(|part| part.contains('@')) {
        return Err(invalid(format!("the URL has an `@` behind its host; {ESCAPES}")));
    }
    if url.fragment().is_some() {
        return Err(invalid(
            "the URL has a fragment, which means nothing here; write `#` as %23 if it is a part",
        ));
    }
    Ok(url)
}

fn known_scheme(url: &Url) -> Result<(), LockError> {
    let scheme = url.scheme();
    let Some((_, features)) = SCHEMES.into_iter().find(|(known, _)| *known == scheme) else {
        return Err(unknown_scheme(url));
    };
    let Some((missing, _)) = features.iter().find(|(_, is_on)| !is_on) else { return Ok(()) };
    let needed: Vec<&str> = features.iter().map(|(name, _)| *name).collect();
    Err(invalid(format!(
        "{scheme}: needs the feature `{missing}` of distlock, which is off; write into Cargo.toml: \
         distlock = {{ version = \"{}.{}\", features = {needed:?} }}",
        env!("CARGO_PKG_VERSION_MAJOR"),
        env!("CARGO_PKG_VERSION_MINOR"),
    )))
}

fn unknown_scheme(url: &Url) -> LockError {
    let scheme = url.scheme();
    let schemes = || SCHEMES.into_iter().map(|(scheme, ..)| scheme);
    let guess = match nearest(scheme, schemes()) {
        Some(near) => format!("did you mean `{near}`? "),
        // `localhost:6379` is a URL, of the scheme `localhost`.
        None if url.cannot_be_a_base() => "a host needs `redis://` in front; ".to_owned(),
        None => String::new(),
    };
    let accepted = schemes().collect::<Vec<_>>().join(", ");
    invalid(format!("the URL's scheme `{scheme}` is not known; {guess}accepted are {accepted}"))
}

/// The parameters. A plus sign is itself, as everywhere else in a URL.
fn query(url: &Url) -> Result<Vec<(String, String)>, LockError> {
    let mut found: Vec<(String, String)> = Vec::new();
    let written = url.query().unwrap_or_default().split('&').filter(|part| !part.is_empty());
    for part in written {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decode(name, "query")?;
        let value = decode(value, "query")?;
        if found.iter().any(|(earlier, _)| *earlier == name) {
            return Err(invalid(format!("the URL has the parameter `{name}` twice; remove one")));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn memory(url: &Url, rest: &[(String, String)]) -> Result<Store, LockError> {
    if let Some((name, _)) = rest.first() {
        return Err(unknown_parameter(name, &[]));
    }
    if !url.cannot_be_a_base() && (url.has_authority() || !url.path().is_empty()) {
        return Err(invalid("a store in memory has no host; write memory: or memory:NAME"));
    }
    Ok(Store::Memory { name: decode(url.path(), "name")? })
}

/// The URL without its query, and without user name and password.
fn shown(url: &Url) -> String {
    let (scheme, path) = (url.scheme(), url.path());
    if url.cannot_be_a_base() || scheme == "memory" {
        return format!("{scheme}:{path}");
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    let user = if has_user { "***@" } else { "" };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{user}{host}{port}{path}")
}
