//! A TCP proxy for fault tests: it delays, swallows, holds, cuts, corrupts and resets.
//!
//! The proxy stands between a client and a server on loopback and knows nothing of their protocol,
//! but for one fault, [`Fault::SwallowPushes`].
//! It runs on a thread of its own, so it goes on when a test blocks its runtime or pauses its
//! clock.
//! Control calls are synchronous and hold for every byte that is read after they return.
//! Tests wait for what the proxy has seen ([`Proxy::wait_until`], [`Proxy::until`]) and need no
//! sleeps.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! use lock_testkit::proxy::{Direction, Fault, Proxy, Scope};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An echo server.
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let upstream = listener.local_addr()?;
//! std::thread::spawn(move || {
//!     for stream in listener.incoming().flatten() {
//!         std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
//!     }
//! });
//!
//! let proxy = Proxy::start(upstream)?;
//! let mut client = TcpStream::connect(proxy.address())?;
//!
//! // A command is kept back: the server has not seen it.
//! proxy.set(Direction::ToServer, Scope::All, Fault::Hold);
//! let command = proxy.watch(Direction::ToServer, b"hello");
//! client.write_all(b"hello")?;
//! let stats = proxy.wait_until(Duration::from_secs(5), |stats| stats.seen(command) == 1)?;
//! assert_eq!(stats.forwarded(command), 0);
//! assert_eq!(stats.to_server.held(), 5);
//!
//! // Released, it arrives late, and so does its answer.
//! proxy.heal();
//! let mut answer = [0; 5];
//! client.read_exact(&mut answer)?;
//! assert_eq!(&answer, b"hello");
//!
//! // The line breaks.
//! assert_eq!(proxy.reset(Scope::Existing), 1);
//! assert!(client.read_exact(&mut answer).is_err());
//! # Ok(())
//! # }
//! ```

mod fault;
mod frames;
mod pump;
mod scan;
mod state;
mod stats;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};

pub use fault::{Admission, ConnectionId, Cut, Direction, Fault, MAX_NEEDLE_BYTES, Scope, Then};
use state::{Ending, Shared};
pub use stats::{Stats, Traffic, WaitError, Watch};

/// How long a reset waits for its connections to be closed, which takes one turn of a loop.
const TEAR_DOWN: Duration = Duration::from_secs(10);

/// A running proxy; dropping it closes its port and all its connections.
///
/// See the [module](self) for an example.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 that passes everything on to `upstream`.
    ///
    /// The upstream need not listen yet: a connection is made for each client that comes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when `upstream` is not a loopback address; otherwise what
    /// the operating system says when it has no port, no descriptor or no thread left.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        check_loopback(upstream)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let listener = {
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let shared = Arc::new(Shared::new(upstream));
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("fault-proxy".into())
            .spawn(move || runtime.block_on(pump::serve(listener, served)))?;
        Ok(Self { address, shared, runtime: handle, thread: Some(thread) })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL: `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Sends new connections to another server; open ones stay where they are.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when `upstream` is not a loopback address.
    pub fn redirect(&self, upstream: SocketAddr) -> io::Result<()> {
        check_loopback(upstream)?;
        self.shared.order(|state| state.upstream = upstream);
        Ok(())
    }

    /// Sets what becomes of the bytes of one direction, in place of the fault before.
    ///
    /// # Panics
    ///
    /// Panics when a [`Fault::Trickle`] has 0 bytes or a [`Fault::Corrupt`] is one in 0.
    pub fn set(&self, direction: Direction, scope: Scope, fault: Fault) {
        fault.validate();
        self.shared.order(|state| state.set(scope, direction, fault));
    }

    /// Sets the same fault for both directions at once.
    ///
    /// # Panics
    ///
    /// As [`set`](Self::set).
    pub fn set_both(&self, scope: Scope, fault: Fault) {
        fault.validate();
        self.shared.order(|state| {
            for direction in Direction::BOTH {
                state.set(scope, direction, fault);
            }
        });
    }

    /// Sets what becomes of connections that the proxy accepts from now on.
    pub fn admit(&self, admission: Admission) {
        self.shared.order(|state| state.admission = admission);
    }

    /// Arms a cut; several can be armed at a time, and each fires once.
    pub fn arm(&self, cut: Cut) {
        self.shared.order(|state| state.arm(cut));
    }

    /// Ends all faults: bytes pass, connections are served, no cut is armed.
    ///
    /// What was held flows now; what was swallowed is gone.
    pub fn heal(&self) {
        self.shared.order(|state| {
            state.admission = Admission::Serve;
            state.cuts.clear();
            for direction in Direction::BOTH {
                state.set(Scope::All, direction, Fault::Pass);
            }
        });
    }

    /// Resets the open connections of a scope, both sides (RST), and says how many there were.
    ///
    /// Returns when their sockets are closed; bytes that were kept back are lost.
    /// [`Scope::New`] selects none.
    pub fn reset(&self, scope: Scope) -> usize {
        self.end(scope, Ending::Reset)
    }

    /// Closes the open connections of a scope, both sides (FIN), and says how many there were.
    ///
    /// Returns when their sockets are closed; bytes that were kept back are lost.
    /// [`Scope::New`] selects none.
    pub fn close(&self, scope: Scope) -> usize {
        self.end(scope, Ending::Close)
    }

    /// Counts a needle from now on; ask the [`Stats`] about it.
    ///
    /// # Panics
    ///
    /// Panics when `needle` is empty or longer than [`MAX_NEEDLE_BYTES`].
    #[must_use]
    pub fn watch(&self, direction: Direction, needle: impl AsRef<[u8]>) -> Watch {
        let needle = fault::checked_needle(needle.as_ref());
        self.shared.count(|state| {
            state.needles.push((direction, needle));
            state.stats.watches.push(stats::Sightings::default());
            Watch(state.stats.watches.len() - 1)
        })
    }

    /// The counts of this instant.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats.clone()
    }

    /// Blocks the thread until the counts satisfy `what`; returns the counts that did.
    ///
    /// A client on the same thread makes no progress meanwhile: in a single-threaded asynchronous
    /// test use [`until`](Self::until).
    ///
    /// # Errors
    ///
    /// [`WaitError`] with the last counts when the time is over.
    pub fn wait_until(
        &self,
        within: Duration,
        mut what: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, WaitError> {
        let mut stats = Stats::default();
        let done = self.shared.block_until(Instant::now() + within, |state| {
            stats = state.stats.clone();
            what(&stats)
        });
        if done { Ok(stats) } else { Err(WaitError { within, stats: Box::new(stats) }) }
    }

    /// Waits until the counts satisfy `what`; returns the counts that did.
    ///
    /// It needs no runtime of a certain kind, and its time is real even where tokio's is paused.
    ///
    /// # Errors
    ///
    /// [`WaitError`] with the last counts when the time is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn until(
        &self,
        within: Duration,
        mut what: impl FnMut(&Stats) -> bool,
    ) -> Result<Stats, WaitError> {
        let deadline = Instant::now() + within;
        let alarm = Arc::clone(&self.shared);
        // The alarm rings on the proxy's own clock.
        let alarm = self.runtime.spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            alarm.count(|_| ());
        });
        let mut ticks = self.shared.ticks.subscribe();
        loop {
            ticks.mark_unchanged();
            let stats = self.stats();
            if what(&stats) {
                alarm.abort();
                return Ok(stats);
            }
            if Instant::now() >= deadline || ticks.changed().await.is_err() {
                return Err(WaitError { within, stats: Box::new(stats) });
            }
        }
    }

    fn end(&self, scope: Scope, ending: Ending) -> usize {
        let ids: Vec<_> = self.shared.order(|state| {
            let chosen = state.select(scope);
            let ordered_ending = chosen.map(|(id, link)| {
                link.ending = Some(ending);
                id
            });
            ordered_ending.collect()
        });
        self.shared.block_until(Instant::now() + TEAR_DOWN, |state| {
            ids.iter().all(|id| !state.links.contains_key(id))
        });
        ids.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.order(|state| state.stopped = true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened; a second one here would abort.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

fn check_loopback(upstream: SocketAddr) -> io::Result<()> {
    if upstream.ip().is_loopback() {
        return Ok(());
    }
    let reason = format!(
        "the upstream {upstream} is not a loopback address; faults are for servers of this machine"
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}
