//! Durations as people write and read them: `"30s"`, `24 days`.

use std::time::Duration;

const EXAMPLES: &str = r#"write a number and a unit, such as "500ms", "1.5s", "5m" or "1h""#;
/// Beyond, a number of any unit is too long, and a fraction too fine.
const MAX_DIGITS: usize = 18;

/// Reads a number with one of the units `ms`, `s`, `m`, `h`. It may have a fraction, of whole
/// milliseconds: `1.5s`.
///
/// # Errors
///
/// What is wrong with the text, and what to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if [whole, fraction].iter().any(|digits| digits.is_empty() || digits.contains('.')) {
        return Err(format!("it is not a duration; {EXAMPLES}"));
    }
    if whole.len() > MAX_DIGITS {
        return Err("it is too long".to_owned());
    }
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "" => return Err(without_unit(number)),
        _ => return Err(format!("its unit is unknown; {EXAMPLES}")),
    };
    let fraction = fraction.trim_end_matches('0');
    let too_fine = || "it is finer than a millisecond".to_owned();
    if fraction.len() > MAX_DIGITS {
        return Err(too_fine());
    }
    let digits = format!("{whole}{fraction}");
    // Up to 36 digits, and seven more of the unit: this fits into 128 bits.
    let scaled = digits.parse::<u128>().map_err(|_| EXAMPLES)? * u128::from(millis_per_unit);
    let scale = fraction.chars().fold(1_u128, |scale, _| scale * 10);
    if !scaled.is_multiple_of(scale) {
        return Err(too_fine());
    }
    let millis = u64::try_from(scaled / scale).map_err(|_| "it is too long")?;
    Ok(Duration::from_millis(millis))
}

/// A large number is more often meant in milliseconds.
fn without_unit(number: &str) -> String {
    if number.contains('.') {
        return format!("it has no unit; write \"{number}s\"");
    }
    let (likely, other) = if number.len() < 3 { ("s", "ms") } else { ("ms", "s") };
    format!("it has no unit; write \"{number}{likely}\" or \"{number}{other}\"")
}

/// Writes a duration so that [`parse`] reads it again; `None` if it is not a whole number of
/// milliseconds.
#[must_use]
pub fn format(duration: Duration) -> Option<String> {
    let millis = u64::try_from(duration.as_millis()).ok()?;
    if Duration::from_millis(millis) != duration {
        return None;
    }
    let units = [(60 * 60 * 1_000, "h"), (60 * 1_000, "m"), (1_000, "s"), (1, "ms")];
    let fits = |&(unit, _): &(u64, &str)| millis != 0 && millis.is_multiple_of(unit);
    let (unit, name) = units.into_iter().find(fits).unwrap_or((1_000, "s"));
    Some(format!("{}{name}", millis / unit))
}

/// Shows a duration in the units that a person would use, and leaves nothing out: `500ms`, `90s`,
/// `2m 30s`, `24 days`.
#[must_use]
pub fn exact(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, " days"), (3_600, "h"), (60, "m"), (1, "s")];

    if duration.is_zero() {
        return "0s".to_owned();
    }
    // `90s` and not `1m 30s`, as settings are written.
    if duration < Duration::from_secs(120) {
        return format!("{duration:?}");
    }
    let mut left = duration.as_secs();
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        let count = left / unit;
        left %= unit;
        match count {
            0 => {}
            1 if name == " days" => parts.push("1 day".to_owned()),
            _ => parts.push(format!("{count}{name}")),
        }
    }
    match duration.subsec_nanos() {
        0 => {}
        nanos => parts.push(format!("{:?}", Duration::from_nanos(nanos.into()))),
    }
    parts.join(" ")
}

/// As [`exact`], but rounded down to what a person wants to know of a time that was measured:
/// `1.5s`, `42s`, `2m 30s`, `3h 5m`.
#[must_use]
pub fn rounded(duration: Duration) -> String {
    const UNITS: [(u64, u64); 6] = [
        (86_400_000_000, 3_600_000_000),
        (3_600_000_000, 60_000_000),
        (10_000_000, 1_000_000),
        (1_000_000, 100_000),
        (10_000, 1_000),
        (1_000, 100),
    ];

    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let unit = UNITS.into_iter().find(|&(from, _)| micros >= from).map_or(1, |(_, unit)| unit);
    exact(Duration::from_micros(micros - micros % unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_shown_in_the_units_that_a_person_would_use() {
        let day = 86_400;
        for (seconds, text) in [
            (0, "0s"),
            (30, "30s"),
            (60, "60s"),
            (90, "90s"),
            (120, "2m"),
            (150, "2m 30s"),
            (3_600, "1h"),
            (2_073_600, "24 days"),
            (day + 5, "1 day 5s"),
            (2 * day + 3_661, "2 days 1h 1m 1s"),
        ] {
            assert_eq!(exact(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn nothing_is_left_out_of_a_setting() {
        let nanosecond = Duration::from_nanos(1);
        assert_eq!(exact(Duration::from_millis(300) - nanosecond), "299.999999ms");
        assert_eq!(exact(Duration::from_secs(86_400) + nanosecond), "1 day 1ns");
        assert_ne!(exact(Duration::MAX), exact(Duration::MAX - nanosecond));
    }

    #[test]
    fn a_time_that_was_measured_is_rounded_down() {
        for (micros, text) in [
            (0, "0s"),
            (7, "7µs"),
            (1_234, "1.2ms"),
            (56_789, "56ms"),
            (1_567_890, "1.5s"),
            (42_999_999, "42s"),
            (150_400_000, "2m 30s"),
            (11_159_000_000, "3h 5m"),
            (90_061_000_000, "1 day 1h"),
        ] {
            assert_eq!(rounded(Duration::from_micros(micros)), text);
        }
        assert!(rounded(Duration::MAX).ends_with("h"), "{}", rounded(Duration::MAX));
    }

    #[test]
    fn numbers_with_a_unit_are_durations() {
        let cases = [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("0s", 0),
            ("1.5s", 1_500),
            ("0.250s", 250),
            ("1.0ms", 1),
            ("0.5m", 30_000),
            ("2.25h", 8_100_000),
            ("0.0000000000000000000000s", 0),
            ("1.001s", 1_001),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["1ms", "1500ms", "30s", "90s", "5m", "1h", "0s"] {
            assert_eq!(format(parse(text).unwrap()).as_deref(), Some(text));
        }
        assert_eq!(format(Duration::from_micros(1)), None);
        assert_eq!(format(Duration::MAX), None);
    }

    #[test]
    fn everything_else_is_refused_with_what_to_write() {
        let cases = [
            ("30", "has no unit; write \"30s\" or \"30ms\""),
            ("500", "has no unit; write \"500ms\" or \"500s\""),
            ("1.5", "has no unit; write \"1.5s\""),
            ("1.5ms", "finer than a millisecond"),
            ("1.0005s", "finer than a millisecond"),
            ("0.3333333333333333333h", "finer than a millisecond"),
            ("1.s", "is not a duration"),
            (".5s", "is not a duration"),
            ("1.2.3s", "is not a duration"),
            ("", "is not a duration"),
            ("s", "is not a duration"),
            ("-5s", "is not a duration"),
            (" 5s", "is not a duration"),
            ("1,5s", "unit is unknown"),
            ("5 s", "unit is unknown"),
            ("5S", "unit is unknown"),
            ("1d", "such as \"500ms\", \"1.5s\", \"5m\" or \"1h\""),
            ("99999999999999999999s", "too long"),
            ("9999999999999999999h", "too long"),
        ];
        for (text, cause) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
