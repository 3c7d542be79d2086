//! All words of a configuration: those of every store, the options of locks, those of each scheme.

use std::sync::LazyLock;

use super::word::Word;
use super::{options, scheme, settings};

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_belongs_to_one_word() {
        let distinct: BTreeSet<&str> = names().iter().copied().collect();
        assert_eq!(distinct.len(), names().len());
    }
}
