//! `redis://`, `rediss://` and `redis+unix://`: Redis or Valkey.

use lock_core::{LockError, LockServiceBuilder};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::definition::{Feature, Open, Parameter, Scheme, Spelling, accept_all};
use crate::config::settings::Settings;
use crate::config::text::{decode, invalid};
use crate::config::word::{Kind, Word};

pub(crate) const KEY_PREFIX: Word = Word::new("key_prefix", Kind::Text);
pub(crate) const MODE: Word = Word::new("mode", Kind::OneOf(&[AUTO, PLAIN]));
const AUTO: &str = "auto";
const PLAIN: &str = "plain";

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[
        Spelling { name: "redis", features: &[REDIS], parameters: &[] },
        Spelling { name: "rediss", features: &[REDIS, TLS], parameters: &[] },
        // A socket has no place for these before its path or behind it.
        Spelling { name: SOCKET, features: &[REDIS], parameters: &["db", "user", "pass"] },
    ],
    example: "redis://localhost:6379",
    has_host: true,
    words: &[KEY_PREFIX, MODE],
    check: accept_all,
    read,
};

const SOCKET: &str = "redis+unix";
const REDIS: Feature = Feature { name: "redis", is_on: cfg!(feature = "redis") };
const TLS: Feature = Feature { name: "tls", is_on: cfg!(feature = "tls") };

/// The value of [`MODE`] that stands for this mode.
#[cfg(feature = "redis")]
pub(crate) fn mode(mode: lock_redis::Mode) -> crate::config::word::Value {
    crate::config::word::Value::Choice(match mode {
        lock_redis::Mode::Plain => PLAIN,
        _ => AUTO,
    })
}

fn read(url: &Url, parameters: &[Parameter]) -> Result<Open, LockError> {
    let mut clean = url.clone();
    clean.set_query(None);
    if url.scheme() == SOCKET {
        check_socket(url)?;
        clean.set_query(socket_query(parameters)?.as_deref());
    } else {
        check_server(url)?;
    }
    Ok(Box::new(move |settings| open(&clean, settings)))
}

/// The URL holds nothing in its query but what is the backend's.
#[cfg(feature = "redis")]
fn open(url: &Url, settings: &Settings) -> Result<LockServiceBuilder, LockError> {
    use crate::config::settings::RESPONSE_TIMEOUT;

    let mut builder = lock_redis::RedisBackend::builder().url(url.as_str());
    if let Some(prefix) = settings.text(&KEY_PREFIX) {
        builder = builder.key_prefix(prefix);
    }
    if let Some(timeout) = settings.duration(&RESPONSE_TIMEOUT) {
        builder = builder.response_timeout(timeout);
    }
    if let Some(mode) = settings.choice(&MODE) {
        builder = builder.mode(mode.parse()?);
    }
    let backend = builder.build().map_err(|error| error.with_operation("connect"))?;
    Ok(lock_core::LockService::builder(backend))
}

/// Such a URL is refused before it is read, because its feature is off.
#[cfg(not(feature = "redis"))]
fn open(_: &Url, _: &Settings) -> Result<LockServiceBuilder, LockError> {
    Err(invalid("the feature `redis` of distlock is off"))
}

fn check_server(url: &Url) -> Result<(), LockError> {
    if url.host_str().is_none_or(str::is_empty) {
        let scheme = url.scheme();
        return Err(invalid(format!("the URL has no host; write {scheme}://HOST:PORT")));
    }
    if url.port() == Some(0) {
        return Err(invalid("the URL's port is 0; it must be 1 to 65535, and is 6379 if left out"));
    }
    decode(url.username(), "user name")?;
    decode(url.password().unwrap_or_default(), "password")?;
    let database = url.path().strip_prefix('/').unwrap_or_default();
    if !database.is_empty() {
        check_database(database)?;
    }
    Ok(())
}

fn check_database(database: &str) -> Result<(), LockError> {
    if database.parse::<u16>().is_ok() && database.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(invalid(format!(
        "the URL's database is {database:?}; it must be a number, and is 0 if left out"
    )))
}

fn check_socket(url: &Url) -> Result<(), LockError> {
    if url.host_str().is_some_and(|host| !host.is_empty()) || url.path().len() <= 1 {
        return Err(invalid(
            "the URL of a Unix socket has three slashes and an absolute path, as in \
             redis+unix:///run/redis.sock",
        ));
    }
    decode(url.path(), "path").map(drop)
}

fn socket_query(parameters: &[Parameter]) -> Result<Option<String>, LockError> {
    let mut parts = Vec::new();
    for (name, value) in parameters {
        if name == "db" {
            check_database(value)?;
        }
        parts.push(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    }
    Ok((!parts.is_empty()).then(|| parts.join("&")))
}
