//! The words that are options of every lock.

use lock_core::{LockError, LockOptions, LockService, OnLost, Result};

use super::settings::Settings;
use super::text::invalid;
use super::word::{Kind, Word};

pub(super) const TTL: Word = Word::new("ttl", Kind::Duration);
const WAIT: Word = Word::new("wait", Kind::DurationOr(FOREVER));
const KEEP_ALIVE: Word = Word::new("keep_alive", Kind::Flag);
const MAX_HOLD: Word = Word::new("max_hold", Kind::Duration);
const MIN_HOLD: Word = Word::new("min_hold", Kind::Duration);
const ON_LOST: Word = Word::new("on_lost", Kind::OneOf(&[CANCEL, CONTINUE]));
const REQUIRE_FENCING: Word = Word::new("require_fencing", Kind::Flag);

const FOREVER: &str = "forever";
const CANCEL: &str = "cancel";
const CONTINUE: &str = "continue";

pub(super) const WORDS: &[Word] =
    &[TTL, WAIT, KEEP_ALIVE, MAX_HOLD, MIN_HOLD, ON_LOST, REQUIRE_FENCING];

/// The lock whose options are checked in place of those that the program will take.
const PROBE: &str = "x";

/// The program's options, changed where the configuration says otherwise.
pub(super) fn apply(settings: &Settings, mut options: LockOptions) -> Result<LockOptions> {
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
    if let Some(min_hold) = settings.duration(&MIN_HOLD) {
        options = options.min_hold(min_hold);
    }
    match settings.choice(&ON_LOST) {
        Some(CANCEL) => options = options.on_lost(OnLost::Cancel),
        Some(CONTINUE) => options = options.on_lost(OnLost::Continue),
        _ => {}
    }
    options = switch(settings, &KEEP_ALIVE, options, LockOptions::keep_alive)?;
    switch(settings, &REQUIRE_FENCING, options, LockOptions::require_fencing)
}

/// Checks the options of a lock that sets none itself: against each other, and against what the
/// store can do.
///
/// A mistake is then reported when the program starts, and not by the first lock that it takes.
pub(super) fn check(service: &LockService) -> Result<()> {
    let checked = service.lock(PROBE).check();
    checked.map_err(|error| {
        let text = error.to_string();
        // The program does not know this lock.
        let about_probe = format!("{} {PROBE:?}: ", error.operation());
        let cause = text.strip_prefix(&about_probe).unwrap_or(&text).to_owned();
        LockError::new(error.kind(), cause).not_applied().with_operation("connect")
    })
}

/// Sets an option that is on or off.
///
/// Such an option can be turned on only, so `false` is refused where the program turned it on.
fn switch(
    settings: &Settings,
    word: &Word,
    options: LockOptions,
    turn_on: fn(LockOptions) -> LockOptions,
) -> Result<LockOptions> {
    let turned_on = turn_on(options.clone());
    match settings.flag(word) {
        Some(true) => Ok(turned_on),
        Some(false) if turned_on == options => Err(invalid(format!(
            "{} is false, but the program's own defaults turn it on, and it cannot be turned off \
             again; remove it from one of the two",
            word.name
        ))),
        _ => Ok(options),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lock_core::LockErrorKind;

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
            (&MAX_HOLD, "3m", options().max_hold(seconds(180))),
            (&MIN_HOLD, "4s", options().min_hold(seconds(4))),
            (&ON_LOST, "continue", options().on_lost(OnLost::Continue)),
            (&ON_LOST, "cancel", options()),
            (&REQUIRE_FENCING, "true", options().require_fencing()),
            (&REQUIRE_FENCING, "false", options()),
        ] {
            let applied = apply(&settings(&[(word, text)]), options()).unwrap();
            assert_eq!(applied, expected, "{}={text}", word.name);
        }
    }

    #[test]
    fn the_configuration_counts_more_than_the_program_and_keeps_the_rest() {
        let program = LockOptions::new().wait_forever().on_lost(OnLost::Continue).metadata("host");
        let said = settings(&[(&WAIT, "1s"), (&ON_LOST, "cancel")]);
        let expected = LockOptions::new().wait(Duration::from_secs(1)).metadata("host");
        assert_eq!(apply(&said, program.clone()).unwrap(), expected);
        assert_eq!(apply(&Settings::default(), program.clone()).unwrap(), program);
    }

    #[test]
    fn what_the_program_turned_on_is_not_silently_left_on() {
        let program = LockOptions::new().keep_alive();
        let error = apply(&settings(&[(&KEEP_ALIVE, "false")]), program.clone()).unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        assert!(error.to_string().contains("keep_alive is false"), "{error}");
        let other = settings(&[(&REQUIRE_FENCING, "false")]);
        assert_eq!(apply(&other, program.clone()).unwrap(), program);
    }
}
