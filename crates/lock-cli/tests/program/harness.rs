//! Starts the program, and sees how it ends.
//!
//! Nothing here waits without an end: what is still not there after [`LIMIT`] fails the test.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Far above what anything in a test takes, and still an end.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// What starts a program with the default action for every signal.
///
/// A program ignores what its parent ignored when it started it, and the tests may have been started
/// by a shell in the background, which ignores `SIGINT` and `SIGQUIT`, or by `nohup`. A shell cannot
/// undo that for what it starts, so it takes another program: `env` of GNU, or else Perl.
static DEFAULT_SIGNALS: LazyLock<&[&str]> = LazyLock::new(|| {
    const ENV: &[&str] = &["env", "--default-signal"];
    const PERL: &[&str] = &[
        "perl",
        "-e",
        "$SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT TERM USR1 USR2 TSTP TTIN TTOU); exec @ARGV; exit 127",
    ];
    let output = Command::new("env").args(["--default-signal", "true"]).output();
    if output.is_ok_and(|output| output.status.success()) { ENV } else { PERL }
});

/// A program that ignores no signal, whatever this process ignores.
pub(crate) fn program(path: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(DEFAULT_SIGNALS[0]);
    command.args(&DEFAULT_SIGNALS[1..]).arg(path);
    command
}

/// The program with these arguments, and without the variables of whoever runs the tests.
pub(crate) fn distlock<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_distlock"));
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
    Running::start(command).end()
}

/// How a command ends that does not get its lock, once what it says has all of these.
///
/// It says who holds the lock, but it waits for the name for a fifth of a second only, and the answer of
/// a busy machine may come later: then it is run again.
pub(crate) fn refused(command: &mut Command, parts: &[&str]) -> Ended {
    let begin = Instant::now();
    loop {
        let ended = end_of(command);
        if begin.elapsed() > LIMIT || parts.iter().all(|part| ended.errors.contains(part)) {
            ended.says(124, parts);
            return ended;
        }
        assert_eq!(ended.code, 124, "{ended:?}");
    }
}

/// A program that runs, in a process group of its own, as below a shell.
pub(crate) struct Running {
    child: Child,
    output: Stream,
    errors: Stream,
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
        let output = Stream::new(child.stdout.take().unwrap());
        let errors = Stream::new(child.stderr.take().unwrap());
        Self { child, output, errors }
    }

    /// As [`until_ready`](Self::until_ready), with a standard error that goes somewhere else.
    pub(crate) fn until_ready_with_errors(command: &mut Command, errors: impl Into<Stdio>) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(errors).process_group(0);
        let mut child = command.spawn().unwrap();
        let output = Stream::new(child.stdout.take().unwrap());
        let mut running = Self { child, output, errors: Stream::new(std::io::empty()) };
        assert_eq!(running.line(), "ready");
        running
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Whether the program holds this signal back, so that it decides itself what comes of it.
    pub(crate) fn holds_back(&self, signal: Signal) -> bool {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
    }

    /// Gives the command more input.
    pub(crate) fn write(&mut self, input: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(input).unwrap();
    }

    /// Tells the command that there is no more input.
    pub(crate) fn close_input(&mut self) {
        self.child.stdin.take();
    }

    /// The next line of standard output; empty at its end.
    pub(crate) fn line(&mut self) -> String {
        String::from_utf8(self.output.line()).unwrap().trim_end().to_owned()
    }

    /// Waits until all who have the output, grandchildren among them, have ended.
    pub(crate) fn end(self) -> Ended {
        let (output, errors, status) = self.end_in_bytes();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended::new(text(output), text(errors), status)
    }

    /// The same for output that is no text.
    pub(crate) fn end_in_bytes(mut self) -> (Vec<u8>, Vec<u8>, ExitStatus) {
        let (output, errors) = (self.output.rest(), self.errors.rest());
        let mut status = None;
        until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (output, errors, status.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that fails leaves it running. A command dies with its `distlock`.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What a program writes, read by a thread, so that waiting for it has an end.
struct Stream {
    pieces: Receiver<Vec<u8>>,
    /// What was read and not yet asked for.
    read: Vec<u8>,
}

impl Stream {
    fn new(mut from: impl Read + Send + 'static) -> Self {
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { pieces, read: Vec::new() }
    }

    /// The next line with its end, or what is left.
    fn line(&mut self) -> Vec<u8> {
        self.read_until(|read| read.iter().position(|byte| *byte == b'\n').map(|at| at + 1))
    }

    fn rest(&mut self) -> Vec<u8> {
        self.read_until(|_| None)
    }

    /// Takes as much as `length` says, once it says so, and all that there is at the end.
    fn read_until(&mut self, length: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
        let begin = Instant::now();
        loop {
            if let Some(length) = length(&self.read) {
                let rest = self.read.split_off(length);
                return std::mem::replace(&mut self.read, rest);
            }
            match self.pieces.recv_timeout(LIMIT.saturating_sub(begin.elapsed())) {
                Ok(piece) => self.read.extend(piece),
                Err(RecvTimeoutError::Disconnected) => return std::mem::take(&mut self.read),
                Err(RecvTimeoutError::Timeout) => {
                    let read = String::from_utf8_lossy(&self.read);
                    panic!("it has not ended within {LIMIT:?}; so far it wrote {read:?}");
                }
            }
        }
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
