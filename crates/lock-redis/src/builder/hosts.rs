//! Servers of which several are given.

use lock_core::Result;
use lock_core::message_text::quoted;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

use crate::builder::endpoint::{adjusted, check_login, invalid, opened};
use crate::wire::credentials::Credentials;
use crate::wire::greeting::Session;

/// The schemes that such URLs begin with; whether that means TLS.
pub(super) fn is_tls(scheme: &str) -> Option<bool> {
    match scheme {
        "redis" | "valkey" => Some(false),
        "rediss" | "valkeys" => Some(true),
        _ => None,
    }
}

/// A URL behind its scheme: user and password with their `@`, the hosts, the path without its slash
/// if there is one, and the query. None if a part of a password may have been taken for another part.
pub(super) fn split(rest: &str) -> Option<(&str, &str, Option<&str>, &str)> {
    let behind = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
    if behind.contains(['@', '#']) {
        return None;
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (rest, None),
    };
    let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    Some((login, hosts, path, query))
}

/// Host and port of a server, which is one of these.
pub(super) fn host_of(text: &str, what: &str, default_port: u16) -> Result<(String, u16)> {
    let malformed = || {
        invalid(format!(
            "the address of a {what} is {}; write HOST, HOST:PORT or [IPv6]:PORT",
            quoted(text)
        ))
    };
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(malformed)?,
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?,
        None if port.is_empty() => default_port,
        None => return Err(malformed()),
    };
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/?#@[]".contains(c);
    if host.is_empty() || host.contains(is_odd) {
        return Err(malformed());
    }
    Ok((host.to_owned(), port))
}

/// User, password and database, read as in the URL of one server; none if they cannot be.
pub(super) fn settings_of(login: &str, host: &str, database: &str) -> Option<RedisConnectionInfo> {
    let client = Client::open(format!("redis://{login}{host}/{database}")).ok()?;
    Some(client.get_connection_info().redis_settings().clone())
}

/// How servers are connected to whose addresses others name; this host stands for theirs. Finds out now
/// what would be wrong at each connection.
pub(super) fn named_by_others(
    is_tls: bool,
    (host, default_port): (&str, u16),
    settings: &RedisConnectionInfo,
    credentials: &Credentials,
) -> Result<(ConnectionInfo, Session)> {
    check_login(settings, credentials)?;
    let data = info(is_tls, host.to_owned(), default_port, settings)?;
    credentials.check(&data)?;
    let (data, session) = adjusted(&data);
    credentials.read_into(&opened(data.clone())?)?;
    Ok((data, session))
}

/// How a server is connected to.
pub(super) fn info(
    is_tls: bool,
    host: String,
    port: u16,
    settings: &RedisConnectionInfo,
) -> Result<ConnectionInfo> {
    let address = if is_tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let info = address.into_connection_info();
    let info = info.map_err(|error| invalid("a server cannot be used").with_source(error))?;
    Ok(info.set_redis_settings(settings.clone()))
}
