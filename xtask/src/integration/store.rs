//! A lock store in containers, and how to reach it.

use std::time::Duration;

use futures_util::future::select_all;
use lock_core::backend::AnyBackend;
use lock_dapr::DaprBackend;
use lock_quorum::QuorumBackend;
use lock_redis::RedisBackend;
use lock_testkit::conformance::{Harness, Need, Pace, async_trait};
use testbed::ReservedPort;

use super::engine::{Container, Engine, Port, Wanted};
use super::options::{Service, Tested};
use super::sets::Set;
use super::suites::Finding;

const REDIS_PORT: u16 = 6379;
const SIDECAR_PORT: u16 = 50001;
const SIDECAR_HTTP_PORT: u16 = 3500;
/// The name of the sidecar's lock store.
const LOCK_STORE: &str = "lockstore";

/// How many servers a quorum has.
const MEMBERS: usize = 3;

/// A running store; it ends when it is dropped.
pub(super) struct Store {
    containers: Vec<Container>,
    address: Address,
    /// Those that nobody else may take meanwhile.
    _ports: Vec<ReservedPort>,
}

/// Where the store is.
pub(super) enum Address {
    Redis { url: String },
    Quorum { members: Vec<String> },
    Dapr { endpoint: String },
}

impl Store {
    pub(super) async fn start(
        engine: &Engine,
        tested: Tested<'_>,
        behind_dapr: &str,
    ) -> Result<Self, String> {
        let image = tested.reference;
        match tested.service {
            Service::Redis | Service::Valkey => Self::redis(engine, image).await,
            Service::Dapr => {
                engine.obtain(behind_dapr).await?;
                Self::dapr(engine, image, behind_dapr).await
            }
            Service::Sentinel => Set::sentinels(engine, image).await.map(Self::of_set),
            Service::Cluster => Set::cluster(engine, image).await.map(Self::of_set),
            Service::Quorum => Self::quorum(engine, image).await,
        }
    }

    /// Redis or Valkey.
    async fn redis(engine: &Engine, image: &str) -> Result<Self, String> {
        let (server, address) = start_redis(engine, image).await?;
        let url = format!("redis://{address}");
        Ok(Self::new(vec![server], Address::Redis { url }))
    }

    /// A sidecar with a Redis behind it. They share a network as the containers of a pod do.
    async fn dapr(engine: &Engine, image: &str, behind: &str) -> Result<Self, String> {
        let server = engine.start(redis(behind, SIDECAR_PORT)).await?;
        let sidecar = engine.start(sidecar(image, server.id())).await?;
        let endpoint = format!("127.0.0.1:{}", server.port(SIDECAR_PORT).await?);
        Ok(Self::new(vec![sidecar, server], Address::Dapr { endpoint }))
    }

    /// Servers that know nothing of each other.
    async fn quorum(engine: &Engine, image: &str) -> Result<Self, String> {
        let (mut containers, mut members) = (Vec::new(), Vec::new());
        for _ in 0..MEMBERS {
            let (server, address) = start_redis(engine, image).await?;
            containers.push(server);
            members.push(address);
        }
        Ok(Self::new(containers, Address::Quorum { members }))
    }

    fn of_set(set: Set) -> Self {
        let Set { containers, url, ports } = set;
        Self { containers, address: Address::Redis { url }, _ports: ports }
    }

    fn new(containers: Vec<Container>, address: Address) -> Self {
        Self { containers, address, _ports: Vec::new() }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Runs a suite, which has failed if a container ends before it.
    pub(super) async fn while_running(&self, suite: impl Future<Output = Finding>) -> Finding {
        let ends = self.containers.iter().map(|container| Box::pin(container.ended()));
        tokio::select! {
            finding = suite => finding,
            _ = select_all(ends) => Finding::failed("a container ended in the middle of the suite"),
        }
    }

    /// The ends of the logs of its containers.
    pub(super) async fn logs(&self) -> String {
        let mut logs = Vec::new();
        for container in &self.containers {
            logs.push(container.log().await);
        }
        logs.join("\n--\n")
    }
}

impl Address {
    /// What `DISTLOCK_URL` says of it.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Redis { url } => url.clone(),
            Self::Quorum { members } => format!("redis+quorum://{}", members.join(",")),
            Self::Dapr { endpoint } => format!("dapr://{LOCK_STORE}?endpoint={endpoint}"),
        }
    }
}

#[async_trait]
impl Harness for Address {
    async fn backend(&self) -> lock_core::Result<AnyBackend> {
        Ok(match self {
            Self::Redis { url } => AnyBackend::new(RedisBackend::builder().url(url).build()?),
            Self::Quorum { members } => {
                let mut builder = QuorumBackend::builder();
                for member in members {
                    let url = format!("redis://{member}");
                    builder = builder.member(RedisBackend::builder().url(url).build()?);
                }
                AnyBackend::new(builder.build()?)
            }
            Self::Dapr { endpoint } => {
                let builder = DaprBackend::builder(LOCK_STORE).endpoint(endpoint);
                AnyBackend::new(builder.timeout(Duration::from_secs(2)).build()?)
            }
        })
    }

    fn pace(&self) -> Pace {
        match self {
            Self::Redis { .. } | Self::Quorum { .. } => Pace::real(),
            // Whole seconds are all that Dapr can count.
            Self::Dapr { .. } => {
                Pace::real().with_lease(Duration::from_secs(1)).with_limit(Duration::from_secs(60))
            }
        }
    }

    fn lacks(&self) -> Vec<Need> {
        match self {
            Self::Redis { .. } => Vec::new(),
            Self::Quorum { .. } => vec![Need::Fencing, Need::Queueing, Need::Repeatable],
            Self::Dapr { .. } => vec![
                Need::Queueing,
                Need::Renew,
                Need::Fencing,
                Need::Inspect,
                Need::List,
                Need::MinHold,
                Need::Repeatable,
            ],
        }
    }
}

/// Starts a server; returns it with its address.
async fn start_redis(engine: &Engine, image: &str) -> Result<(Container, String), String> {
    let server = engine.start(redis(image, REDIS_PORT)).await?;
    let address = format!("127.0.0.1:{}", server.port(REDIS_PORT).await?);
    Ok((server, address))
}

/// Redis or Valkey, open to whoever reaches the port, which is this machine alone.
fn redis(image: &str, published: u16) -> Wanted {
    // An image that has the server as its entry point takes its options, as the official ones do.
    let command = ["--protected-mode", "no", "--save", "", "--appendonly", "no"];
    Wanted {
        reference: image.to_owned(),
        command: command.map(str::to_owned).to_vec(),
        ports: vec![Port::Anywhere(published)],
        beside: None,
        files: Vec::new(),
        ready: "Ready to accept connections",
    }
}

fn sidecar(image: &str, redis: &str) -> Wanted {
    let component = serde_json::json!({
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": { "name": LOCK_STORE },
        "spec": { "type": "lock.redis", "version": "v1", "metadata": [
            { "name": "redisHost", "value": format!("127.0.0.1:{REDIS_PORT}") },
        ]},
    });
    // The official image has no entry point, so the program is a part of the command.
    let command = [
        "/daprd",
        "--mode=standalone",
        "--app-id=locktest",
        "--resources-path=/resources",
        "--dapr-listen-addresses=0.0.0.0",
        &format!("--dapr-grpc-port={SIDECAR_PORT}"),
        &format!("--dapr-http-port={SIDECAR_HTTP_PORT}"),
        "--enable-metrics=false",
        "--placement-host-address=",
        "--scheduler-host-address=",
        "--dapr-graceful-shutdown-seconds=1",
    ];
    Wanted {
        reference: image.to_owned(),
        command: command.map(str::to_owned).to_vec(),
        ports: Vec::new(),
        beside: Some(redis.to_owned()),
        // JSON is YAML.
        files: vec![("/resources/lock.yaml", component.to_string())],
        ready: "dapr initialized. Status: Running",
    }
}
