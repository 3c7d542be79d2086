//! The words that are options of every lock.

use lock_core::{LockOptions, OnLost};

use super::settings::Settings;
use super::word::{Kind, Word};

pub(super) const TTL: Word = Word::new("ttl", Kind::Duration);
pub(super) const WAIT: Word = Word::new("wait", Kind::DurationOr(FOREVER));
const KEEP_ALIVE: Word = Word::new("keep_alive", Kind::FlagOr(IF_SUPPORTED));
pub(super) const MAX_HOLD: Word = Word::new("max_hold", Kind::DurationOr(NONE));
pub(super) const MIN_HOLD: Word = Word::new("min_hold", Kind::Duration);
const ON_LOST: Word = Word::new("on_lost", Kind::OneOf(&[CANCEL, CONTINUE]));
const REQUIRE_FENCING: Word = Word::new("require_fencing", Kind::Flag);

pub(super) const NONE: &str = "none";
pub(super) const FOREVER: &str = "forever";
const IF_SUPPORTED: &str = "if_supported";
const CANCEL: &str = "cancel";
const CONTINUE: &str = "continue";

pub(super) const WORDS: &[Word] =
    &[TTL, WAIT, KEEP_ALIVE, MAX_HOLD, MIN_HOLD, ON_LOST, REQUIRE_FENCING];

/// The program's options, changed where the configuration says otherwise.
pub(super) fn apply(settings: &Settings, mut options: LockOptions) -> LockOptions {
    if let Some(ttl) = settings.duration(&TTL) {
        options = options.ttl(ttl);
    }
    if let Some(wait) = settings.duration(&WAIT) {
        options = options.wait(wait);
    }
    if settings.choice(&WAIT) == Some(FOREVER) {
        options = options.wait_forever();
    }
    if let Some(max_hold) = settings.duration(&MAX_HOLD) {
        options = options.max_hold(max_hold);
    }
    if settings.choice(&MAX_HOLD) == Some(NONE) {
        options = options.max_hold(None);
    }
    if let Some(min_hold) = settings.duration(&MIN_HOLD) {
        options = options.min_hold(min_hold);
    }
    match settings.choice(&ON_LOST) {
        Some(CANCEL) => options = options.on_lost(OnLost::Cancel),
        Some(CONTINUE) => options = options.on_lost(OnLost::Continue),
        _ => {}
    }
    match settings.flag(&KEEP_ALIVE) {
        Some(true) => options = options.keep_alive(),
        Some(false) => options = options.fixed_lease(),
        None => {}
    }
    if settings.choice(&KEEP_ALIVE) == Some(IF_SUPPORTED) {
        options = options.keep_alive_if_supported();
    }
    match settings.flag(&REQUIRE_FENCING) {
        Some(true) => options.require_fencing(),
        Some(false) => options.allow_unfenced(),
        None => options,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(texts: &[(&Word, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (word, text) in texts {
            settings.read(word, text, word.name).unwrap();
        }
        settings
    }

    #[test]
    fn every_word_sets_its_option() {
        let seconds = Duration::from_secs;
        let options = LockOptions::new;
        for (word, text, expected) in [
            (&TTL, "1s", options().ttl(seconds(1))),
            (&WAIT, "0s", options().wait(Duration::ZERO)),
            (&WAIT, "2s", options().wait(seconds(2))),
            (&WAIT, "forever", options().wait_forever()),
            (&KEEP_ALIVE, "true", options().keep_alive()),
            (&KEEP_ALIVE, "false", options()),
            (&KEEP_ALIVE, "if_supported", options().keep_alive_if_supported()),
            (&MAX_HOLD, "3m", options().max_hold(seconds(180))),
            (&MAX_HOLD, "none", options()),
            (&MIN_HOLD, "4s", options().min_hold(seconds(4))),
            (&ON_LOST, "continue", options().on_lost(OnLost::Continue)),
            (&ON_LOST, "cancel", options()),
            (&REQUIRE_FENCING, "true", options().require_fencing()),
            (&REQUIRE_FENCING, "false", options()),
        ] {
            let applied = apply(&settings(&[(word, text)]), options());
            assert_eq!(applied, expected, "{}={text}", word.name);
        }
    }

    #[test]
    fn the_configuration_counts_more_than_the_program_and_keeps_the_rest() {
        let program = LockOptions::new().wait_forever().on_lost(OnLost::Continue).keep_alive();
        let program = program.max_hold(Duration::from_secs(90)).require_fencing();
        let said = settings(&[
            (&WAIT, "1s"),
            (&ON_LOST, "cancel"),
            (&KEEP_ALIVE, "false"),
            (&MAX_HOLD, "none"),
            (&REQUIRE_FENCING, "false"),
        ]);
        let expected = LockOptions::new().wait(Duration::from_secs(1));
        assert_eq!(apply(&said, program.clone()), expected);
        assert_eq!(apply(&Settings::default(), program.clone()), program);
    }
}
