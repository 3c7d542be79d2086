//! What messages quote: names, addresses, and the alerts of TLS.

use std::borrow::Cow;

/// A longer text is cut to this length in a message.
const MAX_QUOTED_CHARS: usize = 120;

/// A text in quotes, with its control characters escaped; a long one is cut, and its length is said.
#[must_use]
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} characters)", &text[..end], text.chars().count()),
    }
}

/// A text as it is, or cut if it has more than `most` bytes.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    text.chars().take(MAX_QUOTED_CHARS).chain(['…']).collect()
}

/// Host and port, with an IPv6 address in brackets: `localhost:6379`, `[::1]:6379`.
#[must_use]
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What a TLS alert says of the certificate that this client showed, in the words of rustls: to whom,
/// such as `server`, and where that is.
#[must_use]
pub fn client_certificate(cause: &str, role: &str, address: Option<&str>) -> Option<String> {
    const REFUSED: [&str; 6] = [
        "AccessDenied",
        "BadCertificate",
        "CertificateExpired",
        "CertificateUnknown",
        "DecryptError",
        "UnknownCA",
    ];
    let (_, alert) = cause.split_once("fatal alert: ")?;
    let at = address.map(|address| format!(" at {address}")).unwrap_or_default();
    if alert.contains("CertificateRequired") {
        return Some(format!(
            "the {role}{at} requires a TLS certificate from its clients; set tls_cert_file and \
             tls_key_file"
        ));
    }
    REFUSED.iter().any(|refused| alert.contains(refused)).then(|| {
        format!(
            "the {role}{at} did not accept this client's TLS certificate ({alert}); tls_cert_file \
             must hold one that the {role}'s authority has signed and that has not expired"
        )
    })
}

/// What to do about a server's certificate that was not accepted, by the words of rustls.
#[must_use]
pub fn about_server_certificate(cause: &str) -> &'static str {
    if cause.contains("valid for name") || cause.contains("NotValidForName") {
        "connect to a name that it is for, or set tls_server_name to one"
    } else {
        "to trust other roots than the system's, set tls_ca_file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_its_length_is_said() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        let text = quoted(&"ü".repeat(2_000));
        assert!(text.ends_with("ü\"… (2000 characters)"), "{text}");
        assert_eq!(text.chars().filter(|&c| c == 'ü').count(), MAX_QUOTED_CHARS);
        assert!(!quoted(&"x".repeat(MAX_QUOTED_CHARS)).contains('…'));
    }

    #[test]
    fn only_what_is_too_long_is_shortened() {
        let longest = "x".repeat(1_024);
        assert_eq!(shortened(&longest, 1_024), longest);
        let shortened = shortened(&"ü".repeat(1_024), 1_024).into_owned();
        assert_eq!(shortened.chars().count(), MAX_QUOTED_CHARS + 1);
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        for (host, text) in [
            ("localhost", "localhost:7"),
            ("127.0.0.1", "127.0.0.1:7"),
            ("::1", "[::1]:7"),
            ("[::1]", "[::1]:7"),
            ("fe80::1%eth0", "[fe80::1%eth0]:7"),
        ] {
            assert_eq!(host_and_port(host, 7), text);
        }
    }
}
