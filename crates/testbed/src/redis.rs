//! A Redis or a Valkey server.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::binary::{ServerBinary, ServerKind};
use crate::clock::WallClock;
use crate::port::ReservedPort;
use crate::process::{Launch, Marks, Process, REPLY_LIMIT, StartFailure, on_free_ports, running};

/// What every supported Redis and Valkey logs once it accepts connections, and when its port is
/// taken.
const MARKS: Marks =
    Marks { ready: "Ready to accept connections", port_taken: "Address already in use" };

/// A running server, killed when it is dropped.
pub struct RedisServer {
    binary: ServerBinary,
    extra_args: Vec<String>,
    port: ReservedPort,
    clock: Option<WallClock>,
    process: Option<Process>,
}

impl RedisServer {
    /// Starts an empty server and returns when it answers.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no binary of that kind (the text says how to get one); any other
    /// kind if the server did not start, with the end of its log.
    pub fn start(kind: &ServerKind) -> io::Result<Self> {
        Self::start_with(kind, &[])
    }

    /// As [`start`](Self::start), with more command-line arguments, for instance
    /// `["--maxmemory", "2mb"]`.
    ///
    /// They come last, so that they win over the arguments of this crate.
    /// A server that is silenced with `--loglevel warning` is never seen to become ready.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(kind: &ServerKind, extra_args: &[&str]) -> io::Result<Self> {
        let binary = kind.find()?;
        let extra_args: Vec<String> = extra_args.iter().map(ToString::to_string).collect();
        Self::launch(kind, binary, extra_args, None)
    }

    /// As [`start`](Self::start), with this clock.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_clock(kind: &ServerKind, clock: WallClock) -> io::Result<Self> {
        Self::launch(kind, kind.find()?, Vec::new(), Some(clock))
    }

    fn launch(
        kind: &ServerKind,
        binary: ServerBinary,
        extra_args: Vec<String>,
        clock: Option<WallClock>,
    ) -> io::Result<Self> {
        let start =
            |port: &ReservedPort| launch(&binary, port.number(), &extra_args, clock.as_ref());
        let (port, process) = on_free_ports(kind.name(), ReservedPort::reserve, start)?;
        Ok(Self { binary, extra_args, port, clock, process: Some(process) })
    }

    /// The clock that it was [started with](Self::start_with_clock).
    pub fn clock(&self) -> Option<&WallClock> {
        self.clock.as_ref()
    }

    /// Kills the server without a chance to clean up (`SIGKILL`) and waits until it is gone.
    ///
    /// The port stays reserved for [`restart`](Self::restart). Killing a dead server does nothing.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills the server if it runs, and starts an empty one on the same port.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); `AddrInUse` if another program took the port meanwhile.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.process =
            Some(launch(&self.binary, self.port(), &self.extra_args, self.clock.as_ref())?);
        Ok(())
    }

    /// Stops the server's execution (`SIGSTOP`) and returns when it stands still.
    ///
    /// Its connections stay open and the kernel still accepts new ones; nothing is answered.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the server does not run.
    pub fn freeze(&mut self) -> io::Result<()> {
        running(&mut self.process)?.freeze()
    }

    /// Lets a frozen server go on (`SIGCONT`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if the server does not run.
    pub fn thaw(&mut self) -> io::Result<()> {
        running(&mut self.process)?.thaw()
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port()))
    }

    /// The port that the server listens on; the same for its whole life, restarts included.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The server's process id; `None` after [`kill`](Self::kill).
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The binary that runs, with its version and where it was found.
    pub fn binary(&self) -> &ServerBinary {
        &self.binary
    }

    /// The last lines of the server's log; empty after [`kill`](Self::kill).
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }
}

impl fmt::Debug for RedisServer {
    // The arguments are left out: they may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("kind", &self.binary.kind().name())
            .field("version", &self.binary.version())
            .field("address", &self.address())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

/// Starts the server and returns when it accepts connections on `port` and answers one.
fn launch(
    binary: &ServerBinary,
    port: u16,
    extra_args: &[String],
    clock: Option<&WallClock>,
) -> Result<Process, StartFailure> {
    let mut command_line = binary.command_line();
    command_line.extend(["--bind", "127.0.0.1", "--port"].map(OsString::from));
    command_line.push(port.to_string().into());
    let quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no"];
    command_line.extend(quiet.map(OsString::from));
    command_line.extend(extra_args.iter().map(OsString::from));
    let environment = clock.map(WallClock::environment);
    let environment = environment.as_ref().map_or(&[][..], |environment| &environment[..]);
    let process = Process::launch(Launch { command_line, environment, marks: MARKS })?;
    ping(&process, port)?;
    Ok(process)
}

/// The log proved that this very process has the port, so whoever answers there is it.
fn ping(process: &Process, port: u16) -> io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, REPLY_LIMIT)?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    stream.write_all(b"PING\r\n")?;
    let mut reply = [0; 5];
    stream.read_exact(&mut reply)?;
    match &reply {
        b"+PONG" | b"-NOAU" => Ok(()),
        other => Err(process.failure(
            io::ErrorKind::InvalidData,
            format_args!("unexpected answer to PING: {}", other.escape_ascii()),
        )),
    }
}
