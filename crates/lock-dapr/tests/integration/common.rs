//! What the tests share.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;
use lock_core::backend::{AcquireReply, OwnerToken};
use lock_dapr::{DaprBackend, DaprBackendBuilder};
pub(crate) use lock_testkit::direct::{acquire, is_held, key, release};
pub(crate) use testbed::wait::{LIMIT, soon, until};
use testbed::{DaprSidecar, RedisServer, ServerKind};
use tonic::transport::{Channel, Endpoint};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A sidecar, and the Redis behind it.
pub(crate) struct Stand {
    pub(crate) sidecar: DaprSidecar,
    pub(crate) redis: RedisServer,
}

impl Stand {
    pub(crate) fn start() -> Self {
        let redis = RedisServer::start(&ServerKind::REDIS_8_2).unwrap();
        let sidecar = DaprSidecar::start(&redis).unwrap();
        Self { sidecar, redis }
    }

    /// A backend that is connected directly.
    pub(crate) fn backend(&self) -> Arc<DaprBackend> {
        build(self.builder())
    }

    pub(crate) fn builder(&self) -> DaprBackendBuilder {
        at(self.sidecar.address())
    }

    /// Runs a command on the Redis behind the sidecar.
    pub(crate) fn redis(&self, command: &str) -> String {
        redis(self.redis.address(), command)
    }

    /// Who owns a lock, as Redis has it.
    pub(crate) fn owner(&self, name: &str) -> Option<String> {
        let answer = self.redis(&format!("GET {}", self.sidecar.redis_key(name)));
        answer.strip_prefix("$32\r\n").map(|owner| owner.trim_end().to_owned())
    }
}

/// The generated client.
pub(crate) type Client = DaprClient<Channel>;

/// A client of the sidecar at this address, without the backend between.
pub(crate) fn client(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    DaprClient::new(endpoint.connect_lazy())
}

/// A backend on the lock store `lockstore` of the sidecar at this address.
pub(crate) fn at(address: SocketAddr) -> DaprBackendBuilder {
    DaprBackend::builder("lockstore").endpoint(address.to_string())
}

pub(crate) fn build(builder: DaprBackendBuilder) -> Arc<DaprBackend> {
    Arc::new(builder.build().unwrap())
}

pub(crate) fn token() -> OwnerToken {
    OwnerToken::random().unwrap()
}

pub(crate) fn hex(token: OwnerToken) -> String {
    String::from_utf8(token.to_hex().to_vec()).unwrap()
}

/// Takes a lock that is free.
pub(crate) async fn take(backend: &Arc<DaprBackend>, name: &str, ttl: Duration) -> OwnerToken {
    let token = token();
    let attempt = acquire(backend, name, token, ttl).await.unwrap();
    assert!(matches!(attempt, AcquireReply::Granted(_)), "not granted: {attempt:?}");
    token
}

/// Runs one command on a Redis and returns its raw answer.
pub(crate) fn redis(address: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.strip_suffix("+OK\r\n").unwrap().to_owned()
}
