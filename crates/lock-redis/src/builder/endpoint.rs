//! A server as it is given, and as this backend connects to it.

use std::borrow::Cow;

use lock_core::message_text::host_and_port;
use lock_core::{LockError, LockErrorKind, Result};
use redis::{Client, ConnectionAddr, ConnectionInfo, ProtocolVersion, RedisConnectionInfo};

use crate::topology::standalone::Source;
use crate::wire::credentials::Credentials;
use crate::wire::greeting::Session;
use crate::wire::keep_alive::kept_alive;

/// The client of a URL.
pub(super) fn open(url: &str, credentials: &Credentials) -> Result<Client> {
    check_tls(url.starts_with("rediss:") || url.starts_with("valkeys:"))?;
    // The cause is left out of the text: it may quote what stands in the URL.
    let client = Client::open(url).map_err(|_| {
        invalid(
            "the URL is not one of a Redis server; write \
             redis[s]://[[user]:password@]host[:port][/database] or redis+unix:///path",
        )
    })?;
    check_login(client.get_connection_info().redis_settings(), credentials)?;
    Ok(client)
}

/// Refuses a user name that has no password.
pub(super) fn check_login(settings: &RedisConnectionInfo, credentials: &Credentials) -> Result<()> {
    let has_password = settings.password().is_some() || credentials.password_file.is_some();
    if settings.username().is_some() && !has_password {
        // It would be ignored; most often it is a password without its colon.
        return Err(invalid(
            "the URL has a user name and no password; did you mean redis://:PASSWORD@HOST, with a \
             colon before the password? A user name is written as redis://USER:PASSWORD@HOST, or \
             as redis://USER@HOST with password_file",
        ));
    }
    Ok(())
}

/// Refuses TLS where it cannot be had.
pub(super) fn check_tls(is_wanted: bool) -> Result<()> {
    if is_wanted && cfg!(not(feature = "tls")) {
        return Err(invalid("a URL with TLS needs the feature `tls`; turn it on"));
    }
    Ok(())
}

/// The client as this backend uses it.
pub(super) fn own(client: &Client, credentials: &Credentials) -> Result<(Source, String, Session)> {
    let info = client.get_connection_info().clone();
    credentials.check(&info)?;
    // With the database, if it is not the usual one: it may be what is wrong.
    let server = shown(info.addr());
    let address = match info.redis_settings().db() {
        0 => server,
        database => format!("{server}/{database}"),
    };
    let (info, session) = adjusted(&info);
    let client = opened(info)?;
    // Finds out now what would be wrong at each connection.
    credentials.read_into(&client)?;
    Ok((Source::Client(client), address, session))
}

/// The settings of a connection as this backend uses them, and what it does itself.
pub(super) fn adjusted(info: &ConnectionInfo) -> (ConnectionInfo, Session) {
    // Only with RESP3 does redis-rs tell when an idle connection is lost.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let (session, settings) = Session::taken_from(settings);
    let tcp = kept_alive(info.tcp_settings().clone());
    (info.clone().set_redis_settings(settings).set_tcp_settings(tcp), session)
}

pub(super) fn opened(info: ConnectionInfo) -> Result<Client> {
    Client::open(info).map_err(|error| invalid("the client cannot be used").with_source(error))
}

/// Where a server is, for people.
fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            host_and_port(host, *port)
        }
        other => other.to_string(),
    }
}

pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_a_url_writes_it() {
        for (url, shown) in [
            ("redis://[::1]:7411/3", "[::1]:7411/3"),
            ("redis://[fe80::1]", "[fe80::1]:6379"),
            ("valkey://localhost:7", "localhost:7"),
            ("unix:///run/redis.sock?db=1", "/run/redis.sock/1"),
        ] {
            let client = Client::open(url).unwrap();
            assert_eq!(own(&client, &Credentials::default()).unwrap().1, shown);
        }
    }
}
