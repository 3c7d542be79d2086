//! What a `redis://`, `rediss://` or `redis+unix://` URL must be like.

use lock_core::LockError;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::address::{decode, unknown_parameter};
use super::settings::invalid;

/// What a Unix socket's URL says in its query, because it has no host to say it before or behind.
const SOCKET_WORDS: [&str; 3] = ["db", "user", "pass"];

/// The URL as the backend takes it, with nothing in the query that is ours.
///
/// `rest` is what the query holds beside the words of every URL.
pub(super) fn check(url: &Url, rest: &[(String, String)]) -> Result<Url, LockError> {
    let mut clean = url.clone();
    clean.set_query(None);
    if url.scheme() == "redis+unix" {
        check_socket(url)?;
        clean.set_query(socket_query(rest)?.as_deref());
        return Ok(clean);
    }
    if let Some((name, _)) = rest.first() {
        return Err(unknown_parameter(name, &[]));
    }
    check_server(url)?;
    Ok(clean)
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

fn socket_query(rest: &[(String, String)]) -> Result<Option<String>, LockError> {
    let mut parts = Vec::new();
    for (name, value) in rest {
        if !SOCKET_WORDS.contains(&name.as_str()) {
            return Err(unknown_parameter(name, &SOCKET_WORDS));
        }
        if name == "db" {
            check_database(value)?;
        }
        parts.push(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    }
    Ok((!parts.is_empty()).then(|| parts.join("&")))
}
