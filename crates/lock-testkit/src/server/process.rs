//! One server process, which cannot outlive its runner.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ServerBinary;

/// Starts the server given as arguments, prints its process id, then obeys one signal name a line.
///
/// When its input ends, which the kernel sees to however the runner ended, it kills the server and
/// removes the server's directory. It is the server's parent, so the id that it signals cannot be
/// another process's by then. Only the server keeps the error stream, so that its end is the
/// server's end.
///
/// No signal but `SIGKILL` ends it before its input does. `HUP` is the one that counts: when a
/// runner dies while its server is frozen, the kernel sends it to the group that was left behind,
/// and wakes the server by the way.
const WRAPPER: &str = r#"
trap '' HUP INT TERM
dir=$(mktemp -d "${TMPDIR:-/tmp}/distlock-server.XXXXXX") && cd "$dir" || exit 1
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

/// What every supported Redis and Valkey logs once it accepts connections, and when its port is
/// taken.
const REDIS_MARKS: Marks =
    Marks { ready: "Ready to accept connections", port_taken: "Address already in use" };
const START_LIMIT: Duration = Duration::from_secs(30);
const REPLY_LIMIT: Duration = Duration::from_secs(10);
const LOG_LINES: usize = 200;

pub(super) enum StartFailure {
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
pub(super) struct Launch<'a> {
    pub(super) command_line: Vec<OsString>,
    /// Variables that are set, or removed.
    pub(super) environment: &'a [(&'a str, Option<String>)],
    pub(super) marks: Marks,
}

/// How a server's log tells what becomes of it.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    pub(super) ready: &'static str,
    pub(super) port_taken: &'static str,
}

pub(super) struct Process {
    pid: u32,
    log: Log,
    marks: Marks,
    wrapper: Child,
    // `Some` until the drop: closing it is what ends the server.
    signals: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a Redis and returns when it accepts connections on `port` and answers one.
    pub(super) fn start(
        binary: &ServerBinary,
        port: u16,
        extra_args: &[String],
    ) -> Result<Self, StartFailure> {
        let mut command_line = binary.command_line();
        command_line.extend(["--bind", "127.0.0.1", "--port"].map(OsString::from));
        command_line.push(port.to_string().into());
        let quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no"];
        command_line.extend(quiet.map(OsString::from));
        command_line.extend(extra_args.iter().map(OsString::from));
        let process = Self::launch(Launch { command_line, environment: &[], marks: REDIS_MARKS })?;
        process.ping(port)?;
        Ok(process)
    }

    /// Starts a server in a directory of its own and returns when its log says that it is ready.
    pub(super) fn launch(launch: Launch<'_>) -> Result<Self, StartFailure> {
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

    pub(super) fn freeze(&mut self) -> io::Result<()> {
        self.signal("STOP")?;
        await_stopped(self.pid)
    }

    pub(super) fn thaw(&mut self) -> io::Result<()> {
        self.signal("CONT")
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn log(&self) -> String {
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

    /// The log proved that this very process has the port, so whoever answers there is it.
    fn ping(&self, port: u16) -> io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, REPLY_LIMIT)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        match &reply {
            b"+PONG" | b"-NOAU" => Ok(()),
            other => Err(self.failure(
                io::ErrorKind::InvalidData,
                format_args!("unexpected answer to PING: {}", other.escape_ascii()),
            )),
        }
    }

    pub(super) fn failure(&self, kind: io::ErrorKind, what: impl Display) -> io::Error {
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
