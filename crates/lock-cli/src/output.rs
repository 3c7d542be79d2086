//! What the program prints: data to standard output, everything else to standard error.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::time::Duration;

/// Tells the user something. It is no error if nobody can be told.
pub(crate) fn tell(message: impl Display) {
    // In one write: the command writes to the same stream.
    let line = format!("distlock: {message}\n");
    io::stderr().write_all(line.as_bytes()).ok();
}

/// Prints data. A reader who has gone, such as `head`, has what it wanted.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A duration for people: `350ms`, `4.2s`, `12m 5s`, `3h 20m`.
pub(crate) struct Span(pub(crate) Duration);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, seconds) = (self.0.as_millis(), self.0.as_secs());
        let text = match seconds {
            0 if millis == 0 && !self.0.is_zero() => format!("{:.1}ms", self.0.as_secs_f64() * 1e3),
            0 => format!("{millis}ms"),
            1..60 => format!("{:.1}s", self.0.as_secs_f64()),
            60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
            _ => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        };
        f.pad(&text)
    }
}

/// `1 lock`, `2 locks`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A text as JSON writes it.
pub(crate) fn json_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Columns that are as wide as their widest field, two spaces apart.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|field| field.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let fields = row.iter().zip(&widths).map(|(field, &width)| format!("{field:width$}"));
        let line = fields.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_whatever_their_size() {
        for (millis, text) in [
            (0, "0ms"),
            (350, "350ms"),
            (4_200, "4.2s"),
            (725_000, "12m 5s"),
            (12_000_000, "3h 20m"),
        ] {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
        }
        assert_eq!(Span(Duration::from_micros(340)).to_string(), "0.3ms");
    }

    #[test]
    fn json_is_escaped() {
        assert_eq!(json_text("a\"b\\c\nd\u{e9}"), "\"a\\\"b\\\\c\\u000ad\u{e9}\"");
    }

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let rows = [["NAME", "STATE"], ["order:42", "free"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(table(&rows), "NAME      STATE\norder:42  free\n");
    }
}
