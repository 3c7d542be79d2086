//! What messages quote: names and addresses.

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

/// Host and port, with an IPv6 address in brackets: `localhost:6379`, `[::1]:6379`.
#[must_use]
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
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
