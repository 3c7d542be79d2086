//! What all readers of a configuration share: the error, the guess at a word, and percent-decoding.

use std::borrow::Cow;

use lock_core::{LockError, LockErrorKind};
use percent_encoding::percent_decode_str;

/// An error of the configuration.
pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied().with_operation("connect")
}

/// The known word that was perhaps meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let distances =
        known.into_iter().map(|known| (strsim::damerau_levenshtein(&word, known), known));
    // Up to a third of the letters may be wrong; a guess beyond that does not help.
    distances.min().filter(|(distance, known)| distance * 3 <= known.len()).map(|(_, known)| known)
}

/// Undoes the percent-encoding of a part of a URL. The part may be a secret, so no error shows it.
pub(crate) fn decode(encoded: &str, part: &str) -> Result<String, LockError> {
    let is_escape =
        |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !encoded.split('%').skip(1).all(is_escape) {
        return Err(invalid(format!(
            "the URL's {part} contains a `%` without two hex digits after it; write `%` as %25"
        )));
    }
    let decoded = percent_decode_str(encoded).decode_utf8();
    let decoded = decoded.map_err(|_| invalid(format!("the URL's {part} is not UTF-8")))?;
    Ok(decoded.into_owned())
}

/// A text for a message, cut if it is long.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        None => text.into(),
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()).into(),
    }
}

/// Whether a text stands in quotes. Shells take them away; other programs that set variables leave
/// them there.
pub(crate) fn is_quoted(text: &str) -> bool {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    text.len() > 1 && quote.is_some_and(|quote| text.ends_with(quote))
}

/// The parts as an enumeration: `a, b or c`.
pub(crate) fn either(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 3] = ["namespace", "key_prefix", "ttl"];

    #[test]
    fn near_misses_are_recognised_and_guesses_are_not_made() {
        assert_eq!(nearest("namspace", WORDS), Some("namespace"));
        assert_eq!(nearest("keyprefix", WORDS), Some("key_prefix"));
        assert_eq!(nearest("TTL", WORDS), Some("ttl"));
        assert_eq!(nearest("password", WORDS), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(clip("é"), "é");
        let long = "é".repeat(2_000);
        assert_eq!(clip(&long), format!("{}… (2000 characters)", "é".repeat(60)));
    }

    #[test]
    fn a_text_in_quotes_is_recognised() {
        for text in ["\"a\"", "'redis://h'", "\"\""] {
            assert!(is_quoted(text), "{text}");
        }
        for text in ["", "\"", "'a", "a'", "it's", "\"a'"] {
            assert!(!is_quoted(text), "{text}");
        }
    }

    #[test]
    fn an_enumeration_ends_with_or() {
        assert_eq!(either(&["a"]), "a");
        assert_eq!(either(&["a", "b", "c"]), "a, b or c");
    }
}
