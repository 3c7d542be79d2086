//! Real Redis and Valkey servers, and Dapr sidecars before them, for tests.
//!
//! Each server listens on loopback only, on a port of its own, works in a private directory,
//! writes nothing to disk, and dies with its runner, also when the runner is killed with
//! `SIGKILL` or the server is frozen at that moment.
//!
//! The calls are synchronous and short, so that they can be used from any test, async ones
//! included.
//!
//! # Where the binaries come from
//!
//! [`ServerKind::find`] looks, in this order, at
//! 1. the environment variable `DISTLOCK_TEST_SERVERS`, for instance
//!    `redis-6.2=/opt/redis-6.2/redis-server,valkey-9.1=/opt/valkey/valkey-server`;
//! 2. the cache `target/servers` of this workspace, which `cargo xtask servers --fetch` fills;
//! 3. `redis-server` or `valkey-server` on `PATH`, if it reports the wanted version.
//!
//! # Example
//!
//! ```
//! use lock_testkit::server::{RedisServer, available};
//!
//! # fn main() -> std::io::Result<()> {
//! for binary in available()? {
//!     let server = RedisServer::start(binary.kind())?;
//!     println!("{} {} listens on {}", binary.kind(), binary.version(), server.url());
//! }
//! # Ok(())
//! # }
//! ```

mod binary;
mod dapr;
mod daprd;
mod port;
mod process;

use std::fmt;
use std::io;
use std::net::SocketAddr;

pub use binary::{SERVERS_VARIABLE, ServerBinary, ServerKind, ServerSource, available};
pub use dapr::{DaprSettings, DaprSidecar};
pub use daprd::{DAPRD_VARIABLE, DaprBinary};
pub use port::ReservedPort;
use process::{Process, StartFailure};

/// How many ports are tried before the start is given up.
const PORT_ATTEMPTS: usize = 16;

/// A running server, killed when it is dropped.
pub struct RedisServer {
    binary: ServerBinary,
    extra_args: Vec<String>,
    port: ReservedPort,
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
    /// They come last, so that they win over the arguments of this module.
    /// A server that is silenced with `--loglevel warning` is never seen to become ready.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(kind: &ServerKind, extra_args: &[&str]) -> io::Result<Self> {
        let binary = kind.find()?;
        let extra_args: Vec<String> = extra_args.iter().map(ToString::to_string).collect();
        let start = |port: &ReservedPort| Process::start(&binary, port.number(), &extra_args);
        let (port, process) = on_free_ports(kind.name(), ReservedPort::reserve, start)?;
        Ok(Self { binary, extra_args, port, process: Some(process) })
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
        self.process = Some(Process::start(&self.binary, self.port(), &self.extra_args)?);
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

/// Starts something on ports of its own.
///
/// A reservation binds nobody but the users of this module. If somebody else took a port meanwhile,
/// the server says so, and the next ports are tried.
fn on_free_ports<P>(
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

fn running(process: &mut Option<Process>) -> io::Result<&mut Process> {
    process.as_mut().ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotConnected, "the server was killed; restart it first")
    })
}
