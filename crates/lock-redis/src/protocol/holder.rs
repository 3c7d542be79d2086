//! Whose the value of a lock's key is, and whose an entry of its queue.

use lock_core::backend::OwnerToken;

/// The value of a lock's key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// This token holds the lock, or has released it and keeps the name taken.
    Ours { token: OwnerToken, has_released: bool },
    /// Somebody else's: this much of it can be shown.
    Other(String),
}

/// A lock that is held by a token. What differs says how it is to be released.
const HELD: [&[u8]; 3] = [b"dl:", b"dl+", b"dl*"];
/// A name that stays taken for the rest of `min_hold`.
const RELEASED: &[u8] = b"min:";
/// So much is shown of what another program has stored.
const MAX_SHOWN_CHARS: usize = 48;
/// So much is shown of what may be an owner token of this library.
const MAX_SHOWN_OF_OURS: usize = 8;
const TOKEN_DIGITS: usize = 32;

/// Reads the value of a lock's key.
pub(crate) fn value(stored: &[u8]) -> Value {
    let (rest, has_released) = match stored.strip_prefix(RELEASED) {
        Some(rest) => (rest, true),
        None => (stored, false),
    };
    let digits = HELD.iter().find_map(|mark| rest.strip_prefix(*mark));
    match digits.and_then(token) {
        Some(token) => Value::Ours { token, has_released },
        None => Value::Other(shown(stored)),
    }
}

/// The token of an entry of the queue: the first of its words that is one.
pub(crate) fn entry(member: &[u8]) -> Option<OwnerToken> {
    member.split(|&byte| byte == b' ').find_map(token)
}

fn token(digits: &[u8]) -> Option<OwnerToken> {
    let is_one = digits.len() == TOKEN_DIGITS && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_one)?;
    let number = u128::from_str_radix(digits, 16).ok()?;
    Some(OwnerToken::from_bytes(number.to_be_bytes()))
}

/// What can be shown of a value: never a whole owner token of this library, whichever form it has,
/// and nothing that a terminal takes for a command.
fn shown(stored: &[u8]) -> String {
    let is_like_ours = token(stored).is_some()
        || stored.starts_with(RELEASED)
        || HELD.iter().any(|mark| stored.starts_with(mark));
    let most = if is_like_ours { MAX_SHOWN_OF_OURS } else { MAX_SHOWN_CHARS };
    // No character has more than four bytes.
    let text = String::from_utf8_lossy(&stored[..stored.len().min(4 * (most + 1))]);
    let mut shown: String = text.chars().take(most).flat_map(char::escape_debug).collect();
    if text.chars().count() > most {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_value_of_ours_is_a_token_in_any_of_its_forms() {
        let token = token(DIGITS.as_bytes()).unwrap();
        assert_eq!(token.to_string(), DIGITS);
        let forms = [("dl:", false), ("dl+", false), ("dl*", false), ("min:dl:", true)];
        for (before, has_released) in forms {
            let stored = format!("{before}{DIGITS}");
            assert_eq!(value(stored.as_bytes()), Value::Ours { token, has_released });
        }
        assert_eq!(entry(format!("1 {DIGITS} dl:c:{DIGITS} 2000").as_bytes()), Some(token));
        assert_eq!(entry(b"1 2000"), None);
    }

    #[test]
    fn a_foreign_value_is_shown_short_and_no_token_of_ours_whole() {
        let shown = |stored: &str| match value(stored.as_bytes()) {
            Value::Other(shown) => shown,
            ours => panic!("{ours:?}"),
        };
        assert_eq!(shown("ADDED:2026-11-26@node-7"), "ADDED:2026-11-26@node-7");
        assert_eq!(shown("a\"\u{1b}[2J\n"), "a\\\"\\u{1b}[2J\\n");
        assert_eq!(shown(&"ü".repeat(1_000)), format!("{}…", "ü".repeat(48)));
        for stored in [DIGITS.to_owned(), format!("dl:{DIGITS}0"), format!("min:{DIGITS}")] {
            assert_eq!(shown(&stored).chars().count(), MAX_SHOWN_OF_OURS + 1, "{stored}");
        }
        assert_eq!(value(b"\xff"), Value::Other("\u{fffd}".to_owned()));
    }

    proptest! {
        #[test]
        fn no_value_makes_reading_panic(stored in any::<Vec<u8>>()) {
            drop(value(&stored));
            prop_assert!(entry(&stored).is_none() || stored.len() >= TOKEN_DIGITS);
        }
    }
}
