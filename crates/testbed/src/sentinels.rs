//! A master, its replicas, and the Sentinels that watch them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use crate::binary::{ServerBinary, ServerKind};
use crate::port::ReservedPort;
use crate::process::{Launch, Marks, Process, StartFailure, on_free_ports, running};
use crate::redis::RedisServer;
use crate::resp::{Events, Reply, ask};

/// What a Sentinel logs once it accepts connections, and when its port is taken.
const MARKS: Marks = Marks { ready: "Sentinel ID is", port_taken: "Address already in use" };
/// How many of the three Sentinels must take the master to be down.
const QUORUM: &str = "2";

/// How a [`SentinelSet`] is started.
#[derive(Clone, Debug)]
#[must_use]
pub struct SentinelSettings {
    down_after: Duration,
    host: String,
    server_args: Vec<String>,
    config: String,
    password: Option<String>,
}

impl Default for SentinelSettings {
    fn default() -> Self {
        Self {
            // A machine that is busy for less must not cause a failover.
            down_after: Duration::from_secs(1),
            host: "127.0.0.1".to_owned(),
            server_args: Vec::new(),
            config: String::new(),
            password: None,
        }
    }
}

impl SentinelSettings {
    /// After how long without an answer the master is taken to be down; 1 s unless it is set.
    pub fn down_after(mut self, down_after: Duration) -> Self {
        self.down_after = down_after;
        self
    }

    /// The host by which the Sentinels name the servers, which leads to this machine.
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self.config.push_str("sentinel resolve-hostnames yes\nsentinel announce-hostnames yes\n");
        self
    }

    /// More arguments of the master and the replicas.
    pub fn server_args(mut self, arguments: &[&str]) -> Self {
        self.server_args.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Lines of the Sentinels' configuration.
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    /// The password of the Sentinels.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.config(&format!("requirepass {password}"))
    }
}

/// A master with two replicas, and three Sentinels that watch it under the name
/// [`MASTER`](Self::MASTER). All of them are killed when this is dropped.
#[derive(Debug)]
pub struct SentinelSet {
    /// The servers; the first is the master at first.
    pub servers: Vec<RedisServer>,
    /// The Sentinels.
    pub sentinels: Vec<SentinelServer>,
}

impl SentinelSet {
    /// The name under which the Sentinels watch the master.
    pub const MASTER: &str = "main";

    /// Starts them and returns when each Sentinel knows all the others.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start(kind: &ServerKind) -> io::Result<Self> {
        Self::start_with(kind, &SentinelSettings::default())
    }

    /// As [`start`](Self::start), with these settings.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start_with(kind: &ServerKind, settings: &SentinelSettings) -> io::Result<Self> {
        let arguments: Vec<&str> = settings.server_args.iter().map(String::as_str).collect();
        // A replica need not wait for others that might want the same copy.
        let usual = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];
        let arguments = [&usual[..], &arguments].concat();
        let master = RedisServer::start_with(kind, &arguments)?;
        let port = master.port().to_string();
        let of_replica = [&arguments[..], &["--replicaof", &settings.host, &port]].concat();
        let mut servers = vec![master];
        for _ in 0..2 {
            servers.push(RedisServer::start_with(kind, &of_replica)?);
        }
        // Else the Sentinels would find them not in step, and look again after 10 s only.
        ask(servers[0].address(), None, &["WAIT", "2", "0"])?;
        let start = |_| SentinelServer::start(kind, settings);
        let sentinels = (0..3).map(start).collect::<io::Result<Vec<_>>>()?;
        for sentinel in &sentinels {
            sentinel.monitor(settings, &port)?;
        }
        let set = Self { servers, sentinels };
        set.await_ready()?;
        Ok(set)
    }

    /// `redis+sentinel://` with all Sentinels.
    pub fn url(&self) -> String {
        let addresses: Vec<String> =
            self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        format!("redis+sentinel://{}/{}", addresses.join(","), Self::MASTER)
    }

    /// Which of the servers the newest configuration of the Sentinels that answer names.
    ///
    /// # Errors
    ///
    /// If none of them answers, or names one of the servers.
    pub fn master(&self) -> io::Result<usize> {
        let mut newest = None;
        for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.process.is_some()) {
            newest = newest.max(sentinel.master().ok());
        }
        let place = newest.and_then(|(_, port)| {
            self.servers.iter().position(|server| server.port().to_string() == port)
        });
        place.ok_or_else(|| io::Error::other("no Sentinel names a master"))
    }

    /// Starts a failover while the master is in order.
    ///
    /// # Errors
    ///
    /// If no Sentinel takes it on.
    pub fn fail_over(&self) -> io::Result<()> {
        let refused = || io::Error::other("no Sentinel runs");
        let sentinel = self.sentinels.iter().find(|it| it.process.is_some()).ok_or_else(refused)?;
        sentinel.ask(&["SENTINEL", "FAILOVER", Self::MASTER]).map(drop)
    }

    /// Waits until each Sentinel knows the others and the replicas.
    fn await_ready(&self) -> io::Result<()> {
        for sentinel in &self.sentinels {
            let mut events = Events::follow(sentinel.address(), sentinel.password.as_deref())?;
            while !sentinel.knows_all()? {
                events.next().map_err(|error| {
                    let log = sentinel.log();
                    io::Error::new(error.kind(), format!("{error}; the Sentinel logs:\n{log}"))
                })?;
            }
        }
        Ok(())
    }
}

/// A Sentinel, killed when it is dropped.
pub struct SentinelServer {
    port: ReservedPort,
    process: Option<Process>,
    password: Option<String>,
}

impl SentinelServer {
    /// Starts a Sentinel that watches nothing.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start(kind: &ServerKind, settings: &SentinelSettings) -> io::Result<Self> {
        let binary = kind.find()?;
        let start = |port: &ReservedPort| launch(&binary, port.number(), &settings.config);
        let (port, process) = on_free_ports(kind.name(), ReservedPort::reserve, start)?;
        Ok(Self { port, process: Some(process), password: settings.password.clone() })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port.number()))
    }

    /// Kills it (`SIGKILL`). Killing a dead one does nothing.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops its execution (`SIGSTOP`) and returns when it stands still.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it does not run.
    pub fn freeze(&mut self) -> io::Result<()> {
        running(&mut self.process)?.freeze()
    }

    /// Lets it go on (`SIGCONT`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if it does not run.
    pub fn thaw(&mut self) -> io::Result<()> {
        running(&mut self.process)?.thaw()
    }

    /// The last lines of its log; empty after [`kill`](Self::kill).
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Runs a command of these words that answers with a simple reply.
    ///
    /// # Errors
    ///
    /// If it refuses, with its words.
    pub fn run(&self, command: &[&str]) -> io::Result<()> {
        self.ask(command).map(drop)
    }

    fn ask(&self, command: &[&str]) -> io::Result<Reply> {
        ask(self.address(), self.password.as_deref(), command)
    }

    /// Lets it watch the master at this port, under the name [`MASTER`](SentinelSet::MASTER).
    ///
    /// # Errors
    ///
    /// If it refuses.
    pub fn monitor(&self, settings: &SentinelSettings, port: &str) -> io::Result<()> {
        let name = SentinelSet::MASTER;
        self.run(&["SENTINEL", "MONITOR", name, &settings.host, port, QUORUM])?;
        let down_after = settings.down_after.as_millis().to_string();
        for (what, value) in [
            ("down-after-milliseconds", &*down_after),
            // A failover that does not come about is tried again after twice as long.
            ("failover-timeout", "3000"),
            ("parallel-syncs", "2"),
        ] {
            self.run(&["SENTINEL", "SET", name, what, value])?;
        }
        Ok(())
    }

    fn knows_all(&self) -> io::Result<bool> {
        let master = self.ask(&["SENTINEL", "MASTER", SentinelSet::MASTER])?;
        let is = |field| master.field(field) == Some("2");
        Ok(is("num-other-sentinels") && is("num-slaves"))
    }

    /// The number of the last failover, and the port of the master.
    fn master(&self) -> io::Result<(u64, String)> {
        let unknown = || io::Error::other("it names no master");
        let name = SentinelSet::MASTER;
        let at = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])?;
        let Reply::List(at) = at else { return Err(unknown()) };
        let port = at.get(1).and_then(Reply::text).ok_or_else(unknown)?.to_owned();
        let master = self.ask(&["SENTINEL", "MASTER", name])?;
        let epoch = master.field("config-epoch").and_then(|epoch| epoch.parse().ok());
        Ok((epoch.unwrap_or(0), port))
    }
}

impl fmt::Debug for SentinelServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelServer").field("address", &self.address()).finish_non_exhaustive()
    }
}

fn launch(binary: &ServerBinary, port: u16, config: &str) -> Result<Process, StartFailure> {
    let mut command_line = binary.command_line();
    command_line.extend(["server.conf", "--sentinel"].map(OsString::from));
    // It writes what it learns into its file, and has to find itself there.
    let config = format!("bind 127.0.0.1\nport {port}\ndaemonize no\n{config}");
    let environment = [("TESTBED_CONFIG", Some(config))];
    Process::launch(Launch { command_line, environment: &environment, marks: MARKS })
}
