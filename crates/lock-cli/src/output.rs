//! What the program prints: data to standard output, everything else to standard error.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A write that takes longer is held up by whoever should read it.
const WRITE_LIMIT: Duration = Duration::from_millis(100);
/// At the end of the program, what is held up is waited for this long.
const LAST_WRITES: Duration = Duration::from_millis(500);
/// More messages are not kept while the first one cannot be written.
const MAX_MESSAGES: usize = 1_000;

static MESSAGES: Messages = Messages { state: Mutex::new(State::NEW), changed: Condvar::new() };

/// Tells the user something. It is no error if nobody can be told.
///
/// A reader that does not read, such as a pager, does not hold up the caller: leases have to be
/// renewed, and a command that has lost its lock has to be ended.
pub(crate) fn tell(message: impl Display) {
    // In one write: the command writes to the same stream.
    MESSAGES.write(format!("distlock: {message}\n"));
}

/// Waits for a moment until all that was told is written. To be called before the program ends.
pub(crate) fn finish() {
    MESSAGES.finish();
}

/// Messages on their way to standard error, which a thread of their own writes.
struct Messages {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Those that are not written yet; the first is being written.
    lines: VecDeque<String>,
    /// How many there were in all, and how many of them are written.
    told: u64,
    written: u64,
    has_thread: bool,
    is_held_up: bool,
}

impl State {
    const NEW: Self =
        Self { lines: VecDeque::new(), told: 0, written: 0, has_thread: false, is_held_up: false };
}

impl Messages {
    /// Returns when the message is written, or held up.
    fn write(&'static self, line: String) {
        let mut state = self.lock();
        if !state.has_thread {
            let thread = std::thread::Builder::new().name("distlock-messages".to_owned());
            state.has_thread = thread.spawn(|| self.write_all()).is_ok();
            if !state.has_thread {
                io::stderr().write_all(line.as_bytes()).ok();
                return;
            }
        }
        if state.lines.len() >= MAX_MESSAGES {
            return;
        }
        state.lines.push_back(line);
        state.told += 1;
        self.changed.notify_all();
        let number = state.told;
        // Whoever comes behind a message that is held up need not find out again.
        if !state.is_held_up {
            let is_waiting = |state: &mut State| state.written < number;
            let waited = self.changed.wait_timeout_while(state, WRITE_LIMIT, is_waiting);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.is_held_up = state.written < number;
        }
    }

    fn write_all(&self) {
        let mut state = self.lock();
        loop {
            let is_idle = |state: &mut State| state.lines.is_empty();
            let waited = self.changed.wait_while(state, is_idle);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            let line = state.lines.front().cloned().unwrap_or_default();
            drop(state);
            io::stderr().write_all(line.as_bytes()).ok();
            state = self.lock();
            state.lines.pop_front();
            state.written += 1;
            state.is_held_up = false;
            self.changed.notify_all();
        }
    }

    fn finish(&self) {
        let state = self.lock();
        let is_waiting = |state: &mut State| state.written < state.told;
        drop(self.changed.wait_timeout_while(state, LAST_WRITES, is_waiting));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
