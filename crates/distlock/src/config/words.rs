//! All words of a configuration: those of every store, the options of locks, those of each scheme.

use std::sync::LazyLock;

use super::text::{either, nearest};
use super::word::Word;
use super::{options, scheme, settings};

/// What other programs call a setting, the words that mean it here, and whether it has a place in the
/// URL of a server.
const ELSEWHERE: &[(&[&str], &[&str], bool)] = &[
    (&["password", "passwd", "pass", "auth"], &["password_file"], true),
    (&["user", "username", "host", "port", "db", "database"], &[], true),
    (&["prefix"], &["namespace", "key_prefix"], false),
    (&["timeout"], &["wait", "response_timeout"], false),
    (&["token", "api_token"], &["api_token_file"], false),
];

/// Every word, in the order in which messages list them.
pub(super) fn all() -> impl Iterator<Item = &'static Word> {
    settings::WORDS.iter().chain(options::WORDS).chain(scheme::words())
}

/// The names of all words.
pub(super) fn names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| all().map(|word| word.name).collect());
    &NAMES
}

/// The word of this name.
pub(super) fn find(name: &str) -> Option<&'static Word> {
    all().find(|word| word.name == name)
}

/// What was perhaps meant by a name that is none of `known`, for a message. `show` writes a word as it
/// stands there, and `url` is what the URL is called there.
pub(super) fn guess(
    name: &str,
    known: impl IntoIterator<Item = &'static str>,
    show: impl Fn(&str) -> String,
    url: &str,
) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let elsewhere = ELSEWHERE.iter().find(|(names, ..)| names.contains(&name.as_str()));
    let Some((_, words, is_in_url)) = elsewhere else {
        return nearest(&name, known).map(|near| format!("did you mean {}?", show(near)));
    };
    let words: Vec<String> = words.iter().map(|word| show(word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut guess = Vec::new();
    if !words.is_empty() {
        guess.push(format!("did you mean {}?", either(&words)));
    }
    if *is_in_url {
        let or = if words.is_empty() { "" } else { "or " };
        guess.push(format!(
            "{or}write it into {url}, as in redis://USER:PASSWORD@HOST:PORT/DATABASE"
        ));
    }
    Some(guess.join(" "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_belongs_to_one_word() {
        let distinct: BTreeSet<&str> = names().iter().copied().collect();
        assert_eq!(distinct.len(), names().len());
    }

    #[test]
    fn what_a_setting_is_called_elsewhere_is_answered_with_words_that_there_are() {
        for (elsewhere, words, _) in ELSEWHERE {
            assert!(words.iter().all(|word| find(word).is_some()), "{words:?}");
            assert!(elsewhere.iter().all(|name| find(name).is_none()), "{elsewhere:?}");
        }
    }
}
