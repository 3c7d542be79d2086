//! Durations as people write them: `"30s"`.

use std::time::Duration;

const EXAMPLES: &str = r#"write a whole number and a unit, such as "500ms", "30s", "5m" or "1h""#;

/// Reads a whole number with one of the units `ms`, `s`, `m`, `h`.
///
/// # Errors
///
/// What is wrong with the text, and what to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    if digits.is_empty() {
        return Err(format!("it is no duration; {EXAMPLES}"));
    }
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60 * 1_000,
        "h" => 60 * 60 * 1_000,
        "" => return Err(format!("it has no unit; write \"{digits}s\"")),
        _ => return Err(format!("its unit is not known; {EXAMPLES}")),
    };
    let number: Option<u64> = digits.parse().ok();
    let millis = number.and_then(|number| number.checked_mul(millis_per_unit));
    millis.map(Duration::from_millis).ok_or_else(|| "it is too long".to_owned())
}

/// Writes a duration so that [`parse`] reads it again; `None` if it is no whole number of
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_with_a_unit_are_durations() {
        let cases =
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)];
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
            ("30", "has no unit; write \"30s\""),
            ("", "is no duration"),
            ("s", "is no duration"),
            ("-5s", "is no duration"),
            (" 5s", "is no duration"),
            ("1.5s", "unit is not known"),
            ("5 s", "unit is not known"),
            ("5S", "unit is not known"),
            ("1d", "such as \"500ms\", \"30s\", \"5m\" or \"1h\""),
            ("99999999999999999999s", "too long"),
            ("9999999999999999999h", "too long"),
        ];
        for (text, cause) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
