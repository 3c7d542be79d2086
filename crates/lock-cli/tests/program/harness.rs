//! Starts the program, and sees how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Far above what anything in a test takes, and still an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The program with these arguments, and without the variables of whoever runs the tests.
pub(crate) fn distlock<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_distlock"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DISTLOCK_") {
            command.env_remove(name);
        }
    }
    command
}

/// `distlock run OPTIONS NAME -- sh -c SCRIPT` on a store.
pub(crate) fn run(url: &str, options: &str, name: &str, script: &str) -> Command {
    let options = options.split_whitespace();
    let mut command = distlock(["run"].into_iter().chain(options));
    command.env("DISTLOCK_URL", url).args([name, "--", "sh", "-c", script]);
    command
}

/// What a program printed, and how it ended.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) output: String,
    pub(crate) errors: String,
    /// As a shell shows it: 128 + n for a signal.
    pub(crate) code: i32,
    pub(crate) signal: Option<i32>,
}

impl Ended {
    fn new(output: String, errors: String, status: ExitStatus) -> Self {
        let signal = status.signal();
        let code = status.code().or(signal.map(|number| 128 + number)).unwrap();
        Self { output, errors, code, signal }
    }

    /// The code alone, for programs that print nothing.
    pub(crate) fn silent(&self) -> i32 {
        assert_eq!((&*self.output, &*self.errors), ("", ""), "{self:?}");
        self.code
    }

    /// Checks the code and that standard error has all of these.
    pub(crate) fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.errors.contains(part), "{part}: {self:?}");
        }
    }
}

/// Runs to the end.
pub(crate) fn end_of(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended::new(text(output.stdout), text(output.stderr), output.status)
}

/// A program that runs, in a process group of its own, as below a shell.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    errors: Option<ChildStderr>,
}

impl Running {
    /// Starts the program, and waits for the first line of its command.
    pub(crate) fn until_ready(command: &mut Command) -> Self {
        let mut running = Self::start(command);
        assert_eq!(running.line(), "ready");
        running
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let errors = child.stderr.take();
        Self { child, output, errors }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Gives the command more input.
    pub(crate) fn write(&mut self, input: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(input).unwrap();
    }

    /// The next line of standard output; empty at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits until all who have the output, grandchildren among them, have ended.
    pub(crate) fn end(mut self) -> Ended {
        let (mut output, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut output).unwrap();
        self.errors.take().unwrap().read_to_string(&mut errors).unwrap();
        Ended::new(output, errors, self.child.wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that fails leaves it running. A command dies with its `distlock`.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks until the answer is yes.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT, "in vain for {:?}", begin.elapsed());
        std::thread::yield_now();
    }
}

/// The state of a process, as `ps` shows it: `T` is stopped.
#[cfg(target_os = "linux")]
pub(crate) fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}
