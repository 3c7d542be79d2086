//! `redis://`, `rediss://`, `redis+unix://`, and the same with `valkey`: Redis or Valkey.

use lock_core::LockError;
use lock_core::backend::AnyBackend;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::definition::{Feature, Located, Open, Parameter, Scheme, Spelling, accept_all};
use crate::config::settings::Settings;
use crate::config::text::{clip, decode, invalid};
use crate::config::word::{Kind, Word};

pub(crate) const KEY_PREFIX: Word = Word::new("key_prefix", Kind::Text);
pub(crate) const PASSWORD_FILE: Word = Word::new("password_file", Kind::SecretFile);
pub(crate) const REPLICAS: Word = Word::new("replicas", Kind::Number(u8::MAX as u16));

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[
        server("redis", &[REDIS]),
        server("rediss", &[REDIS, TLS]),
        socket("redis+unix"),
        server("valkey", &[REDIS]),
        server("valkeys", &[REDIS, TLS]),
        socket("valkey+unix"),
        socket("unix"),
    ],
    example: "redis://localhost:6379",
    has_host: true,
    words: &[KEY_PREFIX, PASSWORD_FILE, REPLICAS],
    check: accept_all,
    read,
};

const fn server(name: &'static str, features: &'static [Feature]) -> Spelling {
    Spelling { name, features, parameters: &[], takes_hosts: false }
}

/// A socket has no place for these before its path or behind it.
const fn socket(name: &'static str) -> Spelling {
    let parameters = &[DATABASE, USER, PASSWORD];
    Spelling { name, features: &[REDIS], parameters, takes_hosts: false }
}

const DATABASE: &str = "db";
const USER: &str = "user";
const PASSWORD: &str = "pass";

/// Why several hosts are refused.
pub(super) const ONE_SERVER: &str = "the URL names several servers; if they are Sentinels, write \
    redis+sentinel://HOST:PORT,HOST:PORT/MASTER; if they are nodes of a cluster, write \
    redis+cluster://HOST:PORT,HOST:PORT; for a majority of independent servers write \
    redis+quorum://A:PORT,B:PORT,C:PORT";

/// Why a scheme is refused that other libraries know.
pub(super) fn unsupported(scheme: &str) -> Option<&'static str> {
    let is_ours = scheme.starts_with("redis") || scheme.starts_with("valkey");
    match scheme {
        _ if !is_ours => None,
        _ if scheme.contains("sentinel") && !scheme.ends_with("+sentinel") => Some(
            "Redis Sentinel is written as redis+sentinel://HOST:PORT,HOST:PORT/MASTER, with the \
             addresses of the Sentinels and the name of the master that they watch",
        ),
        _ if scheme.contains("cluster") && !scheme.ends_with("+cluster") => Some(
            "Redis Cluster is written as redis+cluster://HOST:PORT,HOST:PORT, with the addresses of \
             some of its nodes",
        ),
        _ if scheme.contains("socket") => Some(
            "a Unix socket is written as redis+unix:///PATH, as in redis+unix:///run/redis.sock",
        ),
        _ if scheme.contains("tls") || scheme.contains("ssl") => {
            Some("Redis over TLS is written as rediss://HOST:PORT")
        }
        _ => None,
    }
}

pub(super) const REDIS: Feature = Feature { name: "redis", is_on: cfg!(feature = "redis") };
pub(super) const TLS: Feature = Feature { name: "tls", is_on: cfg!(feature = "tls") };

fn read(at: &Located, parameters: &[Parameter]) -> Result<Open, LockError> {
    let url = &at.url;
    let mut clean = url.clone();
    clean.set_query(None);
    if is_socket(url) {
        check_socket(url)?;
        for (name, value) in parameters {
            if name == DATABASE {
                check_database(value)?;
            }
        }
        clean.set_query(query(parameters).as_deref());
    } else {
        check_host(url)?;
        check_login(url)?;
        let database = url.path().strip_prefix('/').unwrap_or_default();
        if !database.is_empty() {
            check_database(database)?;
        }
    }
    Ok(Box::new(move |settings| open(clean.as_str(), settings)))
}

fn is_socket(url: &Url) -> bool {
    url.scheme().ends_with("unix")
}

/// The URL holds nothing in its query but what is the backend's.
#[cfg(feature = "redis")]
pub(super) fn open(url: &str, settings: &Settings) -> Result<AnyBackend, LockError> {
    backend(builder(url, settings)?)
}

/// Makes the backend.
#[cfg(feature = "redis")]
pub(super) fn backend(builder: lock_redis::RedisBackendBuilder) -> Result<AnyBackend, LockError> {
    let backend = builder.build().map_err(|error| error.with_operation("connect"))?;
    Ok(AnyBackend::new(backend))
}

/// The backend of a URL with these settings.
#[cfg(feature = "redis")]
pub(super) fn builder(
    url: &str,
    settings: &Settings,
) -> Result<lock_redis::RedisBackendBuilder, LockError> {
    use super::tls;
    use crate::config::settings::RESPONSE_TIMEOUT;

    let mut builder = lock_redis::RedisBackend::builder().url(url);
    if let Some(prefix) = settings.text(&KEY_PREFIX) {
        builder = builder.key_prefix(prefix);
    }
    if let Some(timeout) = settings.duration(&RESPONSE_TIMEOUT) {
        builder = builder.response_timeout(timeout);
    }
    if let Some(replicas) = settings.number(&REPLICAS).and_then(|count| u8::try_from(count).ok()) {
        builder = builder.replicas(replicas);
    }
    if let Some(path) = settings.text(&PASSWORD_FILE) {
        builder = builder.password_file(path);
    }
    if let Some(path) = settings.text(&tls::CA_FILE) {
        builder = builder.tls_ca_file(path);
    }
    if let Some(path) = settings.text(&tls::CERT_FILE) {
        builder = builder.tls_cert_file(path);
    }
    if let Some(path) = settings.text(&tls::KEY_FILE) {
        builder = builder.tls_key_file(path);
    }
    if let Some(name) = settings.text(&tls::SERVER_NAME) {
        builder = builder.tls_server_name(name);
    }
    Ok(builder)
}

/// Such a URL is refused before it is read, because its feature is off.
#[cfg(not(feature = "redis"))]
pub(super) fn open(_: &str, _: &Settings) -> Result<AnyBackend, LockError> {
    Err(invalid("the feature `redis` of distlock is off"))
}

/// Checks where a server is; the port may be left out.
pub(super) fn check_host(url: &Url) -> Result<(), LockError> {
    if url.host_str().is_none_or(str::is_empty) {
        let scheme = url.scheme();
        return Err(invalid(format!("the URL has no host; write {scheme}://HOST:PORT")));
    }
    if url.port() == Some(0) {
        return Err(invalid("the URL's port is 0; it must be 1 to 65535, and can be left out"));
    }
    Ok(())
}

pub(super) fn check_login(url: &Url) -> Result<(), LockError> {
    decode(url.username(), "user name")?;
    decode(url.password().unwrap_or_default(), "password").map(drop)
}

pub(super) fn check_database(database: &str) -> Result<(), LockError> {
    if database.parse::<u16>().is_ok() && database.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(invalid(format!(
        "the URL's database is {:?}; it must be a number, and is 0 if left out",
        clip(database),
    )))
}

fn check_socket(url: &Url) -> Result<(), LockError> {
    if url.host_str().is_some_and(|host| !host.is_empty()) || url.path().len() <= 1 {
        return Err(invalid(format!(
            "the URL of a Unix socket has three slashes and an absolute path, as in \
             {}:///run/redis.sock",
            url.scheme(),
        )));
    }
    decode(url.path(), "path").map(drop)
}

/// The parameters as a query.
pub(super) fn query(parameters: &[Parameter]) -> Option<String> {
    let part = |(name, value): &Parameter| {
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    let parts: Vec<String> = parameters.iter().map(part).collect();
    (!parts.is_empty()).then(|| parts.join("&"))
}
