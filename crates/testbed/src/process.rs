//! One server process, which cannot outlive its runner, and the ports that it is started on.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Starts the server given as arguments, prints its process id, then obeys one signal name a line.
///
/// When its input ends, which the kernel sees to however the runner ended, it kills the server and
/// removes the server's directory. It is the server's parent, so the id that it signals cannot be
/// another process's by then. Only the server keeps the error stream, so that its end is the
/// server's end.
///
/// A server that needs a file for its configuration finds it in its directory, as `server.conf`.
///
/// No signal but `SIGKILL` ends it before its input does. `HUP` is the one that counts: when a
/// runner dies while its server is frozen, the kernel sends it to the group that was left behind,
/// and wakes the server by the way.
const WRAPPER: &str = r#"
trap '' HUP INT TERM
dir=$(mktemp -d "${TMPDIR:-/tmp}/distlock-server.XXXXXX") && cd "$dir" || exit 1
[ -z "$TESTBED_CONFIG" ] || printf %s "$TESTBED_CONFIG" >server.conf || exit 1
"$@" </dev/null >&2 &
pid=$!
exec 2>/dev/null
echo "$pid"
while read -r signal; do
    if kill -s "$signal" "$pid"; then echo done; else echo gone; fi
done
kill -s KILL "$pid"
wait "$pid"
cd / && rm -rf "$dir"
"#;

const START_LIMIT: Duration = Duration::from_secs(30);
pub(crate) const REPLY_LIMIT: Duration = Duration::from_secs(10);
const LOG_LINES: usize = 200;
/// How many ports are tried before the start is given up.
const PORT_ATTEMPTS: usize = 16;

pub(crate) enum StartFailure {
    PortTaken(io::Error),
    Other(io::Error),
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}

impl From<StartFailure> for io::Error {
    fn from(failure: StartFailure) -> Self {
        match failure {
            StartFailure::PortTaken(error) | StartFailure::Other(error) => error,
        }
    }
}

/// What is started.
pub(crate) struct Launch<'a> {
    pub(crate) command_line: Vec<OsString>,
    /// Variables that are set, or removed.
    pub(crate) environment: &'a [(&'a str, Option<String>)],
    pub(crate) marks: Marks,
}

/// How a server's log tells what becomes of it.
#[derive(Clone, Copy)]
pub(crate) struct Marks {
    pub(crate) ready: &'static str,
    pub(crate) port_taken: &'static str,
}

pub(crate) struct Process {
    pid: u32,
    log: Log,
    marks: Marks,
    wrapper: Child,
    // `Some` until the drop: closing it is what ends the server.
    signals: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server in a directory of its own and returns when its log says that it is ready.
    pub(crate) fn launch(launch: Launch<'_>) -> Result<Self, StartFailure> {
        let mut command = Command::new("sh");
        command.args(["-c", WRAPPER, "sh"]).args(launch.command_line);
        for (name, value) in launch.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut wrapper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C at the terminal is for the runner alone.
            .process_group(0)
            .spawn()?;
        let (Some(signals), Some(answers), Some(output)) =
            (wrapper.stdin.take(), wrapper.stdout.take(), wrapper.stderr.take())
        else {
            return Err(io::Error::other("the wrapper has no pipes").into());
        };
        let log = Log::default();
        let marks = launch.marks;
        let ready = follow(output, log.clone(), marks);
        let answers = BufReader::new(answers);
        let mut process = Self { pid: 0, log, marks, wrapper, signals: Some(signals), answers };
        process.pid = process.answer()?.parse().map_err(io::Error::other)?;
        process.await_ready(&ready)?;
        Ok(process)
    }

    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        self.signal("STOP")?;
        await_stopped(self.pid)
    }

    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        self.signal("CONT")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    fn signal(&mut self, name: &str) -> io::Result<()> {
        if let Some(signals) = &mut self.signals {
            writeln!(signals, "{name}")?;
        }
        match self.answer()?.as_str() {
            "done" => Ok(()),
            _ => Err(self.failure(io::ErrorKind::NotConnected, "the server has ended by itself")),
        }
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        if line.is_empty() {
            return Err(self.failure(io::ErrorKind::BrokenPipe, "the server's wrapper has ended"));
        }
        Ok(line.trim_end().to_owned())
    }

    fn await_ready(&self, ready: &Receiver<()>) -> Result<(), StartFailure> {
        let failure = match ready.recv_timeout(START_LIMIT) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => self.failure(
                io::ErrorKind::TimedOut,
                format_args!("the server was not ready after {} s", START_LIMIT.as_secs()),
            ),
            Err(RecvTimeoutError::Disconnected) if self.log().contains(self.marks.port_taken) => {
                let failure = self.failure(io::ErrorKind::AddrInUse, "the port is taken");
                return Err(StartFailure::PortTaken(failure));
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.failure(io::ErrorKind::Other, "the server ended while it started")
            }
        };
        Err(StartFailure::Other(failure))
    }

    pub(crate) fn failure(&self, kind: io::ErrorKind, what: impl Display) -> io::Error {
        io::Error::new(kind, format!("{what}; its log ends with:\n{}", self.log()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signals = None;
        // The wrapper ends when the server is dead and its directory removed. There is nobody to
        // tell if waiting fails.
        drop(self.wrapper.wait());
    }
}

/// Starts something on ports of its own.
///
/// A reservation binds nobody but the users of this crate. If somebody else took a port meanwhile,
/// the server says so, and the next ports are tried.
pub(crate) fn on_free_ports<P>(
    what: &str,
    reserve: impl Fn() -> io::Result<P>,
    start: impl Fn(&P) -> Result<Process, StartFailure>,
) -> io::Result<(P, Process)> {
    for _ in 0..PORT_ATTEMPTS {
        let ports = reserve()?;
        match start(&ports) {
            Ok(process) => return Ok((ports, process)),
            Err(StartFailure::PortTaken(_)) => {}
            Err(StartFailure::Other(error)) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("{what}: {PORT_ATTEMPTS} times a port was taken by another program"),
    ))
}

pub(crate) fn running(process: &mut Option<Process>) -> io::Result<&mut Process> {
    process.as_mut().ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotConnected, "the server was killed; restart it first")
    })
}

/// The last lines that a server wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Reads the server's output until the server ends, so that it never blocks on a full pipe.
///
/// The receiver gets a message when the server is ready, and is disconnected when it has ended.
fn follow(output: ChildStderr, log: Log, marks: Marks) -> Receiver<()> {
    let (ready, receiver) = mpsc::channel();
    std::thread::spawn(move || read_lines(output, &log, marks, &ready));
    receiver
}

fn read_lines(output: impl Read, log: &Log, marks: Marks, ready: &Sender<()>) {
    for line in BufReader::new(output).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_ready = line.contains(marks.ready);
        log.push(line);
        if is_ready {
            // Nobody listens after the start, and a server may say it again after a reload.
            ready.send(()).ok();
        }
    }
}

/// The signal is delivered when `kill` returns, but another thread of the server may still be on
/// its way out of the processor; `/proc` says when all stand still.
fn await_stopped(pid: u32) -> io::Result<()> {
    let deadline = Instant::now() + REPLY_LIMIT;
    while Instant::now() < deadline {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            // A system without `/proc`: the signal is all that can be had.
            return Ok(());
        };
        // The command's name is in parentheses and may contain spaces; the state follows it.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state == Some('T') {
            return Ok(());
        }
        std::thread::yield_now();
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {pid} did not stop")))
}
