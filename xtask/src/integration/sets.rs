//! Servers in containers that tell clients of each other: Sentinels, and a cluster.
//!
//! They share one network, as the containers of a pod do. Each listens there on a port that is
//! published on loopback under the same number: so the addresses by which the servers know each
//! other lead this machine to them, too.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, cmd};
use testbed::ReservedPort;
use tokio::time::{sleep, timeout};

use super::engine::{Container, Engine, Port, Wanted};

const MASTERS: u16 = 3;
const SLOTS: u16 = 16_384;
const SENTINELS: usize = 3;
/// The name under which the Sentinels watch the master.
const MASTER: &str = "main";
/// No claim is about a failover, and a busy machine must not cause one.
const DOWN_AFTER_MS: &str = "60000";
/// An image of the project's own runs in the root directory, the official ones in this one, which
/// they make writable for the user that they run as.
const SENTINEL_CONFIG: &str = "/data/sentinel.conf";

const LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Servers that know each other, and the URL of all of them.
pub(super) struct Set {
    pub(super) containers: Vec<Container>,
    pub(super) url: String,
    pub(super) ports: Vec<ReservedPort>,
}

impl Set {
    /// A master and a replica, watched by Sentinels.
    pub(super) async fn sentinels(engine: &Engine, image: &str) -> Result<Self, String> {
        let ports = reserve(2 + SENTINELS)?;
        let number = |place: usize| ports[place].number();
        let mut members = vec![
            server(number(0), &[]),
            server(number(1), &["--replicaof", "127.0.0.1", &number(0).to_string()]),
        ];
        members.extend((2..ports.len()).map(|place| sentinel(number(place), number(0))));
        let containers = start_together(engine, image, &ports, members).await?;
        let url = format!("redis+sentinel://{}/{MASTER}", addresses(&ports[2..]));
        let set = Self { containers, url, ports };
        set.await_sentinels().await?;
        Ok(set)
    }

    /// Masters that share the slots. Nothing fails over, so they have no replicas.
    pub(super) async fn cluster(engine: &Engine, image: &str) -> Result<Self, String> {
        let ports = reserve(MASTERS.into())?;
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", DOWN_AFTER_MS];
        let members = ports.iter().map(|port| server(port.number(), &arguments)).collect();
        let containers = start_together(engine, image, &ports, members).await?;
        let url = format!("redis+cluster://{}", addresses(&ports));
        let set = Self { containers, url, ports };
        set.form_cluster().await?;
        Ok(set)
    }

    async fn await_sentinels(&self) -> Result<(), String> {
        for port in &self.ports[2..] {
            let connection = connect(port).await?;
            until(|| knows_all(connection.clone())).await?;
        }
        Ok(())
    }

    async fn form_cluster(&self) -> Result<(), String> {
        let mut connections = Vec::new();
        for (place, port) in (0..MASTERS).zip(&self.ports) {
            let mut connection = connect(port).await?;
            let bound = |place: u16| u32::from(SLOTS) * u32::from(place) / u32::from(MASTERS);
            let (first, last) = (bound(place).to_string(), (bound(place + 1) - 1).to_string());
            let epoch = (place + 1).to_string();
            tell(&mut connection, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
            tell(&mut connection, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await?;
            connections.push(connection);
        }
        for connection in &connections {
            until(|| self.has_joined(connection.clone())).await?;
        }
        Ok(())
    }

    /// Whether a node serves all slots. Introduces the others to it as long as it does not know them.
    async fn has_joined(&self, mut connection: MultiplexedConnection) -> Result<bool, String> {
        let info: String = ask(&mut connection, &["CLUSTER", "INFO"]).await?;
        let has = |line: &str| info.lines().any(|it| it == line);
        let knows_all = has(&format!("cluster_known_nodes:{MASTERS}"));
        if !knows_all {
            for port in &self.ports {
                let port = port.number().to_string();
                tell(&mut connection, &["CLUSTER", "MEET", "127.0.0.1", &port]).await?;
            }
        }
        Ok(knows_all && has("cluster_state:ok"))
    }
}

/// Whether a Sentinel knows the others and the replica.
async fn knows_all(mut connection: MultiplexedConnection) -> Result<bool, String> {
    let master = ["SENTINEL", "MASTER", MASTER];
    let master: HashMap<String, String> = ask(&mut connection, &master).await?;
    let is = |field, count: usize| master.get(field).is_some_and(|it| *it == count.to_string());
    Ok(is("num-other-sentinels", SENTINELS - 1) && is("num-slaves", 1))
}

/// A container of a set, but for its image and its network.
struct Member {
    command: Vec<String>,
    files: Vec<(&'static str, String)>,
    ready: &'static str,
}

fn server(port: u16, more: &[&str]) -> Member {
    let port = port.to_string();
    let usual = ["--port", &port, "--protected-mode", "no", "--save", "", "--appendonly", "no"];
    let command = usual.iter().chain(more).map(ToString::to_string).collect();
    Member { command, files: Vec::new(), ready: "Ready to accept connections" }
}

fn sentinel(port: u16, of: u16) -> Member {
    let command = [SENTINEL_CONFIG, "--sentinel"].map(str::to_owned).to_vec();
    let config = format!(
        "port {port}\nprotected-mode no\n\
         sentinel monitor {MASTER} 127.0.0.1 {of} 2\n\
         sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
    );
    Member { command, files: vec![(SENTINEL_CONFIG, config)], ready: "Sentinel ID is" }
}

/// The first gets a network and publishes the ports of all; the others share it.
async fn start_together(
    engine: &Engine,
    image: &str,
    ports: &[ReservedPort],
    members: Vec<Member>,
) -> Result<Vec<Container>, String> {
    let mut containers: Vec<Container> = Vec::new();
    for Member { command, files, ready } in members {
        let beside = containers.first().map(|first| first.id().to_owned());
        let published = ports.iter().map(|port| Port::Same(port.number()));
        let ports = if beside.is_none() { published.collect() } else { Vec::new() };
        let reference = image.to_owned();
        let wanted = Wanted { reference, command, ports, beside, files, ready };
        containers.push(engine.start(wanted).await?);
    }
    Ok(containers)
}

fn reserve(count: usize) -> Result<Vec<ReservedPort>, String> {
    let ports = (0..count).map(|_| ReservedPort::reserve());
    ports.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn addresses(ports: &[ReservedPort]) -> String {
    let addresses: Vec<String> =
        ports.iter().map(|port| format!("127.0.0.1:{}", port.number())).collect();
    addresses.join(",")
}

async fn connect(port: &ReservedPort) -> Result<MultiplexedConnection, String> {
    let client = Client::open(format!("redis://127.0.0.1:{}", port.number()));
    let client = client.map_err(|error| error.to_string())?;
    client.get_multiplexed_async_connection().await.map_err(|error| error.to_string())
}

async fn tell(connection: &mut MultiplexedConnection, words: &[&str]) -> Result<(), String> {
    ask(connection, words).await
}

async fn ask<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    words: &[&str],
) -> Result<T, String> {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    let failed = |error| format!("{}: {error}", words.join(" "));
    command.query_async(connection).await.map_err(failed)
}

/// Asks until it is so.
async fn until<F: Future<Output = Result<bool, String>>>(
    mut is_so: impl FnMut() -> F,
) -> Result<(), String> {
    let asked = async {
        while !is_so().await? {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    let late = |_| Err(format!("the servers do not know each other after {} s", LIMIT.as_secs()));
    timeout(LIMIT, asked).await.unwrap_or_else(late)
}
