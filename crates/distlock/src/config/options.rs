//! The words that are options of every lock.

use lock_core::LockOptions;

use super::settings::Settings;
use super::word::{Kind, Word};

pub(super) const TTL: Word = Word::new("ttl", Kind::Duration);

pub(super) const WORDS: &[Word] = &[TTL];

/// The program's options, changed where the configuration says otherwise.
pub(super) fn apply(settings: &Settings, options: LockOptions) -> LockOptions {
    settings.duration(&TTL).into_iter().fold(options, LockOptions::ttl)
}
