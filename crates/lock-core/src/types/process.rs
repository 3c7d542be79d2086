//! How a process describes itself to those who want to know who holds a lock.

use std::fmt;
use std::time::SystemTime;

/// A longer text is cut to this length.
const MAX_CHARS: usize = 64;

/// A process, as it describes itself. The `Display` text is for logs:
/// `report-worker 1.4.2 (pid 4711 on host a)`.
///
/// A program sets what others read of it with
/// [`LockServiceBuilder::program`](crate::LockServiceBuilder::program) and the methods beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The program; the file name of the executable, unless it was set.
    pub program: String,
    /// The version of the program, if it was set.
    pub version: Option<String>,
    /// The machine; its host name, unless it was set.
    pub host: String,
    /// The number that the operating system gave the process. In a container it is the container's
    /// own.
    pub pid: u32,
    /// When the process began to use the library, by its own clock, in whole seconds.
    pub started: Option<SystemTime>,
}

impl ProcessInfo {
    /// A process of which no more is known. For backends.
    #[must_use]
    pub fn new(program: &str, host: &str, pid: u32) -> Self {
        let (program, host) = (shortened(program), shortened(host));
        Self { program, version: None, host, pid, started: None }
    }

    /// Adds the version.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = Some(shortened(version)).filter(|version| !version.is_empty());
        self
    }

    /// Adds when the process began to use the library.
    #[must_use]
    pub const fn with_started(mut self, started: SystemTime) -> Self {
        self.started = Some(started);
        self
    }

    /// Replaces what is said anew. Only the version can be empty: then there is none.
    pub(crate) fn change(&mut self, said: &Description) {
        let text = |said: &Option<String>| said.as_deref().map(shortened);
        if let Some(program) = text(&said.program).filter(|program| !program.is_empty()) {
            self.program = program;
        }
        if let Some(host) = text(&said.host).filter(|host| !host.is_empty()) {
            self.host = host;
        }
        if let Some(version) = text(&said.version) {
            self.version = Some(version).filter(|version| !version.is_empty());
        }
    }
}

/// What a program says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) program: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) host: Option<String>,
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

impl fmt::Display for ProcessInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Somebody else has written this; a terminal must not take it for a command.
        let shown = |text: &str| text.escape_debug().to_string();
        f.write_str(&shown(&self.program))?;
        if let Some(version) = &self.version {
            write!(f, " {}", shown(version))?;
        }
        write!(f, " (pid {} on host {})", self.pid, shown(&self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_short_and_commands_no_terminal() {
        let process = ProcessInfo::new("report-worker", "a", 4_711);
        assert_eq!(process.to_string(), "report-worker (pid 4711 on host a)");
        let process = process.with_version("1.4.2");
        assert_eq!(process.to_string(), "report-worker 1.4.2 (pid 4711 on host a)");
        assert_eq!(process.clone().with_version("").version, None);
        let mut process = process;
        let said = Description { program: Some(String::new()), ..Description::default() };
        process.change(&Description { host: Some("b".to_owned()), ..said });
        assert_eq!((&*process.program, &*process.host), ("report-worker", "b"));
        let process = ProcessInfo::new("\u{1b}[2J\n", &"x".repeat(9_999), 1);
        let text = format!("\\u{{1b}}[2J\\n (pid 1 on host {})", "x".repeat(64));
        assert_eq!(process.to_string(), text);
    }
}
