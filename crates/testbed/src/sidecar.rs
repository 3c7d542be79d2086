//! Real Dapr sidecars for tests.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use crate::daprd::DaprBinary;
use crate::port::ReservedPort;
use crate::process::{Launch, Marks, Process, REPLY_LIMIT, StartFailure, on_free_ports, running};
use crate::redis::RedisServer;

const MARKS: Marks =
    Marks { ready: "dapr initialized. Status: Running", port_taken: "address already in use" };
/// It says so before it says that it is running, and ends then.
const DOOMED_MARK: &str = "daprd will exit gracefully";

/// Writes the sidecar's files into its private directory, and becomes the sidecar.
const SCRIPT: &str = r#"
mkdir resources && printf %s "$DISTLOCK_COMPONENT" >resources/lock.yaml || exit 1
printf %s "$DISTLOCK_CONFIGURATION" >config.yaml || exit 1
unset DISTLOCK_COMPONENT DISTLOCK_CONFIGURATION
exec "$@"
"#;

/// A running Dapr sidecar, killed when it is dropped.
///
/// Like a [`RedisServer`] it listens on loopback only, on ports of its own, works in a private
/// directory, and dies with its runner.
///
/// ```
/// use testbed::{DaprBinary, DaprSidecar, RedisServer, ServerKind};
///
/// # fn main() -> std::io::Result<()> {
/// # if DaprBinary::find().is_err() || ServerKind::REDIS_8_2.find().is_err() { return Ok(()); }
/// let redis = RedisServer::start(&ServerKind::REDIS_8_2)?;
/// let sidecar = DaprSidecar::start(&redis)?;
/// println!("{} with its locks at {}", sidecar.url(), sidecar.redis_key("order:42"));
/// # Ok(())
/// # }
/// ```
pub struct DaprSidecar {
    settings: DaprSettings,
    binary: DaprBinary,
    ports: Ports,
    process: Option<Process>,
}

/// How a [`DaprSidecar`] is set up; see [`DaprSidecar::before`].
#[derive(Clone)]
#[must_use = "settings do nothing until `start` is called"]
pub struct DaprSettings {
    app_id: String,
    store: Option<String>,
    metadata: Vec<(String, String)>,
    api_token: Option<String>,
    configuration: Option<String>,
    socket_directory: Option<PathBuf>,
}

struct Ports {
    grpc: ReservedPort,
    http: ReservedPort,
    internal: ReservedPort,
}

impl DaprSidecar {
    /// Starts a sidecar with a lock store `lockstore` on this server, for the app `locktest`, and
    /// returns when it is ready.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no `daprd` (the text says how to get one); any other kind if it did
    /// not start, with the end of its log.
    pub fn start(redis: &RedisServer) -> io::Result<Self> {
        Self::before(redis.address()).start()
    }

    /// Sets up a sidecar before the Redis at this address, which may be a proxy's.
    pub fn before(redis: SocketAddr) -> DaprSettings {
        DaprSettings {
            app_id: "locktest".to_owned(),
            store: Some("lockstore".to_owned()),
            metadata: vec![("redisHost".to_owned(), redis.to_string())],
            api_token: None,
            configuration: None,
            socket_directory: None,
        }
    }

    /// Kills the sidecar (`SIGKILL`) and waits until it is gone.
    ///
    /// The ports stay reserved for [`restart`](Self::restart). Killing a dead sidecar does nothing.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills the sidecar if it runs, and starts one anew on the same ports.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); `AddrInUse` if another program took a port meanwhile.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.process = Some(self.settings.launch(&self.binary, &self.ports)?);
        Ok(())
    }

    /// Stops the sidecar's execution (`SIGSTOP`) and returns when it stands still.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the sidecar does not run.
    pub fn freeze(&mut self) -> io::Result<()> {
        running(&mut self.process)?.freeze()
    }

    /// Lets a frozen sidecar go on (`SIGCONT`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if the sidecar does not run.
    pub fn thaw(&mut self) -> io::Result<()> {
        running(&mut self.process)?.thaw()
    }

    /// `dapr://STORE?endpoint=127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("dapr://{}?endpoint={}", self.store(), self.address())
    }

    /// The address of its gRPC API.
    pub fn address(&self) -> SocketAddr {
        at(&self.ports.grpc)
    }

    /// The address of its HTTP API.
    pub fn http_address(&self) -> SocketAddr {
        at(&self.ports.http)
    }

    /// The socket of its gRPC API, if [`socket_directory`](DaprSettings::socket_directory) is set.
    pub fn socket(&self) -> Option<PathBuf> {
        let directory = self.settings.socket_directory.as_ref()?;
        Some(directory.join(format!("dapr-{}-grpc.socket", self.settings.app_id)))
    }

    /// The name of the lock store; `lockstore` unless it is set.
    pub fn store(&self) -> &str {
        self.settings.store.as_deref().unwrap_or("lockstore")
    }

    /// The Redis key of a lock, as the sidecar spells it.
    pub fn redis_key(&self, name: &str) -> String {
        let settings = &self.settings;
        let strategy = settings.metadata.iter().find(|(name, _)| name == "keyPrefix");
        match strategy.map_or("appid", |(_, value)| value) {
            "appid" => format!("lock||{}||{name}", settings.app_id),
            "name" => format!("lock||{}||{name}", self.store()),
            "none" => format!("lock||{name}"),
            prefix => format!("lock||{prefix}||{name}"),
        }
    }

    /// The sidecar's process id; `None` after [`kill`](Self::kill).
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// The binary that runs.
    pub fn binary(&self) -> &DaprBinary {
        &self.binary
    }

    /// The last lines of the sidecar's log; empty after [`kill`](Self::kill).
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }
}

impl DaprSettings {
    /// The app's id, which is a part of the keys; `locktest` unless it is set.
    pub fn app_id(mut self, app_id: impl Into<String>) -> Self {
        self.app_id = app_id.into();
        self
    }

    /// The name of the lock store; `lockstore` unless it is set.
    pub fn store(mut self, store: impl Into<String>) -> Self {
        self.store = Some(store.into());
        self
    }

    /// Leaves the lock store out.
    pub fn without_store(mut self) -> Self {
        self.store = None;
        self
    }

    /// How keys are made: `appid` (unless it is set), `name`, `none`, or a word of one's own.
    pub fn key_prefix(self, strategy: impl Into<String>) -> Self {
        self.metadata("keyPrefix", strategy)
    }

    /// Sets an item of the component's metadata, such as `redisPassword`.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((name.into(), value.into()));
        self
    }

    /// The token that callers must present; none unless it is set.
    pub fn api_token(mut self, token: impl Into<String>) -> Self {
        self.api_token = Some(token.into());
        self
    }

    /// The sidecar's configuration: the `spec` of a resource of kind `Configuration`, as JSON.
    pub fn configuration(mut self, spec: impl Into<String>) -> Self {
        self.configuration = Some(spec.into());
        self
    }

    /// Serves on Unix sockets in this directory in place of ports.
    pub fn socket_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.socket_directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Starts the sidecar and returns when it is ready.
    ///
    /// # Errors
    ///
    /// As [`DaprSidecar::start`].
    pub fn start(self) -> io::Result<DaprSidecar> {
        let binary = DaprBinary::find()?;
        let start = |ports: &Ports| self.launch(&binary, ports);
        let (ports, process) = on_free_ports("daprd", Ports::reserve, start)?;
        Ok(DaprSidecar { settings: self, binary, ports, process: Some(process) })
    }

    fn launch(&self, binary: &DaprBinary, ports: &Ports) -> Result<Process, StartFailure> {
        let mut command_line: Vec<OsString> = ["sh", "-c", SCRIPT, "sh"].map(Into::into).to_vec();
        command_line.push(binary.path().into());
        let mut flag = |name: &str, value: &dyn fmt::Display| {
            command_line.push(format!("--{name}={value}").into());
        };
        flag("mode", &"standalone");
        flag("app-id", &self.app_id);
        flag("resources-path", &"resources");
        flag("dapr-listen-addresses", &Ipv4Addr::LOCALHOST);
        flag("dapr-grpc-port", &ports.grpc.number());
        flag("dapr-http-port", &ports.http.number());
        flag("dapr-internal-grpc-port", &ports.internal.number());
        flag("dapr-internal-grpc-listen-address", &Ipv4Addr::LOCALHOST);
        flag("enable-metrics", &false);
        flag("placement-host-address", &"");
        flag("scheduler-host-address", &"");
        flag("dapr-graceful-shutdown-seconds", &1);
        if self.configuration.is_some() {
            flag("config", &"config.yaml");
        }
        if let Some(directory) = &self.socket_directory {
            flag("unix-domain-socket", &directory.display());
        }
        let environment = [
            ("DAPR_HOST_IP", Some(Ipv4Addr::LOCALHOST.to_string())),
            ("DAPR_API_TOKEN", self.api_token.clone()),
            // With one, only components of that namespace would be loaded.
            ("NAMESPACE", None),
            ("DISTLOCK_COMPONENT", Some(self.component())),
            ("DISTLOCK_CONFIGURATION", Some(self.configuration_file())),
        ];
        let process =
            Process::launch(Launch { command_line, environment: &environment, marks: MARKS })?;
        if process.log().contains(DOOMED_MARK) {
            let failure = process.failure(io::ErrorKind::Other, "the sidecar found no Redis");
            return Err(failure.into());
        }
        if self.socket_directory.is_none() {
            await_health(&process, at(&ports.http))?;
        }
        Ok(process)
    }

    /// JSON is YAML, and needs no thought about what must be quoted.
    fn component(&self) -> String {
        let Some(store) = &self.store else { return String::new() };
        let metadata = self.metadata.iter();
        let items: Vec<_> = metadata
            .map(|(name, value)| serde_json::json!({ "name": name, "value": value }))
            .collect();
        let component = serde_json::json!({
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": { "name": store },
            "spec": { "type": "lock.redis", "version": "v1", "metadata": items },
        });
        component.to_string()
    }

    fn configuration_file(&self) -> String {
        let spec = self.configuration.as_deref().unwrap_or("{}");
        format!(
            r#"{{"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {{"name": "tests"}}, "spec": {spec}}}"#
        )
    }
}

impl Ports {
    fn reserve() -> io::Result<Self> {
        let [grpc, http, internal] = [(); 3].map(|()| ReservedPort::reserve());
        Ok(Self { grpc: grpc?, http: http?, internal: internal? })
    }
}

impl fmt::Debug for DaprSidecar {
    // The metadata and the token are left out: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaprSidecar")
            .field("version", &self.binary.version())
            .field("address", &self.address())
            .field("app_id", &self.settings.app_id)
            .field("store", &self.store())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

fn at(port: &ReservedPort) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()))
}

/// The log said that it runs; this says that its outgoing APIs do.
fn await_health(process: &Process, address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, REPLY_LIMIT)?;
    stream.set_read_timeout(Some(REPLY_LIMIT))?;
    stream.write_all(b"GET /v1.0/healthz/outbound HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    match &answer {
        b"HTTP/1.1 204" => Ok(()),
        other => Err(process.failure(
            io::ErrorKind::InvalidData,
            format_args!("the sidecar is not healthy: {}", other.escape_ascii()),
        )),
    }
}
