//! The forms in which Dapr lets the address of a sidecar be written.
//!
//! They come from Dapr's proposal "Sidecar endpoint TLS": gRPC's name syntax or a URL. The scheme or
//! `?tls=` turns TLS on.

use std::fmt;

use lock_core::message_text::quoted;
use lock_core::{LockError, LockErrorKind, Result};
use tonic::transport::Endpoint;

/// The port that Dapr's clients use if none is given.
const DEFAULT_PORT: u16 = 443;
const DEFAULT_HOST: &str = "127.0.0.1";
const FORMS: &str = "HOST:PORT, dns:HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH";

/// The address of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp { host: String, port: u16, is_tls: bool },
    Unix { path: String },
}

impl Address {
    /// Reads any of the documented forms.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(invalid(format!("the endpoint is empty; write {FORMS}")));
        }
        if text.contains('@') {
            // The text in front of it may be a secret, so the message does not show it.
            return Err(invalid(
                "the endpoint contains an `@`; a sidecar takes no user name, and its token goes \
                 into api_token or DAPR_API_TOKEN",
            ));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid("the endpoint contains a space or a control character"));
        }
        let (base, query) = match text.split_once('?') {
            Some((base, query)) => (base, Some(query)),
            None => (text, None),
        };
        let tls = query.map(tls_of).transpose()?;
        match split_scheme(base) {
            ("", rest) => tcp(rest, tls.unwrap_or(false)),
            ("dns", rest) => tcp(without_authority(rest)?, tls.unwrap_or(false)),
            ("http", rest) => tcp(url_part(rest)?, agreeing(false, tls)?),
            ("https", rest) => tcp(url_part(rest)?, agreeing(true, tls)?),
            ("unix", rest) => unix(rest, tls),
            (scheme, _) => Err(invalid(format!(
                "the endpoint's scheme `{scheme}` is not supported; write {FORMS}"
            ))),
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { is_tls: true, .. })
    }

    /// The endpoint as tonic takes it, with the system's roots where it has TLS.
    pub(crate) fn open(&self) -> Result<Endpoint> {
        let endpoint = self.open_plain()?;
        if self.is_tls() { secured(endpoint) } else { Ok(endpoint) }
    }

    /// The endpoint without what TLS needs.
    pub(crate) fn open_plain(&self) -> Result<Endpoint> {
        let uri = match self {
            Self::Tcp { is_tls: true, .. } if cfg!(not(feature = "tls")) => {
                return Err(invalid(
                    "the endpoint asks for TLS, which needs the feature `tls`; turn it on (without \
                     it, the API token would be sent in plain text)",
                ));
            }
            Self::Tcp { host, port, is_tls: true } => format!("https://{host}:{port}"),
            Self::Tcp { host, port, is_tls: false } => format!("http://{host}:{port}"),
            Self::Unix { path } => format!("unix:{path}"),
        };
        Endpoint::from_shared(uri).map_err(|error| {
            let message = format!("the endpoint's host is not valid; write {FORMS}");
            invalid(message).with_source(error)
        })
    }
}

#[cfg(feature = "tls")]
fn secured(endpoint: Endpoint) -> Result<Endpoint> {
    let roots = tonic::transport::ClientTlsConfig::new().with_enabled_roots();
    let secured = endpoint.tls_config(roots);
    secured.map_err(|error| invalid("TLS cannot be set up for the endpoint").with_source(error))
}

/// Never called: such endpoints are refused.
#[cfg(not(feature = "tls"))]
fn secured(endpoint: Endpoint) -> Result<Endpoint> {
    Ok(endpoint)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, is_tls: false } => write!(f, "{host}:{port}"),
            Self::Tcp { host, port, is_tls: true } => write!(f, "https://{host}:{port}"),
            Self::Unix { path } => write!(f, "unix:{path}"),
        }
    }
}

/// Splits `SCHEME:REST` if gRPC or Dapr knows the scheme; otherwise all of the text is the rest.
fn split_scheme(text: &str) -> (&str, &str) {
    const GRPC: [&str; 8] =
        ["dns", "unix", "unix-abstract", "vsock", "ipv4", "ipv6", "xds", "passthrough"];
    match text.split_once(':') {
        Some((scheme, rest)) if rest.starts_with("//") || GRPC.contains(&scheme) => (scheme, rest),
        _ => ("", text),
    }
}

/// The name in `dns:NAME` or `dns:///NAME`. `dns://SERVER/NAME` names a DNS server and is refused.
fn without_authority(rest: &str) -> Result<&str> {
    let Some(hierarchical) = rest.strip_prefix("//") else { return Ok(rest) };
    hierarchical.strip_prefix('/').ok_or_else(|| {
        invalid("the endpoint names a DNS server, which is not supported; write dns:HOST:PORT")
    })
}

/// The part behind `http:`, without its slashes.
fn url_part(rest: &str) -> Result<&str> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Err(invalid("the endpoint has no host; write http://HOST:PORT"));
    }
    Ok(rest)
}

fn tls_of(query: &str) -> Result<bool> {
    match query {
        "tls=true" => Ok(true),
        "tls=false" => Ok(false),
        _ => Err(invalid(
            "the endpoint has an unknown parameter; only `?tls=true` and `?tls=false` are accepted",
        )),
    }
}

fn agreeing(by_scheme: bool, by_query: Option<bool>) -> Result<bool> {
    match by_query {
        Some(tls) if tls != by_scheme => Err(invalid(
            "the endpoint's scheme and its parameter `tls` contradict each other; leave `tls` out",
        )),
        _ => Ok(by_scheme),
    }
}

fn tcp(text: &str, is_tls: bool) -> Result<Address> {
    if text.contains(['/', '#', '%']) {
        return Err(invalid(format!(
            "the endpoint has more than a host and a port; write {FORMS}"
        )));
    }
    let (host, port) = split_port(text)?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !is_bracketed {
        return Err(invalid("the endpoint's IPv6 address needs brackets; write [::1]:50001"));
    }
    let host = if host.is_empty() { DEFAULT_HOST } else { host };
    Ok(Address::Tcp { host: host.to_owned(), port, is_tls })
}

fn split_port(text: &str) -> Result<(&str, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        // The last colon is part of an IPv6 address that has no port.
        Some((_, after)) if after.ends_with(']') => (text, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let Some(port) = port else { return Ok((host, DEFAULT_PORT)) };
    let number = port.parse().ok().filter(|&number| number != 0);
    let number = number.ok_or_else(|| {
        invalid(format!("the endpoint's port is {}; it must be 1 to 65535", quoted(port)))
    })?;
    Ok((host, number))
}

fn unix(rest: &str, tls: Option<bool>) -> Result<Address> {
    if tls == Some(true) {
        return Err(invalid("the endpoint asks for TLS on a Unix socket; leave `tls` out"));
    }
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let is_whole = rest.len() == path.len() || path.starts_with('/');
    if path.is_empty() || !is_whole {
        return Err(invalid(
            "the endpoint's socket has no path; write unix:PATH or unix:///ABSOLUTE/PATH",
        ));
    }
    Ok(Address::Unix { path: path.to_owned() })
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        for (text, shown) in [
            ("myhost", "myhost:443"),
            ("myhost:50001", "myhost:50001"),
            (":50001", "127.0.0.1:50001"),
            (":50001?tls=true", "https://127.0.0.1:50001"),
            (" 127.0.0.1:50001 ", "127.0.0.1:50001"),
            ("myhost:50001?tls=false", "myhost:50001"),
            ("myhost?tls=true", "https://myhost:443"),
            ("dns:myhost:50001", "myhost:50001"),
            ("dns:///myhost:50001", "myhost:50001"),
            ("dns:///myhost?tls=true", "https://myhost:443"),
            ("http://127.0.0.1:50001", "127.0.0.1:50001"),
            ("http://myhost:50001/", "myhost:50001"),
            ("https://myhost", "https://myhost:443"),
            ("https://myhost:8443?tls=true", "https://myhost:8443"),
            ("[::1]:50001", "[::1]:50001"),
            ("[::1]", "[::1]:443"),
            ("dns:[::1]:50001", "[::1]:50001"),
            ("unix:/run/dapr.sock", "unix:/run/dapr.sock"),
            ("unix:///run/dapr.sock", "unix:/run/dapr.sock"),
            ("unix:dapr.sock", "unix:dapr.sock"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_a_cure() {
        for (text, cure) in [
            ("", "is empty"),
            ("host:0", "1 to 65535"),
            ("host:port", "1 to 65535"),
            ("host:99999", "1 to 65535"),
            ("::1", "needs brackets"),
            ("host:1/path", "more than a host and a port"),
            ("http://", "no host"),
            ("https://host?tls=false", "contradict"),
            ("http://host?tls=true", "contradict"),
            ("host?tls=yes", "?tls=true"),
            ("host?tls=true&x=1", "unknown parameter"),
            ("dns://1.1.1.1/host", "dns:HOST:PORT"),
            ("dns://host:1", "dns:HOST:PORT"),
            ("ftp://host", "`ftp` is not supported"),
            ("vsock:1:2", "`vsock` is not supported"),
            ("unix-abstract:x", "`unix-abstract` is not supported"),
            ("unix:", "no path"),
            ("unix://run/dapr.sock", "no path"),
            ("unix:/x?tls=true", "Unix socket"),
            ("http://a b:1", "a space"),
        ] {
            let parsed = Address::parse(text).and_then(|address| address.open().map(drop));
            let error = parsed.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig, "{text}");
            assert!(error.to_string().contains(cure), "{text}: {error}");
        }
    }

    #[test]
    fn a_secret_in_an_endpoint_is_refused_and_not_shown() {
        let error = Address::parse("http://user:s3cret@host:1").unwrap_err();
        assert!(error.to_string().contains("api_token"), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }

    #[test]
    fn tls_is_refused_while_its_feature_is_off() {
        for text in ["https://host:1", "host:1?tls=true"] {
            let opened = Address::parse(text).unwrap().open();
            assert_eq!(opened.is_ok(), cfg!(feature = "tls"), "{text}");
            if let Err(error) = opened {
                assert!(error.to_string().contains("feature `tls`"), "{error}");
            }
        }
    }
}
